"""Which entries are the smallest: of a matrix, and of a product of factors that is known to a bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import torch
from torch import Tensor

from ..spectrum import PIECE, Triplets, each

IN_CACHE = 1 << 17  # entries of a piece: half a megabyte
SAMPLE = 65_536  # values that bracket a threshold
UNIT = {dtype: torch.finfo(dtype).eps / 2 for dtype in (torch.float32, torch.float64)}


@dataclass(frozen=True)
class Decided:
    """A mask, and how many entries are nearer to its threshold than they are known."""

    mask: Tensor
    undecided: int


def smallest_of_product(found: Triplets, angle: float, rho: float) -> Decided:
    """1[|x| ≤ τ] of x = U diag(S) Vh (m, n), τ the ⌊ρ·mn⌋-th smallest |x|; found in float64, off by `angle`.

    The product is made in float32, a piece at a time, and those of its entries that its rounding leaves at the
    threshold, a few in a million, once more in float64. Costs 2mnr operations; of memory the mask.
    """
    left, right = found.U * found.S, found.Vh
    count = math.floor(Decimal(str(rho)) * (len(left) * right.shape[1]))
    if count == 0:
        return Decided(torch.zeros(len(left), right.shape[1], dtype=torch.bool, device=left.device), 0)
    rows, columns = largest_norm(left), largest_norm(right.T)
    bound = (len(found.S) + 3) * rows * columns  # r products, their sum and three rounded factors (Cauchy and Schwarz)
    radius = 2 * bound * UNIT[torch.float32]
    mask, places, near, middle = around_threshold(left, right, count, radius)
    missing = count - int(mask.count_nonzero())
    below = near < middle - radius
    at_threshold = places[(near <= middle + radius) & ~below]
    exact = exact_magnitudes(left, right, at_threshold)
    threshold = exact.kthvalue(missing - int(below.count_nonzero())).values
    mask.view(-1)[places[below]] = True
    mask.view(-1)[at_threshold] = exact <= threshold
    # an angle φ turns one factor at a time: |Δx_ij| ≤ φ(σ_{r+1}‖v_j‖ + ‖σu_i‖), or the same of the other side
    turned = angle * (
        float(found.S[-1]) * max(largest_norm(found.U), columns) + max(rows, largest_norm(right.T * found.S))
    )
    error = 2 * (turned + bound * UNIT[torch.float64])  # of the entry and of the threshold
    close = int((((near if error > radius else exact) - threshold).abs_() <= error).count_nonzero())
    return Decided(mask, close if close > 1 else 0)  # one is the entry that is the threshold


def around_threshold(left: Tensor, right: Tensor, count: int, radius: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """1[|x| < low] of x = left·right, the places and sizes, in float32, of all low ≤ |x| ≤ high, the `count`-th |x|.

    A sample of a large product brackets that one, with `radius` to spare; of a small product low = 0 and high = ∞.
    """
    factors = left.to(torch.float32), right.to(torch.float32)
    size = len(left) * right.shape[1]
    if size > SAMPLE:
        step = max(16, size // SAMPLE) | 1  # odd, to meet all columns
        sample = torch.arange(0, size, step, device=left.device)
        sizes = exact_magnitudes(left, right, sample).sort().values
        place, margin = count * len(sizes) // size, 4 * math.isqrt(len(sizes))  # eight standard deviations or more
        low, high = float(sizes[max(0, place - margin)]), float(sizes[min(len(sizes) - 1, place + margin)])
        mask, places, near = between(*factors, low, high)
        missing = count - int(mask.count_nonzero())
        if 0 < missing <= len(near):
            middle = kth_smallest_magnitude(near, missing, nonnegative=True)
            if low + radius <= middle <= high - radius:
                return mask, places, near, middle
    mask, places, near = between(*factors, 0.0, math.inf)
    return mask, places, near, kth_smallest_magnitude(near, count, nonnegative=True)


def between(left: Tensor, right: Tensor, low: float, high: float) -> tuple[Tensor, Tensor, Tensor]:
    """1[|x| < low] of x = left·right (m, n), and the places and sizes of all with low ≤ |x| ≤ high."""
    m, n = len(left), right.shape[1]
    mask = torch.empty(m, n, dtype=torch.bool, device=left.device)
    rows = max(1, IN_CACHE // n)

    def work(start: int) -> tuple[Tensor, Tensor]:
        near = (left[start : start + rows] @ right).abs_()
        below = torch.lt(near, low, out=mask[start : start + rows])
        chosen = ((near <= high) & ~below).flatten().nonzero().squeeze(1)
        return chosen + start * n, near.flatten()[chosen]

    parts = range(0, m, rows)
    found = each(work, parts, pays=left.device.type == "cpu" and m * n > 16 * IN_CACHE)
    return mask, torch.cat([places for places, _ in found]), torch.cat([near for _, near in found])


def exact_magnitudes(left: Tensor, right: Tensor, places: Tensor) -> Tensor:
    """|left·right| in float64 at some places alone, counted row by row."""
    n = right.shape[1]
    pieces = torch.split(places, max(1, PIECE // left.shape[1]))
    return torch.cat([(left[at // n] * right.T[at % n]).sum(1).abs() for at in pieces])


def largest_norm(rows: Tensor) -> float:
    """The length of the longest row."""
    return float(torch.linalg.vector_norm(rows, dim=1).max())


def smallest(values: Tensor, rho: float, *, nonnegative: bool = False) -> Tensor:
    """1[|x| ≤ τ] with τ exactly the ⌊ρ·mn⌋-th smallest |x|, so that ties with τ are kept too.

    One copy of memory, and none of values that are known not to be negative.
    """
    count = math.floor(Decimal(str(rho)) * values.numel())  # ρ as it is written: in floats, 0.29·100 is below 29
    if count == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    bound = kth_smallest_magnitude(values, count, nonnegative=nonnegative)
    below = values <= bound
    return below if nonnegative else below.logical_and_(values >= -bound)


def kth_smallest_magnitude(values: Tensor, k: int, *, nonnegative: bool = False) -> float:
    """The k-th smallest |x|, from 1; O(mn). torch.quantile would interpolate, and refuse more than 16.7M values."""
    magnitudes = values if nonnegative else torch.abs(values, out=values.new_empty(values.shape))
    magnitudes = magnitudes.flatten()  # contiguous, so that this is a view
    if magnitudes.is_cuda:
        return float(magnitudes.kthvalue(k).values)
    return kth_smallest(magnitudes.numpy(), k)


def kth_smallest(array: np.ndarray, k: int) -> float:
    """The k-th smallest value, from 1.

    Of many values only those between two order statistics of a sample are sorted out; counting says whether the k-th
    is among them, and if it is not all are.
    """
    if array.size > 16 * SAMPLE:
        sample = np.sort(array[:: array.size // SAMPLE])
        place, margin = k * sample.size // array.size, 4 * math.isqrt(sample.size)  # eight standard deviations or more
        low, high = sample[max(0, place - margin)], sample[min(sample.size - 1, place + margin)]
        below = int(np.count_nonzero(array < low))
        inside = array[(array >= low) & (array <= high)]
        if below < k <= below + inside.size:
            array, k = inside, k - below
    return float(np.partition(array, k - 1)[k - 1])
