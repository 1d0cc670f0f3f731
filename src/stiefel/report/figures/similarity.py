"""Figure 7: how far A lies in the leading and in the trailing input directions of W, while it trains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

from ...model import kind_and_depth
from ..evidence import Evidence, LiveMatrix
from ..runs import Run
from ..vertical import vertical
from . import captions
from .drawing import Drawing, Missing
from .marks import Place, over_seeds
from .panels import Across, Lines

End = Literal["top", "bottom"]
WORDS: dict[End, str] = {"top": "leading", "bottom": "trailing"}


def subspace_similarity(evidence: Evidence) -> Drawing | Missing:
    """A row for the leading and one for the trailing directions: by layer at the end, and averaged over training."""
    if not any(evidence.geometry.values()):
        return Missing("needs run.geometry_every > 0")
    runs = [run for run in evidence.runs if any(row_mean(row.layers, "top") for row in evidence.geometry[run.name])]
    if not runs:
        return Missing("needs a method with a trained factor A; these runs have none")
    groups = sorted({run.group for run in runs})
    axis = vertical("linear", [1.0])
    level = chance(evidence, runs)
    panels = []
    for end in ("top", "bottom"):
        for group in groups:
            here = [run for run in runs if run.group == group]
            names = evidence.series
            layers = over_seeds((names[run.name], by_depth(evidence, run, end)) for run in here)
            steps = over_seeds((names[run.name], by_step(evidence, run, end)) for run in here)
            where = captions.at_rate(group, groups)
            title = f"{WORDS[end].capitalize()} directions, by layer{where}"
            panels.append(Lines(title, tuple(layers), Across("layer"), axis, level, what="similarity"))
            title = f"{WORDS[end].capitalize()} directions, all layers{where}"
            panels.append(Lines(title, tuple(steps), Across("rollout"), axis, level, what="similarity"))
    without = sorted({run.method for run in evidence.runs if run.name not in {one.name for one in runs}})
    caption = captions.joined(
        "Subspace similarity ‖AV‖_F/‖A‖_F of the trained factor A with the r leading (above) and the r trailing "
        "(below) right singular vectors V of W: left by layer at the last measured rollout, mean of the layer's "
        "matrices; right over training, mean of all matrices.",
        "Of lines that coincide, the later one in the legend lies above.",
        "Dotted: √(r/n) on average, rows of A without a preference." if level else "",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        f"Left out, for they have no factor A or no rows of geometry.jsonl: {', '.join(without)}." if without else "",
    )
    return Drawing(tuple(panels), 2, caption, evidence.styles)


def value(layer: LiveMatrix, end: End) -> float | None:
    """One matrix's similarity; None where there is no A."""
    return layer.similarity_top if end == "top" else layer.similarity_bottom


def row_mean(layers: Sequence[LiveMatrix], end: End) -> float | None:
    """The mean over the matrices that have it."""
    found = [one for layer in layers if (one := value(layer, end)) is not None]
    return fmean(found) if found else None


def by_step(evidence: Evidence, run: Run, end: End) -> Mapping[Place, float]:
    """Rollout → mean over all matrices."""
    rows = evidence.geometry[run.name]
    return {row.step: mean for row in rows if (mean := row_mean(row.layers, end)) is not None}


def by_depth(evidence: Evidence, run: Run, end: End) -> Mapping[Place, float]:
    """Layer → mean over its matrices in the last row; matrices outside the layers are left out."""
    groups: dict[int, list[LiveMatrix]] = {}
    for layer in evidence.geometry[run.name][-1].layers:
        depth = kind_and_depth(layer.name)[1]
        if depth is not None:
            groups.setdefault(depth, []).append(layer)
    return {depth: mean for depth in sorted(groups) if (mean := row_mean(groups[depth], end)) is not None}


def chance(evidence: Evidence, runs: Sequence[Run]) -> tuple[float, ...]:
    """√(r/n) on average over the matrices of an inspected run; nothing where none is, or where ranks differ."""
    means = {
        round(fmean(math.sqrt(one.directions / one.shape[1]) for one in evidence.matrices[run.name]), 6)
        for run in runs
        if run.name in evidence.matrices
    }
    return tuple(means) if len(means) == 1 else ()
