"""GeoRA's figure: NSS and S_Head by method, and the spectra before and after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import numpy as np

from ..evidence import Evidence
from ..groups import Group
from ..inspections import Matrix
from ..runs import Run
from ..series import Series, Style
from ..vertical import vertical
from . import captions
from .aligned import averaged
from .alignment import ACROSS, reason
from .drawing import Drawing, Missing
from .marks import Mark, Place, numbers, over_seeds
from .panels import Dots, Lines, Panel

POINTS = 50  # of a spectrum
BEFORE = Series("before training")
BEFORE_STYLE = Style("#8a8f98", (2, 3))  # between the inks of a light and a dark page
Reduce = Callable[[np.ndarray, np.ndarray], np.ndarray]  # σ(W), σ(W⁺) → a curve


def spectra(evidence: Evidence) -> Drawing | Missing:
    """Dots by method above, the spectra below; a block a learning rate."""
    found = {
        name: [matrix for matrix in matrices if matrix.spectra is not None]
        for name, matrices in evidence.matrices.items()
        if any(matrix.spectra is not None for matrix in matrices)
    }
    if not found:
        return Missing(reason(evidence, "a changed matrix"))
    runs = [run for run in evidence.runs if run.name in found]
    groups = sorted({run.group for run in runs})
    panels = [
        panel for here in groups for panel in block(evidence, [run for run in runs if run.group == here], found, groups)
    ]
    caption = captions.joined(
        "What training did to the spectrum, mean of all matrices. Above: NSS = ‖σ(W⁺) − σ(W)‖₂/‖σ(W)‖₂, and "
        "S_Head = (‖U_kᵀΔW‖² + ‖ΔWV_k‖²)/(2‖ΔW‖²) of the true change ΔW, k the method's rank (the recipe's for full "
        "weights); a short upright stroke is a change without preference. Below: the singular values before and after "
        "training over the largest before, on a logarithmic axis, and their shift (σ_i(W⁺) − σ_i(W))/σ_1(W).",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        captions.not_measured(evidence, evidence.runs),
    )
    return Drawing(tuple(panels), 2, caption, {**evidence.styles, BEFORE: BEFORE_STYLE})


def block(
    evidence: Evidence, runs: Sequence[Run], found: Mapping[str, Sequence[Matrix]], groups: Sequence[Group]
) -> list[Panel]:
    """The four panels of a group."""
    where = captions.at_rate(runs[0].group, groups)
    chance = {evidence.series[run.name].label: fmean(one.s_head_chance for one in found[run.name]) for run in runs}
    before = over_seeds([(BEFORE, curve(found[runs[0].name], relative_before))])
    after = curves(evidence, runs, found, relative_after)
    shift = curves(evidence, runs, found, shifts)
    return [
        Dots("NSS" + where, by_method(evidence, runs, found, "nss"), "shift of the spectrum", what="NSS"),
        Dots("S_Head" + where, by_method(evidence, runs, found, "s_head"), "share in the head",
             ticks=chance, what="S_Head"),
        Lines("Spectra" + where, (*after, *before), ACROSS,
              vertical("log", numbers([after, before])), what="σ_i/σ_1"),
        Lines("Shift of σ" + where, shift, ACROSS,
              vertical("linear", numbers([shift])), levels=(0.0,), what="shift"),
    ]  # fmt: skip


def by_method(
    evidence: Evidence, runs: Sequence[Run], found: Mapping[str, Sequence[Matrix]], figure: str
) -> tuple[Mark, ...]:
    """The mean over matrices, one mark a series."""
    return tuple(
        over_seeds(
            (evidence.series[run.name], {figure: fmean(vars(matrix)[figure] for matrix in found[run.name])})
            for run in runs
        )
    )


def curves(
    evidence: Evidence,
    runs: Sequence[Run],
    found: Mapping[str, Sequence[Matrix]],
    of: Reduce,
) -> tuple[Mark, ...]:
    """One curve a run."""
    return tuple(over_seeds((evidence.series[run.name], curve(found[run.name], of)) for run in runs))


def curve(matrices: Sequence[Matrix], of: Reduce) -> Mapping[Place, float]:
    """The mean over matrices at common relative places."""
    return averaged([resampled(matrix, of) for matrix in matrices])


def resampled(matrix: Matrix, of: Reduce) -> np.ndarray:
    """A curve over i/k at i/k = 1/50, …, 1."""
    assert matrix.spectra is not None
    places = np.array(matrix.spectra.places) / matrix.spectra.places[-1]
    values = of(np.array(matrix.spectra.before), np.array(matrix.spectra.after))
    found: np.ndarray = np.interp(np.arange(1, POINTS + 1) / POINTS, places, values)
    return found


def relative_before(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """σ_i(W)/σ_1(W)."""
    found: np.ndarray = before / before[0]
    return found


def relative_after(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """σ_i(W⁺)/σ_1(W)."""
    found: np.ndarray = after / before[0]
    return found


def shifts(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(σ_i(W⁺) − σ_i(W))/σ_1(W)."""
    found: np.ndarray = (after - before) / before[0]
    return found
