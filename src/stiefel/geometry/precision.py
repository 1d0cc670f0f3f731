"""What bfloat16 resolves of a change: its numbers have 8 significant bits."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..spectrum import PIECE
from .change import Change

EXPONENT = 0x7F800000  # its bits in a float32
MOST_ENTRIES = 1 << 17  # looked at in one matrix of a factored change


class InBf16(NamedTuple):
    """A change as bfloat16 weights would hold it."""

    changed: float  # share of the entries with bf16(W + ΔW) ≠ bf16(W)
    rounding: float  # expected norm of the rounding of W + ΔW, relative to ‖ΔW‖_F; above 1 it hides the change


def in_bf16(W: Tensor, change: Change, most_entries: int = MOST_ENTRIES) -> InBf16:
    """The share of entries that move, and √(Σ_ij ulp(w_ij + Δ_ij)²/12)/‖ΔW‖_F, of W (m, n); 0, 0 where ΔW = 0.

    ulp(x) = 2^(⌊log₂|x|⌋ − 7) is the spacing of bfloat16 at x, and a rounding error is uniform on ±ulp/2. A larger
    matrix is seen through evenly spaced rows that hold `most_entries`. O(min(mn, entries)·p) for a change of rank p.
    Source of the first: the update's sparsity at bfloat16 precision, arXiv:2511.08567; of the second: Widrow and
    Kollár, Quantization Noise, 2008.
    """
    if not change.norm:
        return InBf16(0.0, 0.0)
    chosen = spaced_rows(change.shape, most_entries)
    changed, noise = 0, 0.0
    for rows in torch.split(chosen, max(1, PIECE // change.shape[1])):
        before = W[rows.to(W.device)]
        after = change.rows(rows).to(W.device).add_(before)
        changed += int((after.to(torch.bfloat16) != before.to(torch.bfloat16)).count_nonzero())
        noise += rounding_energy(after)
    looked_at = len(chosen) * change.shape[1]
    total = change.shape[0] * change.shape[1]
    return InBf16(changed / looked_at, math.sqrt(noise * total / looked_at) / change.norm)


def rounded_shift(rounding: float, relative: float, shape: tuple[int, int]) -> float:
    """The NSS that rounding alone makes, ‖E‖_F/(√max(m, n)·‖W‖_F) with ‖E‖_F = `rounding`·‖ΔW‖_F, to first order.

    σ_i moves by u_iᵀEv_i, whose square is ‖E‖_F²/mn on average for independent errors, over min(m, n) values;
    `relative` is ‖ΔW‖_F/‖W‖_F. Source: Stewart and Sun, Matrix Perturbation Theory, 1990, IV.
    """
    return rounding * relative / math.sqrt(max(shape))


def rounding_energy(X: Tensor) -> float:
    """Σulp(x)²/12; zeros, and what is one in float32's range, add nothing."""
    powers = X.to(torch.float32).view(torch.int32).bitwise_and(EXPONENT).view(torch.float32)  # 2^⌊log₂|x|⌋
    return float(powers.to(torch.float64).square_().sum()) * 4.0**-7 / 12


def spaced_rows(shape: tuple[int, int], most_entries: int) -> Tensor:
    """Evenly spaced rows that hold at most that many entries, at least one; all where these are not more."""
    rows, columns = shape
    count = min(rows, max(1, most_entries // columns))
    return torch.arange(count) * rows // count
