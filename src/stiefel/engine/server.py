"""What a vLLM server can be asked before a policy is entrusted to it: whether it is there, its type, its base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..errors import UserError

PROBE = 32  # tokens
# mean |log π − log π_server| in nats a token below which two bases are the same one: of one in float32 and one in any
# type, of two in float32
SAME, SAME_EXACTLY = 0.2, 1e-3


def served_dtype(client: Any) -> torch.dtype | None:
    """The type of the server's weights; None where it does not tell, which it does with VLLM_SERVER_DEV_MODE=1."""
    answer = client.session.get(f"{client.base_url}/server_info", params={"config_format": "json"})
    if answer.status_code != 200:
        return None
    name = answer.json()["vllm_config"]["model_config"]["dtype"]
    dtype = vars(torch)[str(name).removeprefix("torch.")]
    assert isinstance(dtype, torch.dtype)
    return dtype


def probe(vocabulary: int) -> list[int]:
    """Tokens drawn by a seed, on which two models differ much."""
    generator = torch.Generator().manual_seed(0)
    tokens: list[int] = torch.randint(vocabulary, (PROBE,), generator=generator).tolist()
    return tokens


def probe_of(base: Any) -> list[int]:
    """The same of a model's vocabulary."""
    return probe(base.config.get_text_config().vocab_size)


def served_logprobs(client: Any, tokens: Sequence[int]) -> torch.Tensor:
    """Log π of each token but the first, by the server's base."""
    request = {"model": client.model, "prompt": list(tokens), "max_tokens": 1, "prompt_logprobs": 0, "temperature": 0}
    answer = client.session.post(f"{client.base_url}/v1/completions", json=request)
    if answer.status_code != 200:
        raise UserError(
            f"the vLLM server at {client.base_url} does not score {client.model}'s tokens",
            answer.text.strip()[:400],
            "serve the model that is trained",
        )
    scores = answer.json()["choices"][0]["prompt_logprobs"][1:]
    return torch.tensor([each[str(token)]["logprob"] for each, token in zip(scores, tokens[1:], strict=True)])


@torch.no_grad()
def own_logprobs(base: Any, tokens: Sequence[int]) -> torch.Tensor:
    """The same by the trainer's base."""
    ids = torch.tensor([list(tokens)], device=base.device)
    scores = torch.log_softmax(base(input_ids=ids).logits[0, :-1].float(), dim=-1)
    return scores.gather(1, ids[0, 1:, None]).squeeze(1).cpu()


def require_same_base(client: Any, base: Any, name: str, *, exact: bool) -> None:
    """Raise where the server's base gives other probabilities than the trainer's: another model, or other weights.

    `exact` says that both are in float32. Mean |Δ log π| over 31 tokens drawn at random. Costs one forward pass here
    and one there.
    """
    tokens = probe_of(base)
    difference = float((served_logprobs(client, tokens) - own_logprobs(base, tokens)).abs().mean())
    if not difference < (SAME_EXACTLY if exact else SAME):
        raise UserError(
            f"the vLLM server at {client.base_url} serves another base than {name}",
            f"it serves {client.model}, whose log-probabilities differ by {difference:.2g} nats a token",
            f"vllm serve {name}",
        )


def take_part(base: Any) -> None:
    """What `require_same_base` computes, for the processes that ask no server: their shares of the base are needed."""
    own_logprobs(base, probe_of(base))
