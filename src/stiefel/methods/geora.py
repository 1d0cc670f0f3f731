"""GeoRA and its ablations: singular directions of W_Geo, the entries of W that RL is said to move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..spectrum import Spectrum, Triplets
from .layer import Factors, Layer
from .method import Claims, method
from .option import Fraction
from .papers import GEORA
from .spectral import balanced, sigma_option

SAMPLE = 65_536  # values that bracket a threshold
OPTIONS = {
    "sigma": sigma_option("undivided"),
    "rho": Fraction(0.2, "the share of the matrix's entries that each mask keeps"),
}


@method(paper=GEORA, claims=Claims(subspace="top", start="top", matrix="W_Geo"), needs="top", options=OPTIONS)
def geora(layer: Layer) -> Factors:
    """B₀ = U_G√Σ_G, A₀ = √Σ_GV_Gᵀ, top r of W_Geo = W ⊙ (M_Spec ∪ M_Euc), anchored (GeoRA).

    M_Spec = 1[|Ŵ_r| ≤ τ_Spec], Ŵ_r the rank-r approximation of W; M_Euc = 1[|W| ≤ τ_Euc]; each τ the ⌊ρ·mn⌋-th
    smallest of its own magnitudes. Costs the top r triplets of W and then of W_Geo, O(mn) for the masks.
    """
    W_geo, statistics = masked_by_both(layer)
    return balanced(layer, W_geo.top(layer.rank), statistics)


@method(
    paper=GEORA,
    claims=Claims(subspace="random", start="random", matrix="W_Geo", seeded=True),
    needs="all",
    options=OPTIONS,
)
def geora_random(layer: Layer) -> Factors:
    """As `geora`, of r random triplets of W_Geo with σ > 0 (GeoRA's ablation "Random-r", our reading).

    Uniform among the k, without repetition. The source names the ablation without defining it; this is not a random
    matrix. Costs all triplets of W_Geo, O(mn·min(m, n)).
    """
    W_geo, statistics = masked_by_both(layer)
    return balanced(layer, random_part(W_geo, layer.rank, layer.generator()), statistics)


@method(paper=GEORA, claims=Claims(subspace="bottom", start="bottom", matrix="W_Geo"), needs="bottom", options=OPTIONS)
def geora_tail(layer: Layer) -> Factors:
    """As `geora`, of the last r triplets of W_Geo with σ > 0 (GeoRA's ablation "Tail-r", our reading).

    The source names the ablation without defining it. Not `milora`, which takes the last r of W itself.
    """
    W_geo, statistics = masked_by_both(layer)
    return balanced(layer, W_geo.bottom(layer.rank), statistics)


@method(paper=GEORA, claims=Claims(subspace="top", start="top", matrix="W_Geo"), needs="top", options=OPTIONS)
def geora_spectral(layer: Layer) -> Factors:
    """As `geora` with W_Geo = W ⊙ M_Spec (GeoRA's ablation "w/o M_Euc")."""
    W_geo, statistics = masked_by_one(layer, spectral_mask(layer))
    return balanced(layer, W_geo.top(layer.rank), statistics)


@method(paper=GEORA, claims=Claims(subspace="top", start="top", matrix="W_Geo"), needs="top", options=OPTIONS)
def geora_euclidean(layer: Layer) -> Factors:
    """As `geora` with W_Geo = W ⊙ M_Euc (GeoRA's ablation "w/o M_Spec")."""
    W_geo, statistics = masked_by_one(layer, euclidean_mask(layer))
    return balanced(layer, W_geo.top(layer.rank), statistics)


def masked_by_both(layer: Layer) -> tuple[Spectrum, Mapping[str, float]]:
    """The spectrum of W ⊙ (M_Spec ∪ M_Euc), and how the two masks overlap."""
    spectral, euclidean = spectral_mask(layer), euclidean_mask(layer)
    return masked(layer, spectral | euclidean), overlap(spectral, euclidean)


def masked_by_one(layer: Layer, mask: Tensor) -> tuple[Spectrum, Mapping[str, float]]:
    """The spectrum of W ⊙ M, and the share of the entries that M keeps."""
    return masked(layer, mask), {"mask_share": share(mask)}


def masked(layer: Layer, mask: Tensor) -> Spectrum:
    """The spectrum of W_Geo = W ⊙ M."""
    W_geo = layer.W.masked_fill(~mask, 0.0)
    if not W_geo.any() and layer.W.any():
        raise UserError(
            f"{layer.name}: none but zeros of W {layer.shape} are left in W_Geo",
            f"rho = {layer.fraction('rho')} keeps {int(mask.count_nonzero())} of its {mask.numel()} entries",
            "give a larger rho, or leave this layer out of the targets",
        )
    layer.matrix.release()  # the solver needs the room
    return layer.derived_spectrum("W_Geo", W_geo)


def spectral_mask(layer: Layer) -> Tensor:
    """M_Spec = 1[|Ŵ_r| ≤ τ_Spec], Ŵ_r the rank-r approximation of W: entries that its principal part leaves alone."""
    # an error δ of Ŵ_r moves a share of about δ/2 of the entries over the threshold, which changes W_Geo by √δ: what is
    # enough for the energy of W's top is not enough here, so the product is converged
    U, S, Vh = layer.product_spectrum("mask").top(layer.rank)
    return smallest(((U * S) @ Vh).abs_(), layer.fraction("rho"), nonnegative=True)


def euclidean_mask(layer: Layer) -> Tensor:
    """M_Euc = 1[|W| ≤ τ_Euc]: entries near zero."""
    return smallest(layer.W, layer.fraction("rho"))


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


def overlap(first: Tensor, second: Tensor) -> Mapping[str, float]:
    """Intersection and union of two masks as shares of all entries, and their Jaccard index."""
    both, either = share(first & second), share(first | second)
    return {"mask_intersection": both, "mask_union": either, "mask_jaccard": both / either if either else 0.0}


def share(mask: Tensor) -> float:
    """The share of a mask's entries that are True, counted exactly."""
    return int(mask.count_nonzero()) / mask.numel()


def random_part(spectrum: Spectrum, r: int, generator: torch.Generator) -> Triplets:
    """Uniformly r of the k positive triplets, in descending order of σ, in float32."""
    every = spectrum.full
    if r > len(every.S):
        return spectrum.top(r)  # raises, and says why
    chosen = torch.randperm(len(every.S), generator=generator)[:r].sort().values.to(every.S.device)
    return Triplets(every.U[:, chosen], every.S[chosen], every.Vh[chosen]).to(torch.float32)
