"""Tables of starts, for which nothing is trained: the norm of B₀A₀, and what it costs to find one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

from ..adapter import Certificate, prepare
from ..memory import forget_peak, peak_memory_bytes
from ..recipe import MeasureSettings, Recipe
from .measures import paired
from .numbers import Pair
from .work import Work

GIB = 2**30
Progress = Callable[[str, int, int], None]


def start_pairs(work: Work, progress: Progress) -> list[Pair]:
    """Each run's start made and thrown away, and what was measured of it beside what was published."""
    measure = work.measure
    assert measure is not None
    found: dict[str, dict[str, float]] = {}
    for recipe in work.runs.values():
        forget_peak()
        began = time.perf_counter()
        certificate = made(recipe, progress)
        minutes = (time.perf_counter() - began) / 60
        name = named(recipe, measure)
        if measure.kind == "start-norm":
            found[name] = {"norm": fmean(layer.anchor_norm / certificate.scaling for layer in certificate.layers)}
        else:
            found[name] = {"minutes": minutes, "GiB": peak_memory_bytes() / GIB}
    return paired(work, measure, found)


def made(recipe: Recipe, progress: Progress) -> Certificate:
    """The certificate of a recipe's start; without the cache, in which an earlier one would be found for nothing."""
    model, adapter = recipe.model, recipe.adapter
    with tempfile.TemporaryDirectory() as scratch:
        return prepare(
            model.path,
            adapter.method,
            Path(scratch) / "adapter",
            r=adapter.rank,
            alpha=adapter.alpha,
            target_modules=adapter.targets,
            seed=recipe.run.seed,
            dtype=model.dtype,
            revision=model.revision,
            cache=False,
            options=dict(adapter.options),
            progress=progress,
        )


def named(recipe: Recipe, measure: MeasureSettings) -> str:
    """What tells a start from the others: its method, or the model that it stands on."""
    return recipe.adapter.method if measure.kind == "start-norm" else recipe.model.path
