"""Whether a server's base is the trainer's, by the log-probabilities that it gives to the task's own prompts.

Names tell little: a directory may hold an earlier checkpoint, and one model has many names. What is compared are
prompts of the run and what the server writes to them, since there checkpoints of one model differ most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from .server import MAKES, Server, start_command

PROMPTS, TOKENS, WRITTEN = 4, 96, 16  # so many prompts, the last tokens of each, and tokens that the server adds
RANDOM = 32  # tokens, where there are no prompts
HOT = 2.0  # the temperature at which log-probabilities before and after it lie far apart
KERNELS = 1e-3  # nats a token: sums in another order, of two engines in float32
ROUNDINGS = 12  # of activations in a layer
# of everything, since a request says nothing of what it leaves open, and the server has advice of its own
PLAIN: dict[str, Any] = {
    **{"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "logprobs": 0, "max_tokens": WRITTEN},
    **{"presence_penalty": 0.0, "frequency_penalty": 0.0, "return_token_ids": True},
}


@dataclass(frozen=True)
class Trusted:
    """A server that plays the base, the type in which it plays, and what there is to say of that."""

    server: Server
    dtype: torch.dtype
    notes: tuple[str, ...]


def require_same_base(
    server: Server, base: Any, name: str, prompts: Sequence[Sequence[int]], *, processed: bool
) -> Trusted:
    """The server with its type; raises UserError for one of another base.

    Mean |log π_server − log π| over prompts and completions must be no more than rounding makes (`tolerance`). `base`
    is the trainer's, as it stands; `prompts` are tokens, random ones where there are none. With `processed` the
    server's log-probabilities must be those of the distribution that it samples, temperature and all. Cost: eight
    completions of 16 tokens there, as many forward passes here.
    """
    config = base.config.get_text_config()
    shown = shortened(prompts, server) or [random_tokens(config.vocab_size)]
    found = [compared(server, base, prompt, number) for number, prompt in enumerate(shown)]
    theirs, ours = (torch.cat([pair[side] for pair in found]) for side in (0, 1))
    require_logprobs(server, theirs)
    off, layers = float((theirs - ours).abs().mean()), int(config.num_hidden_layers)
    size = float(ours.abs().mean())
    dtype, told = played_in(server, base.dtype, exact=off < KERNELS)
    most = max(tolerance(kind, layers, size) for kind in (dtype, base.dtype))
    if not off < most:
        raise UserError(
            f"the vLLM server at {server.url} serves another base than {name}",
            f"it serves {server.name}, whose log-probabilities of {len(theirs)} tokens, of this run's prompts and of "
            f"what it writes to them, differ by {off:.2g} nats a token; rounding makes {most:.2g}",
            f"vllm serve {name}",
        )
    if processed:
        require_processed(server, base, shown, most)
    return Trusted(server, dtype, (*told, *renamed(server, name, off)))


def shortened(prompts: Sequence[Sequence[int]], server: Server) -> list[list[int]]:
    """Some different prompts, their last tokens, as many as the server has room for."""
    room = TOKENS if server.longest is None else min(TOKENS, server.longest - WRITTEN)
    short = dict.fromkeys(tuple(prompt[-room:]) for prompt in prompts)
    return [list(prompt) for prompt in short if len(prompt) > 1][:PROMPTS]


def random_tokens(vocabulary: int) -> list[int]:
    """Tokens drawn by a seed."""
    generator = torch.Generator().manual_seed(0)
    tokens: list[int] = torch.randint(vocabulary, (RANDOM,), generator=generator).tolist()
    return tokens


def compared(server: Server, base: Any, prompt: list[int], seed: int) -> tuple[Tensor, Tensor]:
    """Log π of each token but the first of a prompt and what the server draws after it: the server's, the trainer's."""
    choice = server.complete({**PLAIN, "prompt": prompt, "temperature": 1.0, "seed": seed, "prompt_logprobs": 0})
    asked = [each[str(token)]["logprob"] for each, token in zip(choice["prompt_logprobs"][1:], prompt[1:], strict=True)]
    scores = logits_of(base, [*prompt, *choice["token_ids"]])
    return torch.tensor([*asked, *choice["logprobs"]["token_logprobs"]]), of_tokens(
        scores, [*prompt, *choice["token_ids"]]
    )


@torch.no_grad()
def logits_of(base: Any, tokens: list[int]) -> Tensor:
    """The trainer's for each token but the first, float32."""
    logits: Tensor = base(input_ids=torch.tensor([tokens], device=base.device)).logits[0, :-1].float()
    return logits


def of_tokens(logits: Tensor, tokens: list[int]) -> Tensor:
    """Log softmax at the tokens that came."""
    ids = torch.tensor(tokens[1:], device=logits.device)
    return torch.log_softmax(logits, dim=-1).gather(1, ids[:, None]).squeeze(1).cpu()


def tolerance(dtype: torch.dtype, layers: int, size: float) -> float:
    """How far log-probabilities of mean size |log π| may lie apart, in nats a token, because of rounding alone.

    An activation of a type with unit roundoff u is off by u/2 of itself, on average, at each of some 12 roundings a
    layer. They are independent, so that n of them make √n·u/2, and the error of a log-probability is as large a part of
    it: √(12·layers)·u/2·|log π|, beside what two kernels' order of sums makes in float32. SmolLM2-135M served in
    bfloat16 is 0.06 off, where 0.13 is allowed, and 2.1 from the checkpoint that supervised training made of it; a
    change of 1% of the feed-forward layers' size makes 0.08, which is told from rounding in float32 alone.
    """
    return KERNELS + math.sqrt(ROUNDINGS * layers) * torch.finfo(dtype).eps / 4 * size


def played_in(server: Server, own: torch.dtype, *, exact: bool) -> tuple[torch.dtype, list[str]]:
    """The server's type, as it tells, or what can be seen of it; and a word on that."""
    if server.dtype is not None:
        return server.dtype, []
    seen = torch.bfloat16 if own == torch.float32 and not exact else own  # what "auto" makes of a float32 checkpoint
    named = str(seen).removeprefix("torch.")
    return seen, [
        f"note: the vLLM server at {server.url} does not tell its type, which it does with VLLM_SERVER_DEV_MODE=1: "
        f"it is taken for {named}, and its base compared as closely as that rounds"
    ]


def renamed(server: Server, name: str, off: float) -> list[str]:
    """A word on a server that was started on something of another name."""
    if server.serves(name):
        return []
    return [
        f"note: the vLLM server at {server.url} serves {server.name}, and {name} is trained: their log-probabilities "
        f"differ by {off:.1g} nats a token, which is rounding"
    ]


def require_logprobs(server: Server, values: Tensor) -> None:
    """Raise for a server that gives logits in their place."""
    if server.logprobs_mode.endswith("logits") or float(values.max()) > KERNELS:
        raise wrong_mode(server, server.logprobs_mode or "raw_logits or processed_logits", "it gives logits")


def require_processed(server: Server, base: Any, prompts: list[list[int]], rounding: float) -> None:
    """Raise for a server whose log-probabilities are those before the temperature, by what it gives at another one."""
    why = "it gives log-probabilities as they are before temperature, top_p and top_k, by which completions are drawn"
    if server.logprobs_mode:
        if server.logprobs_mode != MAKES:
            raise wrong_mode(server, server.logprobs_mode, why)
        return
    raw: list[Tensor] = []
    after: list[Tensor] = []
    for number, prompt in enumerate(prompts):
        choice = server.complete({**PLAIN, "prompt": prompt, "temperature": HOT, "seed": number})
        tokens, theirs = [*prompt, *choice["token_ids"]], torch.tensor(choice["logprobs"]["token_logprobs"])
        logits = logits_of(base, tokens)[len(prompt) - 1 :]
        for scores, found in ((logits, raw), (logits / HOT, after)):
            found.append((theirs - of_tokens(scores, tokens[len(prompt) - 1 :])).abs())
    if float(torch.cat(after).mean()) > max(rounding, float(torch.cat(raw).mean())):
        raise wrong_mode(server, "raw_logprobs", why)


def wrong_mode(server: Server, mode: str, why: str) -> UserError:
    """The error of a server whose log-probabilities would be taken for others."""
    return UserError(
        f"the vLLM server at {server.url} runs with --logprobs-mode {mode}",
        f"{why}; engine_mismatch and rollout.importance_correction would be wrong",
        start_command(server.root),
    )
