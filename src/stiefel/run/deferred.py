"""A finished run whose test was left out → the same run directory with its test measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets import Dataset

from ..adapter import load
from ..artifacts import ADAPTER, EVAL, MEASURED, RECIPE, SAMPLES, VALIDATION, discard, read_json, write_json, write_text
from ..errors import UserError
from ..recipe import Recipe, load_recipe
from ..training import sft_rows, training_rows
from .checks import check_rows
from .described import describe
from .directory import status
from .loading import load_pair
from .measurements import (
    AFTER,
    BEFORE,
    BaseSamples,
    By,
    Progress,
    compare_scores,
    measured,
    same_questions,
    sample_lines,
)
from .questions import of_the_test
from .rehearsal import measured_tasks, trained_on, trained_task


def test_is_measured(out: Path) -> bool:
    """Whether the run in `out` has scores on the tasks that its recipe names."""
    written = json.loads((out / EVAL).read_text(encoding="utf-8")) if (out / EVAL).is_file() else {}
    return written.keys() >= set(load_recipe(out / RECIPE).eval.tasks)


def measure_test(out: Path, *, base: BaseSamples | None = None, progress: Progress = lambda line: None) -> None:
    """Measure what eval.defer left out of a finished run, by its base and its saved adapter, and complete its files.

    eval.json and samples.jsonl are then to the byte what the run would have written, had it measured its test itself.
    `base` holds samples of the base model where the caller has them. A run whose test is measured is left alone; one
    that was killed here goes on after its last whole batch. Raises UserError for a run that is not finished.
    """
    if status(out) != "finished":
        raise UserError(
            f"{out} is not finished",
            "its test is measured by the adapter that it ends with",
            "go on with it by --resume; a run that diverged has no test scores",
        )
    if test_is_measured(out):
        return
    recipe = of_the_test(load_recipe(out / RECIPE))
    tasks = measured_tasks(recipe)
    for name in trained_on(tasks):
        progress(f'note: {name} is measured on the rows that it is trained on; task.heldout = "FILE" names others')
    model, tokenizer = load_pair(recipe)
    check_rows(recipe, rows_of(load_recipe(out / RECIPE), tokenizer))
    place = out / MEASURED
    phases = {BEFORE: base} if base is not None else {}
    for when in (BEFORE, AFTER):
        if when == AFTER:
            model = load(model, out / ADAPTER).eval()
        if when not in phases:
            (place / when).mkdir(parents=True, exist_ok=True)
            by = By(journals=place / when)
            phases[when] = measured(recipe, model, tokenizer, when, progress, tasks, by)
        same_questions(recipe, tasks, tokenizer, phases[when])
    write_text(out / SAMPLES, completed((out / SAMPLES).read_text(encoding="utf-8"), phases))
    scores = compare_scores(phases)
    split = read_json(out / VALIDATION) if (out / VALIDATION).is_file() else {}
    describe(load_recipe(out / RECIPE), out, model, {**scores, **split})
    write_json(out / EVAL, scores)  # last: by it the test is known to be measured
    if place.is_dir():
        discard(place)


def rows_of(recipe: Recipe, tokenizer: Any) -> Dataset:
    """What the run was trained on."""
    return (sft_rows if recipe.algorithm.name == "sft" else training_rows)(recipe, trained_task(recipe), tokenizer)


def completed(lines: str, phases: dict[str, BaseSamples]) -> str:
    """A samples file with the test's first in each evaluation; what was put there of it already gives way."""
    kept: dict[str, list[str]] = {BEFORE: [], AFTER: []}
    training = []
    for line in lines.splitlines(keepends=True):
        row = json.loads(line)
        if row["when"] not in kept:
            training.append(line)
        elif row["task"] not in phases[AFTER]:
            kept[row["when"]].append(line)
    before, after = (sample_lines(when, phases[when]) + "".join(kept[when]) for when in (BEFORE, AFTER))
    return before + "".join(training) + after
