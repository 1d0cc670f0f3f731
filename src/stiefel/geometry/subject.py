"""What can be inspected: a directory whose weights differ from a base's, one matrix at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import UserError
from ..methods import Layer
from ..model import Checkpoint, Target, fingerprint
from .change import Change


@dataclass(frozen=True)
class Trained:
    """One matrix as training left it."""

    change: Change  # W⁺ − W
    A: Tensor | None = None  # the trained factor (r, n), where there is one
    product: Change | None = None  # sBA, where it is not the change itself
    start_norm: float | None = None  # ‖B₀A₀‖_F; None where it is not known
    start_error: float | None = None  # ‖A₀A₀ᵀ − I‖_max; None where it is not known
    rounded: bool = False  # True where W⁺ is stored in bfloat16, so that its rounding is a part of the change


@dataclass(frozen=True)
class Vector:
    """A parameter that is no target matrix: a norm's weight, a bias, an embedding."""

    name: str
    shape: tuple[int, ...]
    norm: float
    delta_norm: float
    bf16_changed: float  # share of its entries


class Subject(ABC):
    """The trained side: construction reads headers, and of a LoRA one matrix's factors."""

    title: str  # its method, or what it is
    rank: int | None  # the method's, None for full weights
    base: str = ""  # the model that it says it belongs to; empty where it does not say, or a certificate is asked
    left_out: tuple[str, ...] = ()  # what it changes beside matrices

    @abstractmethod
    def targets(self, skeleton: PreTrainedModel) -> list[Target]:
        """The matrices that it changes, in the base's order; raises UserError where the base has no such ones."""

    @abstractmethod
    def rank_of(self, target: Target) -> int:
        """The method's rank on one matrix."""

    @abstractmethod
    def read(self, target: Target, layer: Layer) -> Trained:
        """One matrix's change; raises UserError where the base is another one."""

    def vectors(self, base: Checkpoint) -> Iterator[Vector]:
        """The other parameters that it holds, beside the base's; one in memory at a time."""
        yield from ()


def as_made_for(base: Tensor, digest: str, expected: str) -> Tensor | None:
    """A base's weight in the type, its own or a smaller one, that has a certificate's fingerprint; None in no type.

    A run whose `model.dtype` is bfloat16 began at the rounded weights: its change is measured from these.
    """
    if digest == expected:
        return base
    rounded = (base.to(kind) for kind in (torch.bfloat16, torch.float16))
    return next((weight for weight in rounded if fingerprint(weight) == expected), None)


def does_not_fit(subject: str, why: str) -> UserError:
    """The error of an adapter or a checkpoint on the wrong base."""
    return UserError(f"{subject} does not fit this base", why, "give --base the model that it was trained from")
