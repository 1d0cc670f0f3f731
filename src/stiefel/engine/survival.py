"""How much of the trained update an engine plays: ΔW, and what the sent tensors add to W in the engine's type.

    survival = ⟨ΔW_played, ΔW⟩ / ‖ΔW‖²      error = ‖ΔW_played − ΔW‖ / ‖ΔW‖

1 and 0 where nothing is lost. A bf16 engine that is given W + ΔW rounded loses most of a small ΔW; factors lose a share
of it that does not depend on its size. All sums are float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .factors import LayerFactors

Sync = Literal["factors", "merged"]


@dataclass(frozen=True)
class Survival:
    """‖ΔW‖², ⟨E, ΔW⟩ and ‖E‖² of E = ΔW_played − ΔW, of one layer or, added up, of all."""

    squares: float
    lost: float
    error_squares: float

    @property
    def survival(self) -> float:
        """⟨ΔW_played, ΔW⟩/‖ΔW‖²; NaN before anything has moved."""
        return 1.0 + self.lost / self.squares if self.squares else math.nan

    @property
    def error(self) -> float:
        """‖ΔW_played − ΔW‖/‖ΔW‖; NaN before anything has moved."""
        return math.sqrt(max(self.error_squares, 0.0) / self.squares) if self.squares else math.nan


@dataclass(frozen=True)
class Sent:
    """One sync: in which form and type, how many bytes, and what of each layer's change the engine plays."""

    sync: Sync
    dtype: str
    nbytes: int
    layers: dict[str, Survival]


def together(layers: Iterable[Survival]) -> Survival:
    """Of all layers as one vector."""
    every = list(layers)
    return Survival(
        math.fsum(layer.squares for layer in every),
        math.fsum(layer.lost for layer in every),
        math.fsum(layer.error_squares for layer in every),
    )


def of_factors(trained: LayerFactors, sent: LayerFactors) -> Survival:
    """Of factors that were rounded, without any matrix of W's size; O((m + n)k²).

    E = (B' − B)A' + B(A' − A) = [B' − B, B]·[A'; A' − A], in which nothing large is subtracted.
    """
    B, A, sent_B, sent_A = (tensor.to(torch.float64) for tensor in (trained.B, trained.A, sent.B, sent.A))
    left, right = torch.cat([sent_B - B, B], dim=1), torch.cat([sent_A, sent_A - A])
    return Survival(inner(B, A, B, A), inner(left, right, B, A), inner(left, right, left, right))


def inner(left: Tensor, right: Tensor, other_left: Tensor, other_right: Tensor) -> float:
    """⟨LR, L'R'⟩ = Σ (LᵀL') ∘ (RR'ᵀ)."""
    return float(((left.T @ other_left) * (right @ other_right.T)).sum())


def of_weights(base: Tensor, trained: Tensor, sent: Tensor) -> Survival:
    """Of a weight that is sent whole: W, W + ΔW as it was trained, and what is sent. O(mn)."""
    change = trained.to(torch.float64) - base.to(torch.float64)
    error = sent.to(torch.float64) - trained.to(torch.float64)
    return Survival(float(change.square().sum()), float((error * change).sum()), float(error.square().sum()))
