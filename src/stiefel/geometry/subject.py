"""What can be inspected: a directory whose weights differ from a base's, one matrix at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedModel

from ..errors import UserError
from ..methods import Layer
from ..skeleton import Target
from .change import Change


@dataclass(frozen=True)
class Trained:
    """One matrix as training left it."""

    change: Change  # W⁺ − W
    A: Tensor | None = None  # the trained factor (r, n), where there is one
    product: Change | None = None  # sBA, where it is not the change itself
    start_norm: float | None = None  # ‖B₀A₀‖_F; None where it is not known
    start_error: float | None = None  # ‖A₀A₀ᵀ − I‖_max; None where it is not known


class Subject(ABC):
    """The trained side: construction reads headers alone."""

    title: str  # its method, or what it is
    rank: int | None  # the method's, None for full weights
    base: str  # the model that it says it belongs to; empty where it does not say
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


def does_not_fit(subject: str, why: str) -> UserError:
    """The error of an adapter or a checkpoint on the wrong base."""
    return UserError(f"{subject} does not fit this base", why, "give --base the model that it was trained from")
