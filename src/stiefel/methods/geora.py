"""GeoRA and its ablations: singular directions of W_Geo, the entries of W that RL is said to move."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..errors import UserError
from ..spectrum import Solved, Solver, Spectrum, Triplets
from .layer import Factors, Layer
from .method import Claims, method
from .option import Fraction
from .papers import GEORA
from .spectral import balanced, sigma_option
from .thresholds import Decided, smallest, smallest_of_product

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
    return started(layer, masked_by_both(layer).side("top", layer.rank))


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
    W_geo = masked_by_both(layer)
    return balanced(layer, random_part(W_geo, layer.rank, layer.generator()), W_geo.notes)


@method(paper=GEORA, claims=Claims(subspace="bottom", start="bottom", matrix="W_Geo"), needs="bottom", options=OPTIONS)
def geora_tail(layer: Layer) -> Factors:
    """As `geora`, of the last r triplets of W_Geo with σ > 0 (GeoRA's ablation "Tail-r", our reading).

    The source names the ablation without defining it. Not `milora`, which takes the last r of W itself.
    """
    return started(layer, masked_by_both(layer).side("bottom", layer.rank))


@method(paper=GEORA, claims=Claims(subspace="top", start="top", matrix="W_Geo"), needs="top", options=OPTIONS)
def geora_spectral(layer: Layer) -> Factors:
    """As `geora` with W_Geo = W ⊙ M_Spec (GeoRA's ablation "w/o M_Euc")."""
    W_geo = masked_by_one(layer, "spectral", lambda: decided_spectral_mask(layer))
    return started(layer, W_geo.side("top", layer.rank))


@method(paper=GEORA, claims=Claims(subspace="top", start="top", matrix="W_Geo"), needs="top", options=OPTIONS)
def geora_euclidean(layer: Layer) -> Factors:
    """As `geora` with W_Geo = W ⊙ M_Euc (GeoRA's ablation "w/o M_Spec")."""
    W_geo = masked_by_one(layer, "euclidean", lambda: Decided(euclidean_mask(layer), 0))
    return started(layer, W_geo.side("top", layer.rank))


def started(layer: Layer, solved: Solved) -> Factors:
    """The start from triplets of W_Geo, with what is known of the masks."""
    return balanced(layer, solved.triplets, solved.notes)


def masked_by_both(layer: Layer) -> Spectrum:
    """The spectrum of W ⊙ (M_Spec ∪ M_Euc), noted beside it how the two masks overlap."""

    def make() -> tuple[Tensor, Mapping[str, float]]:
        spectral, euclidean = decided_spectral_mask(layer), euclidean_mask(layer)
        notes = {**overlap(spectral.mask, euclidean), **undecided(spectral)}
        return masked(layer, spectral.mask.logical_or_(euclidean)), notes

    return layer.derived_spectrum("W_Geo", made_with(layer, "both"), make)


def masked_by_one(layer: Layer, kind: str, decide: Callable[[], Decided]) -> Spectrum:
    """The spectrum of W ⊙ M, noted beside it the share of the entries that M keeps."""

    def make() -> tuple[Tensor, Mapping[str, float]]:
        decided = decide()
        return masked(layer, decided.mask), {"mask_share": share(decided.mask), **undecided(decided)}

    return layer.derived_spectrum("W_Geo", made_with(layer, kind), make)


def made_with(layer: Layer, masks: str) -> str:
    """All that W_Geo depends on beside W: which masks, their ρ, and the rank of Ŵ_r."""
    return f"{masks}-{layer.fraction('rho')!r}-{layer.rank}"


def masked(layer: Layer, mask: Tensor) -> Tensor:
    """W_Geo = W ⊙ M."""
    W_geo = layer.W.masked_fill(~mask, 0.0)
    if not W_geo.any() and layer.W.any():
        raise UserError(
            f"{layer.name}: none but zeros of W {layer.shape} are left in W_Geo",
            f"rho = {layer.fraction('rho')} keeps {int(mask.count_nonzero())} of its {mask.numel()} entries",
            "give a larger rho, or leave this layer out of the targets",
        )
    layer.matrix.release()  # the solver needs the room
    return W_geo


def spectral_mask(layer: Layer) -> Tensor:
    """M_Spec = 1[|Ŵ_r| ≤ τ_Spec], Ŵ_r the rank-r approximation of W: entries that its principal part leaves alone."""
    return decided_spectral_mask(layer).mask


def decided_spectral_mask(layer: Layer) -> Decided:
    """M_Spec, and how many of its entries are nearer to the threshold than Ŵ_r is known.

    One entry that flips is an entry of W more or less in W_Geo, however little Ŵ_r is off: so Ŵ_r is made to the last
    bits, in float64, and where its solver leaves entries undecided LAPACK is asked.
    """
    found = decided_by(layer, layer.solver)
    return decided_by(layer, "exact") if found.undecided and layer.solver == "auto" else found


def decided_by(layer: Layer, solver: Solver) -> Decided:
    """The same from one solver's triplets."""
    solved = layer.product_spectrum("mask", solver).side("top", layer.rank)
    return smallest_of_product(solved.triplets, solved.angle, layer.fraction("rho"))


def undecided(decided: Decided) -> Mapping[str, float]:
    """How many entries float64 cannot decide, where there are any: equal ones, above all."""
    return {"mask_undecided": decided.undecided} if decided.undecided else {}


def euclidean_mask(layer: Layer) -> Tensor:
    """M_Euc = 1[|W| ≤ τ_Euc]: entries near zero."""
    return smallest(layer.W, layer.fraction("rho"))


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
