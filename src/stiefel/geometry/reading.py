"""What the figures of an inspection say, in sentences that are made from the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from .layer import LayerGeometry
from .subject import Vector

HALF = 0.5  # of the energy, from which on bfloat16's rounding hides the change
ORTHONORMAL = 1e-4  # ‖A₀A₀ᵀ − I‖_max of a start whose rows are orthonormal, in any floating type


def reading(layers: Sequence[LayerGeometry], left_out: Sequence[str], vectors: Sequence[Vector]) -> list[str]:
    """A few sentences, the most telling first."""
    changed = [layer for layer in layers if layer.delta_norm]
    lines = []
    if not changed:
        lines.append(f"Nothing changed: ΔW = 0 in all {len(layers)} matrices, as before training; it has no direction.")
    else:
        lines += [size(changed, len(layers)), *place(changed), *shape(changed), *factors(changed), *precision(changed)]
    moved = [vector for vector in vectors if vector.delta_norm]
    if moved:
        most = max(moved, key=lambda vector: vector.delta_norm)
        lines.append(
            f"{len(moved)} of {len(vectors)} other parameters changed too, {most.name} the most "
            f"(‖Δ‖ = {most.delta_norm:.3g})."
        )
    if left_out:
        lines.append(
            f"Not measured, for they are no factors of a matrix: {len(left_out)} tensors such as {left_out[0]}."
        )
    return lines


def size(changed: Sequence[LayerGeometry], total: int) -> str:
    """How large the change is, and where the largest."""
    most = max(changed, key=lambda layer: layer.relative)
    return (
        f"{len(changed)} of {total} matrices changed, by {percent(fmean(one.relative for one in changed))} of their "
        f"norm on average; {most.name} the most ({percent(most.relative)})."
    )


def place(changed: Sequence[LayerGeometry]) -> list[str]:
    """In which of W's directions it lies, beside what a change without preference would give."""
    directions = sorted({layer.directions for layer in changed})
    k = str(directions[0]) if len(directions) == 1 else f"{directions[0]} to {directions[-1]}"
    heads = [layer.s_head for layer in changed if layer.s_head is not None]
    tails = [layer.s_tail for layer in changed if layer.s_tail is not None]
    chance = fmean(layer.s_head_chance for layer in changed)
    left, right = (
        fmean(value for layer in changed if (value := vars(layer)[f"s_head_{side}"]) is not None)
        for side in ("left", "right")
    )
    lines = [
        f"{percent(fmean(heads))} of the update lies in W's leading {k} directions (output side {percent(left)}, "
        f"input side {percent(right)}), where a random update has {percent(chance)}."
    ]
    if tails:
        lines.append(f"{percent(fmean(tails))} lies in the trailing {k}.")
    else:
        lines.append("The trailing directions of matrices this large were not asked for (--also tail).")
    shifts = [layer.nss for layer in changed if layer.nss is not None]
    if shifts:
        lines.append(f"The singular values moved by {percent(fmean(shifts))} of their norm (NSS).")
    else:
        bound = fmean(layer.relative for layer in changed)
        lines.append(
            f"The singular values moved by at most {percent(bound)} of their norm (--also spectrum measures it)."
        )
    return lines


def shape(changed: Sequence[LayerGeometry]) -> list[str]:
    """Of how many directions it is made."""
    ranks = [layer.stable_rank for layer in changed if layer.stable_rank is not None]
    lines = [f"Its stable rank is {fmean(ranks):.2g} on average."]
    masks = [layer.masks for layer in changed if layer.masks is not None]
    if masks:
        inside, random = (fmean(mask[name] for mask in masks) for name in ("energy_union", "random_mean"))
        lines.append(
            f"{percent(inside)} of its energy lies inside GeoRA's masks; random masks of that size hold "
            f"{percent(random)}."
        )
    return lines


def factors(changed: Sequence[LayerGeometry]) -> list[str]:
    """How the factor A lies, and how far it is from orthonormal rows, where it began with them."""
    lines = []
    tops = [layer.similarity_top for layer in changed if layer.similarity_top is not None]
    if tops:
        bottoms = [layer.similarity_bottom for layer in changed if layer.similarity_bottom is not None]
        tail = f", {fmean(bottoms):.2f} with the trailing ones" if bottoms else ""
        lines.append(f"A's similarity with W's leading input directions is {fmean(tops):.2f}{tail} (1: inside them).")
    drifts = [
        layer.orthonormality_error
        for layer in changed
        if layer.orthonormality_error is not None
        and layer.orthonormality_error_at_start is not None
        and layer.orthonormality_error_at_start < ORTHONORMAL
    ]
    if drifts:
        lines.append(f"A's rows began orthonormal and are off by {max(drifts):.2g} at most (‖AAᵀ − I‖_max).")
    return lines


def precision(changed: Sequence[LayerGeometry]) -> list[str]:
    """What bfloat16 would make of it, or has made of it where it is what the weights are stored in."""
    moved = fmean(layer.bf16_changed for layer in changed if layer.bf16_changed is not None)
    lines = [f"Rounded to bfloat16, {percent(moved)} of the entries change."]
    hidden = [layer for layer in changed if rounded_share(layer) > HALF]
    stored = [layer for layer in hidden if layer.bf16_stored]
    worst = max((layer.bf16_rounding or 0.0 for layer in hidden), default=0.0)
    if stored:
        lines.append(
            f"The weights are stored in bfloat16, and in {len(stored)} of {len(changed)} matrices that rounding is more"
            f" than half of the change (up to {percent(min(1.0, worst**2))} of its energy): their figures are beyond "
            "what bfloat16 weights resolve."
        )
    elif hidden:
        lines.append(
            f"In {len(hidden)} of {len(changed)} matrices the change is smaller than that rounding, which is up to "
            f"{worst:.2g} times as large: their figures are beyond what bfloat16 weights resolve."
        )
    blurred = Counter(name for layer in changed if layer not in hidden for name in below_rounding(layer))
    if blurred:
        names = ", ".join(f"{name} in {count}" for name, count in blurred.items())
        lines.append(
            f"That rounding alone makes more of a figure than the change does, of {names} of the "
            f"{len(changed) - len(hidden)}{' other' if hidden else ''} matrices: there it is beyond bfloat16 too."
        )
    return lines


def rounded_share(layer: LayerGeometry) -> float:
    """The rounding's share of the energy of the change as bfloat16 weights hold it."""
    rounding = (layer.bf16_rounding or 0.0) ** 2
    return rounding if layer.bf16_stored else rounding / (1 + rounding)


def below_rounding(layer: LayerGeometry) -> list[str]:
    """The figures of which the rounding of W⁺, an error without preference, makes more than the change does."""
    rounding, stored = (layer.bf16_rounding or 0.0) ** 2, 2.0 if layer.bf16_stored else 1.0
    noise = stored * rounding * layer.s_head_chance
    shift = stored**0.5 * layer.bf16_nss if layer.bf16_nss is not None else None
    pairs = (("NSS", layer.nss, shift), ("S_Head", layer.s_head, noise), ("S_Tail", layer.s_tail, noise))
    return [name for name, value, floor in pairs if value is not None and floor is not None and value < floor]


def percent(share: float) -> str:
    """Two significant digits below ten per cent, whole ones above."""
    value = 100 * share
    return f"{value:.0f}%" if value >= 10 else f"{value:.2g}%"
