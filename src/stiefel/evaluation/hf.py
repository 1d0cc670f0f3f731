"""transformers' own generation, batched: what it is told here is all that decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList, StopStringCriteria

from ..adapter import anchored_factors, held_factors
from ..errors import UserError
from ..model import end_ids
from ..tasks import Sampling
from .ending import read_completion
from .plan import batch_seed
from .sample import Completion


class HFEngine:
    """Completions by `model.generate`, the prompts of a call padded on the left to one length.

    Padding is masked and positions count from a prompt's first token, so that a greedy completion does not depend on
    what it is batched with, but for rounding: the matrix products of another batch size sum in another order. In
    float32 that moves logits by about 1e-6 of their size and a token changes only where the best two are that close;
    in bfloat16 the best two are equal, bit for bit, every few hundred tokens. Given the same batches it is
    deterministic. Raises UserError where memory does not suffice.
    """

    def __init__(self, model: Any, tokenizer: Any, sampling: Sampling, stop: Sequence[str] = ()) -> None:
        self.model, self.tokenizer, self.stop = model, tokenizer, list(stop)
        self.ends = set(end_ids(tokenizer, model.generation_config.eos_token_id))
        self.padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(self.ends, default=0)
        self.settings = GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            eos_token_id=sorted(self.ends) or None,
            pad_token_id=self.padding,
            **drawn(sampling),
        )

    def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Completion]:
        """The global random state is used for drawing and restored afterwards."""
        width = max(map(len, prompts))
        ids = torch.tensor([[self.padding] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        ended = Ended(width, self.ends, self.stop, self.tokenizer)
        device = self.model.device
        devices = [device] if device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices),
            torch.inference_mode(),
            own_settings(self.model, self.settings),
            held_factors(anchored_factors(self.model)),
        ):
            torch.manual_seed(batch_seed(seeds))
            try:
                output = self.model.generate(
                    input_ids=ids.to(device),
                    attention_mask=mask.to(device),
                    stopping_criteria=StoppingCriteriaList([ended]),
                )
            except torch.OutOfMemoryError as error:
                raise too_large(len(prompts), width, self.settings.max_new_tokens) from error
        written = output[:, width:].tolist()
        return [self.read(*each) for each in zip(written, ended.lengths.tolist(), strict=True)]

    def read(self, tokens: list[int], length: int) -> Completion:
        """A sequence's tokens up to where it ended, 0 being nowhere."""
        kept = tokens[: length or len(tokens)]
        return read_completion(self.tokenizer, kept, self.ends, self.stop, truncated=not length)


class Ended(StoppingCriteria):  # type: ignore[misc]
    """Whether a sequence has ended, by a token or by a text of its completion, and after how many tokens it first had.

    transformers' criterion for texts would find one that begins in the prompt.
    """

    def __init__(self, width: int, ends: set[int], stop: list[str], tokenizer: Any) -> None:
        self.width, self.ends = width, torch.tensor(sorted(ends), dtype=torch.long)
        self.texts = StopStringCriteria(tokenizer, stop) if stop else None
        self.lengths = torch.zeros(0)

    def __call__(self, input_ids: Tensor, scores: Any, **others: Any) -> Tensor:
        """The rows that have ended with their last token."""
        completions = input_ids[:, self.width :]
        done = torch.isin(completions[:, -1], self.ends.to(input_ids.device))
        if self.texts is not None:
            done |= self.texts(completions, scores)
        if not len(self.lengths):
            self.lengths = torch.zeros(len(input_ids), dtype=torch.long, device=input_ids.device)
        self.lengths = torch.where((self.lengths == 0) & done, completions.shape[1], self.lengths)
        return done


def drawn(sampling: Sampling) -> dict[str, Any]:
    """How tokens are drawn, as transformers spells it; its own default of top_k is 50, ours is none."""
    if sampling.temperature == 0:
        return {"do_sample": False}
    return {
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
    }


@contextmanager
def own_settings(model: Any, settings: GenerationConfig) -> Iterator[None]:
    """`settings` in place of the model's own, of which generate would fill in whatever is not set here.

    generation_config.json may hold a top_k, a repetition penalty, suppressed tokens: a model's advice for chats.
    """
    owners = [model, model.get_base_model()] if isinstance(model, PeftModel) else [model]
    kept = [owner.generation_config for owner in owners]
    try:
        for owner in owners:
            owner.generation_config = settings
        yield
    finally:
        for owner, config in zip(owners, kept, strict=True):
            owner.generation_config = config


def too_large(sequences: int, width: int, max_tokens: int | None) -> UserError:
    """The error of a batch that does not fit."""
    return UserError(
        f"{sequences} sequences of {width} + {max_tokens} tokens do not fit into the device's memory",
        "the keys and values of all of them are held at once",
        f"give a --batch below {sequences}" if sequences > 1 else "a smaller --max-tokens, or a larger device",
    )
