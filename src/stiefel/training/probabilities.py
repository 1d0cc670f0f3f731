"""Whether the policy still gives probabilities, agreed on by all processes before any goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn

from ..adapter import AnchoredFactor, anchored_factors, held_factors
from ..errors import UserError
from .reference import ReferenceTrainer
from .sharding import gathered


class NoProbabilities(UserError):
    """Logits that are no numbers, from which no token can be drawn."""

    def __init__(self) -> None:
        super().__init__(
            "the model gives no probabilities: its logits are not finite",
            "its weights moved beyond what can be trained on, or its type cannot hold its activations",
            "a smaller learning rate, or a wider type for the frozen weights",
        )


@contextmanager
def finite_logits(model: Any) -> Iterator[None]:
    """Raise NoProbabilities at the end of a `with` block in which the model's logits were NaN or infinite.

    In every process alike, if in one: each looks at its own completions only, and one that stopped alone would leave
    the others waiting. Inside the block such logits are taken for equal ones, so that sampling goes on: on a GPU it
    would end the whole process with an assertion. −∞ is a probability of 0, as long as one token has another. Every
    process must enter and leave the block. Cost: one pass over the logits of each token that is drawn.
    """
    lost: list[Tensor] = []

    def look(module: nn.Module, arguments: Any, logits: Tensor) -> Tensor:
        highest = logits.amax(-1, keepdim=True)  # NaN, or ±∞, in a row that gives no probabilities
        bad = (highest - highest).isnan()
        lost.append(bad)
        return logits.masked_fill_(bad, 0.0)

    handle = model.get_output_embeddings().register_forward_hook(look)
    try:
        yield
    finally:
        handle.remove()
    own = bool(lost) and bool(torch.cat([bad.flatten() for bad in lost]).any())
    if any(gather_object([own])):
        raise NoProbabilities


class FiniteTrainer(ReferenceTrainer):
    """Notices in every process at once that the policy, in one of them, gives no probabilities any more."""

    @cached_property  # found once: each of the two walks over all modules
    def _bare_model(self) -> Any:
        return self.accelerator.unwrap_model(self.model)

    @cached_property
    def _anchored_factors(self) -> list[AnchoredFactor]:
        return anchored_factors(self._bare_model)

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        if self.use_vllm:
            return super()._generate_single_turn(*args, **kwargs)
        numbers = self.accelerator.autocast()  # TRL samples outside of it, and scores what was sampled inside
        model = self._bare_model
        with gathered(model), finite_logits(model), held_factors(self._anchored_factors), numbers:
            return super()._generate_single_turn(*args, **kwargs)
