"""Figure 3 of the RLPO paper, and the twelve-method study's: where in W's spectrum the update lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..evidence import Evidence
from ..inspections import Curve, Matrix
from ..runs import Run
from ..vertical import vertical
from ..words import listed
from . import captions
from .aligned import averaged, depths, distribution, energy
from .drawing import Drawing, Missing
from .marks import Mark, Place, numbers, over_seeds
from .panels import Across, Lines

PROJECTIONS = ("q_proj", "o_proj")
COARSE = 20  # bins of the study's figure, over matrices of several sizes
ACROSS = Across("W's directions, by falling σ", "share")
TRUE, PUBLISHED = "ΔW", "sBA"
WHOLE = ("full", "sparse")  # methods that train W itself, without factors
Of = Callable[[Matrix], Curve | None]
Reduce = Callable[[Matrix, Curve, int], np.ndarray]


def update_of(matrix: Matrix) -> Curve | None:
    """That of the true change."""
    return matrix.update


def product_of(matrix: Matrix) -> Curve | None:
    """That of sBA, which is the change itself where B₀A₀ = 0."""
    return matrix.product if matrix.product is not None else matrix.update


def chosen(matrices: Sequence[Matrix]) -> list[Matrix]:
    """The query and output projections of the first, the middle and the last layer."""
    found = [matrix for matrix in matrices if matrix.kind.rpartition(".")[2] in PROJECTIONS]
    layers = depths(found)
    return [matrix for matrix in found if matrix.depth in layers]


def aligned_updates(evidence: Evidence) -> Drawing | Missing:
    """Figure 3: p_i and the cumulative energy, of the true change and of sBA as published."""
    parts = {name: chosen(matrices) for name, matrices in evidence.matrices.items()}
    curves = {name: found for name, found in parts.items() if any(matrix.update for matrix in found)}
    if not curves:
        return Missing(reason(evidence, "the query and output projections (q_proj, o_proj)"))
    runs = [run for run in evidence.runs if run.name in curves]
    bins = min(len(matrix.update.distribution) for found in curves.values() for matrix in found if matrix.update)
    anchored = any(matrix.product is not None for found in curves.values() for matrix in found)
    factored = [run for run in runs if run.method not in WHOLE]
    forms: list[tuple[str, Of, Sequence[Run]]] = [(TRUE, update_of, runs)]
    forms += [(PUBLISHED, product_of, factored)] if anchored else []
    layers = sorted({matrix.depth for found in curves.values() for matrix in found if matrix.depth is not None})
    panels = [panel for name, of, some in forms for panel in pair(evidence, some, curves, of, f" of {name}", bins)]
    caption = captions.joined(
        "SVD-aligned update distribution and cumulative energy after training. Left: k·p_i with "
        "p_i = |u_iᵀΔWv_i|/Σ_j|u_jᵀΔWv_j| over W's k singular directions, 1 (dotted) where an update prefers none. "
        "Right: E_i = Σ_{j≤i}c_j²/Σ_jc_j², c_i = u_iᵀΔWv_i.",
        f"Averaged over {listed(PROJECTIONS)} of layers {listed(layers)}, in {bins} bins.",
        "Above, the true change ΔW = s(BA − B₀A₀); below, sBA as in the RLPO paper, which for an anchored start holds "
        "what it started with" + (" (full weights have no BA)." if len(factored) < len(runs) else ".")
        if anchored
        else "ΔW = sBA: no start here has B₀A₀ ≠ 0.",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        captions.not_measured(evidence, evidence.runs),
    )
    return Drawing(tuple(panels), 2, caption, evidence.styles)


def spectral_distribution(evidence: Evidence) -> Drawing | Missing:
    """The twelve-method study's figure: the same of every matrix, full fine-tuning beside the adapters."""
    curves = {
        name: [matrix for matrix in matrices if matrix.update]
        for name, matrices in evidence.matrices.items()
        if any(matrix.update for matrix in matrices)
    }
    if not curves:
        return Missing(reason(evidence, "a changed matrix"))
    runs = [run for run in evidence.runs if run.name in curves]
    bins = min(COARSE, *(len(one.update.distribution) for found in curves.values() for one in found if one.update))
    matrices = sorted({len(found) for found in curves.values()})
    caption = captions.joined(
        "Spectral distribution of the true change ΔW by method. Left: k·p_i, as in the RLPO paper's Fig. 3, in "
        f"{bins} bins, 1 (dotted) where an update prefers no direction. Right: its cumulative energy. Averaged over "
        f"all {listed(matrices, 'or')} matrices.",
        "" if any(run.method == "full" for run in runs) else "Full fine-tuning (full) is not among the runs.",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        captions.not_measured(evidence, evidence.runs),
    )
    return Drawing(tuple(pair(evidence, runs, curves, update_of, "", bins)), 2, caption, evidence.styles)


def pair(
    evidence: Evidence, runs: Sequence[Run], curves: Mapping[str, Sequence[Matrix]], of: Of, form: str, bins: int
) -> list[Lines]:
    """Distribution and energy side by side, a row a learning rate."""
    groups = sorted({run.group for run in runs})
    of_figure = sorted({run.group for run in evidence.runs if run.name in curves})  # which a title tells apart
    drawn = {
        (here, reduce): marks(evidence, [run for run in runs if run.group == here], curves, of, reduce, bins)
        for here in groups
        for reduce in (distribution, energy)
    }
    spread = vertical("log", numbers(found for (_, reduce), found in drawn.items() if reduce is distribution))
    return [
        Lines(
            ("Distribution" if reduce is distribution else "Cumulative energy")
            + form
            + captions.at_rate(here, of_figure),
            tuple(found),
            ACROSS,
            spread if reduce is distribution else vertical("linear", [1.0]),
            levels=(1.0,) if reduce is distribution else (),
            what="k·p" if reduce is distribution else "energy so far",
        )
        for (here, reduce), found in drawn.items()
    ]


def marks(
    evidence: Evidence, runs: Sequence[Run], curves: Mapping[str, Sequence[Matrix]], of: Of, reduce: Reduce, bins: int
) -> list[Mark]:
    """One curve a run, the mean over its matrices."""

    def curve(run: Run) -> Mapping[Place, float]:
        return averaged([reduce(matrix, one, bins) for matrix in curves[run.name] if (one := of(matrix)) is not None])

    return over_seeds((evidence.series[run.name], curve(run)) for run in runs)


def reason(evidence: Evidence, what: str) -> str:
    """Why no run has something to draw of its weights."""
    if evidence.matrices:
        return f"needs {what}; no inspected run has changed any"
    reasons = list(dict.fromkeys(evidence.unmeasured.values()))
    return f"needs the inspection of a run's weights: {'; '.join(reasons)}"
