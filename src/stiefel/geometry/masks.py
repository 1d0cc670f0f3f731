"""GeoRA's masks on a trained change: does the update lie in the entries that the method keeps?"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..methods import Layer, euclidean_mask, overlap, spectral_mask
from .change import Change


class Masks(NamedTuple):
    """M_Spec and M_Euc of one matrix, (m, n) of booleans."""

    spectral: Tensor
    euclidean: Tensor


class Premise(NamedTuple):
    """How the masks overlap, and what share of ‖ΔW‖_F² lies inside."""

    intersection: float  # of all entries
    union: float
    jaccard: float
    energy_spectral: float  # of ‖ΔW‖_F²
    energy_euclidean: float
    energy_union: float
    random_mean: float  # the same for random masks of the union's size: mean and standard deviation
    random_deviation: float


def geora_masks(layer: Layer) -> Masks:
    """M_Spec = 1[|Ŵ_r| ≤ τ_Spec], M_Euc = 1[|W| ≤ τ_Euc] as `stiefel init --method geora` takes them.

    Costs the top r triplets of W, O(mnr), and O(mn). Source: GeoRA (arXiv:2601.09361).
    """
    return Masks(spectral_mask(layer), euclidean_mask(layer))


def geora_premise(change: Change, masks: Masks) -> Premise:
    """Σ_{ij∈M}ΔW_ij²/‖ΔW‖_F² for each mask and their union, against random masks of the union's size.

    A uniformly random mask of N of mn entries holds N/mn of the energy on average; the standard deviation is that of
    sampling without replacement, √(N(mn − N)/(mn − 1)·Var x)/Σx with x = ΔW_ij². ΔW is formed a piece at a time,
    O(mnp) for a change of rank p. All energies are 0 where ΔW = 0. Source of the premise: GeoRA (arXiv:2601.09361).
    """
    union = masks.spectral | masks.euclidean
    sums = torch.zeros(4, dtype=torch.float64)
    squares = 0.0
    for chosen, piece in change.pieces():
        x = piece.square()
        inside = [x.sum(), *(x[mask[chosen]].sum() for mask in (masks.spectral, masks.euclidean, union))]
        sums += torch.stack(inside).cpu()
        squares += float(x.square().sum())
    total = float(sums[0])
    shares: tuple[float, float, float] = tuple((sums[1:] / total).tolist()) if total else (0.0, 0.0, 0.0)
    entries, kept = union.numel(), int(union.count_nonzero())
    variance = max(0.0, squares / entries - (total / entries) ** 2)
    spread = math.sqrt(kept * (entries - kept) / max(1, entries - 1) * variance) / total if total else 0.0
    overlaps = overlap(masks.spectral, masks.euclidean)
    return Premise(
        overlaps["mask_intersection"],
        overlaps["mask_union"],
        overlaps["mask_jaccard"],
        *shares,
        kept / entries,
        spread,
    )
