"""What a grid's [measure] asks for beside scores, of trained runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from pydantic import TypeAdapter

from ..artifacts import INSPECTION, read_json
from ..recipe import MeasureSettings
from ..report import Run
from .numbers import Number, Pair, in_percent, measured, other_settings, over_seeds, why_not
from .work import Work

UNITS = {
    "norm": "",
    "minutes": "min",
    "GiB": "GiB",
    "trained": "% of the base",
    "faster": "% of full's time",
    "less_memory": "% of full's memory",
    "NSS": "",
    "S_Head": "",
}
SUMMARY = TypeAdapter(dict[str, object])
Found = Mapping[str, Mapping[str, float]]  # of a method, model or run: figure → ours


def measured_pairs(work: Work, runs: Sequence[Run]) -> list[Pair]:
    """The pairs of a [measure] whose runs are trained."""
    measure = work.measure
    if measure is None:
        return []
    match measure.kind:
        case "efficiency":
            return paired(work, measure, efficiency(runs))
        case "spectra":
            return paired(work, measure, spectra(runs))
        case _:
            return score_pairs_of_runs(work, measure, runs)


def paired(work: Work, measure: MeasureSettings, found: Found) -> list[Pair]:
    """Each published figure with ours, or each by itself where ours is of another model; then ours alone."""
    pairs, changed = [], bool(work.changes)
    for name in dict.fromkeys([*measure.published, *found]):
        theirs, mine = measure.published.get(name, {}), found.get(name, {})
        for figure in dict.fromkeys([*theirs, *mine]):
            known = Number(theirs[figure]) if figure in theirs else None
            ours = Number(mine[figure]) if figure in mine else None
            unit = UNITS[figure]
            if work.is_papers or ours is None or known is None:
                why = other_settings(work) if ours else why_not(work)
                pairs.append(Pair(name, figure, "", unit, known, ours, why, changed))
            else:
                pairs.append(Pair(name, figure, "", unit, known, None, why_not(work)))
                pairs.append(Pair(name, figure, "", unit, None, ours))
    return pairs


def efficiency(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Method → trained share, time and memory against full weights, all in percent."""
    done = {run.method: run for run in runs if run.finished}
    full = done.get("full")
    found: dict[str, dict[str, float]] = {}
    for method, run in done.items():
        counts = run.manifest
        if counts.base_parameters and counts.trainable_parameters is not None:
            found[method] = {"trained": 100 * counts.trainable_parameters / counts.base_parameters}
        if full is not None and run is not full:
            for figure, metric, of in (("faster", "seconds", fmean), ("less_memory", "peak_memory_bytes", max)):
                mine, whole = ([value for _, value in one.values(metric)] for one in (run, full))
                if mine and whole:
                    found.setdefault(method, {})[figure] = 100 * (1 - of(mine) / of(whole))
    return found


def spectra(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Method → NSS and S_Head, means over the matrices of its first run that was inspected."""
    found: dict[str, dict[str, float]] = {}
    for run in runs:
        if run.method not in found and (run.path / INSPECTION).is_file():
            summary = SUMMARY.validate_python(read_json(run.path / INSPECTION)["summary"])
            figures = {"NSS": summary.get("nss"), "S_Head": summary.get("s_head")}
            found[run.method] = {name: value for name, value in figures.items() if isinstance(value, float)}
    return found


def score_pairs_of_runs(work: Work, measure: MeasureSettings, runs: Sequence[Run]) -> list[Pair]:
    """Scores that were published of a run by its name, not of a method."""
    expected = next(iter(work.published.values())).expected
    pairs = []
    for name, figures in measure.published.items():
        of_name = [run for run in runs if name in (run.name, run.name.partition("-seed")[0])]
        for task, score in figures.items():
            ours = over_seeds(measured(of_name, task, expected)) if work.is_papers else None
            why = other_settings(work) if ours is not None else why_not(work)
            pairs.append(Pair(name, task, "mean", "%", Number(score), in_percent(ours), why, bool(work.changes)))
    return pairs
