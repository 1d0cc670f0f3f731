"""Every figure of one matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..errors import UserError, nearest
from ..methods import Layer
from ..model import kind_and_depth
from ..spectrum import Triplets, orthonormality_error
from .alignment import (
    aligned_coefficients,
    aligned_distribution,
    angles_between,
    chance,
    cumulative_energy,
    subspace_shares,
    subspace_similarity,
)
from .basis import Basis
from .change import Change
from .masks import geora_masks, geora_premise
from .precision import in_bf16, rounded_shift
from .spectra import (
    SMALL,
    effective_rank,
    normalized_spectral_shift,
    singular_values,
    spectral_shift_bound,
    stable_rank,
)
from .subject import Trained

Also = Literal["tail", "spectrum", "masks"]
ALSO: tuple[Also, ...] = ("tail", "spectrum", "masks")
BINS = 100  # of a curve over W's singular directions


@dataclass(frozen=True)
class Curve:
    """An update over W's directions, from σ₁ to σ_k, in equal bins of their number."""

    distribution: list[float]  # Σp_i in each bin
    energy: list[float]  # E_i at the end of each bin
    head: float  # E_k of the k leading directions that are counted, and 1 − E of all but the k trailing ones
    tail: float


@dataclass(frozen=True)
class Spectra:
    """Singular values of W and of W⁺, in the same evenly spaced places, the first and the last among them."""

    places: list[int]  # i of σ_i, counted from 1
    before: list[float]
    after: list[float]


@dataclass(frozen=True)
class LayerGeometry:
    """The figures of one matrix; None where one does not exist, as for ΔW = 0, or was not measured."""

    name: str
    kind: str
    depth: int | None
    shape: tuple[int, int]  # (out, in)
    directions: int  # k, leading and trailing ones that are counted
    norm: float  # ‖W‖_F
    singular_values: list[float]  # the k leading ones of W
    delta_norm: float  # ‖ΔW‖_F
    relative: float  # ‖ΔW‖_F/‖W‖_F, which bounds NSS
    singular_values_bottom: list[float] | None = None  # the k trailing positive ones of W
    nss: float | None = None
    s_head: float | None = None
    s_head_left: float | None = None
    s_head_right: float | None = None
    s_head_joint: float | None = None
    s_head_product: float | None = None  # of sBA, where that is another matrix
    s_tail: float | None = None
    s_tail_left: float | None = None
    s_tail_right: float | None = None
    s_tail_joint: float | None = None
    s_head_chance: float = 0.0  # of a change without preference
    stable_rank: float | None = None
    effective_rank: float | None = None
    similarity_top: float | None = None  # ‖AV‖_F/‖A‖_F
    similarity_bottom: float | None = None
    angles: dict[str, list[float]] | None = None  # radians, of the k leading directions of ΔW and W's
    orthonormality_error: float | None = None  # ‖AAᵀ − I‖_max, and at the start
    orthonormality_error_at_start: float | None = None
    start_norm: float | None = None  # ‖B₀A₀‖_F
    bf16_changed: float | None = None  # share of the entries
    bf16_rounding: float | None = None  # norm of the rounding of W⁺ to bfloat16, relative to ‖ΔW‖_F
    bf16_nss: float | None = None  # what that rounding alone would make of `nss`
    bf16_stored: bool = False  # W⁺ is in bfloat16: the change holds that rounding already
    update: Curve | None = None  # of ΔW
    product: Curve | None = None  # of sBA, where that is another matrix
    spectrum: dict[str, float] | None = None  # of W
    spectra: Spectra | None = None  # of W and W⁺
    masks: dict[str, float] | None = None  # GeoRA's


def check_also(also: tuple[str, ...]) -> None:
    """Raise for a figure that there is none of."""
    for word in also:
        if word not in ALSO:
            raise UserError(f"no further figures {word!r}", "there are three groups of them", nearest(word, ALSO))


def measure(layer: Layer, trained: Trained, wanted: tuple[str, ...] = ()) -> LayerGeometry:
    """All figures of a matrix but those of the groups that are not `wanted`.

    The trailing directions cost some four times the leading ones, the whole spectrum an SVD of W and of W⁺ with several
    copies in float64, GeoRA's masks the triplets of W to a higher accuracy.
    """
    basis = Basis(layer, exact="spectrum" in wanted)
    change, top = trained.change, basis.top
    kind, depth = kind_and_depth(layer.name)
    found = LayerGeometry(
        name=layer.name,
        kind=kind,
        depth=depth,
        shape=layer.shape,
        directions=layer.rank,
        norm=basis.norm,
        singular_values=top.S.tolist(),
        delta_norm=change.norm,
        relative=spectral_shift_bound(basis.norm, change.norm),
        s_head_chance=chance(layer.shape, layer.rank),
        start_norm=trained.start_norm,
        orthonormality_error_at_start=trained.start_error,
    )
    bottom = basis.bottom if "tail" in wanted else None
    if bottom is not None:
        found = replace(found, singular_values_bottom=bottom.S.tolist())
    if trained.A is not None:
        found = replace(
            found,
            orthonormality_error=orthonormality_error(trained.A),
            similarity_top=subspace_similarity(trained.A, top.Vh),
            similarity_bottom=subspace_similarity(trained.A, bottom.Vh) if bottom is not None else None,
        )
    if "spectrum" in wanted:
        found = replace(found, spectrum=spectrum_of(basis))
    if not change.norm:
        return found
    head = subspace_shares(change, top)
    bf16 = in_bf16(layer.base, change)
    S = change.singular_values()
    found = replace(
        found,
        s_head=head.both,
        s_head_left=head.left,
        s_head_right=head.right,
        s_head_joint=head.joint,
        s_head_product=None if trained.product is None else subspace_shares(trained.product, top).both,
        stable_rank=stable_rank(S),
        effective_rank=effective_rank(S),
        bf16_changed=bf16.changed,
        bf16_rounding=bf16.rounding,
        bf16_nss=rounded_shift(bf16.rounding, found.relative, layer.shape),
        bf16_stored=trained.rounded,
        angles=angles(change, layer.rank, top, bottom),
    )
    if bottom is not None:
        tail = subspace_shares(change, bottom)
        found = replace(
            found, s_tail=tail.both, s_tail_left=tail.left, s_tail_right=tail.right, s_tail_joint=tail.joint
        )
    if "spectrum" in wanted:
        before, after = shifted(layer, change)
        found = replace(
            found,
            nss=normalized_spectral_shift(before, after),
            spectra=spectra(before, after),
            update=curve(change, basis.full, layer.rank),
            product=curve(trained.product, basis.full, layer.rank) if trained.product is not None else None,
        )
    if "masks" in wanted:
        found = replace(found, masks=geora_premise(change, geora_masks(layer))._asdict())
    return found


def angles(change: Change, k: int, top: Triplets, bottom: Triplets | None) -> dict[str, list[float]]:
    """Principal angles θ_i = arccos σ_i(XᵀY) of the change's k leading left and right directions with W's.

    Source: Björck and Golub, Math. Comp. 27, 1973.
    """
    own = change.leading(k)
    found = {}
    for name, part in (("top", top), ("bottom", bottom)):
        if part is not None:
            found[f"left_{name}"] = angles_between(part.U, own.U).tolist()
            found[f"right_{name}"] = angles_between(part.Vh.T, own.Vh.T).tolist()
    return found


def curve(change: Change, basis: Triplets, k: int) -> Curve:
    """p_i and E_i over all positive directions of W, in at most 100 bins, and the energy at both ends.

    p_i = |c_i|/Σ|c_j|, E_i = Σ_{j≤i}c_j²/Σc_j². Source: RLPO paper (arXiv:2606.31813), Fig. 3.
    """
    c = aligned_coefficients(change, basis)
    bins = min(BINS, len(c))
    ends = torch.arange(1, bins + 1) * len(c) // bins
    cumulative = aligned_distribution(c).cumsum(0)[ends - 1]
    shares = cumulative_energy(c).diff(prepend=c.new_zeros(1))
    return Curve(
        torch.diff(cumulative, prepend=cumulative.new_zeros(1)).tolist(),
        cumulative_energy(c)[ends - 1].tolist(),
        float(shares[:k].sum()),
        float(shares[max(0, len(c) - k) :].sum()),
    )


def spectrum_of(basis: Basis) -> dict[str, float]:
    """Of W's positive singular values σ_i: number, mean, Σσ_i/k of the k leading and trailing, extremes, two ranks.

    Source: RLPO paper (arXiv:2606.31813), Fig. 9, which shows means of the leading and the trailing ones.
    """
    S = basis.full.S
    if not len(S):
        return {"positive": 0}
    return {
        "positive": len(S),
        "mean": float(S.mean()),
        "top_mean": float(basis.top.S.to(torch.float64).mean()),
        "bottom_mean": float(basis.bottom.S.to(torch.float64).mean()),
        "largest": float(S[0]),
        "smallest": float(S[-1]),
        "effective_rank": effective_rank(S),
        "stable_rank": stable_rank(S),
    }


def shifted(layer: Layer, change: Change) -> tuple[Tensor, Tensor]:
    """σ(W) and σ(W + ΔW) (min(m, n),); both come from the same computation, so that its rounding is the same."""
    after: Tensor = layer.W.to(torch.float64 if min(layer.shape) <= SMALL else torch.float32, copy=True)
    before = singular_values(after)
    for chosen, piece in change.pieces():
        after[chosen] += piece.to(after)
    return before, singular_values(after)


def spectra(before: Tensor, after: Tensor) -> Spectra:
    """Two spectra (k,), σ(W) and σ(W⁺) with W⁺ = W + ΔW, in at most 100 places.

    Source: GeoRA (arXiv:2601.09361), spectra before and after training.
    """
    places = torch.linspace(0, len(before) - 1, min(BINS, len(before)), dtype=torch.float64).round().to(torch.int64)
    return Spectra((places + 1).tolist(), before[places].tolist(), after[places].tolist())
