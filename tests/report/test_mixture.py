"""A mixture's tasks were trained: they are scored together and by name, and none of them as one that was kept."""

from __future__ import annotations

import json

import pytest

from stiefel.recipe.recipe import make_recipe
from stiefel.report import print_table
from stiefel.report.cells import cells
from stiefel.report.runs import read_runs
from stiefel.report.table import table
from stiefel.scores import accuracy, paired_difference

from .conftest import OTHER, TASK, Maker

GCD, LCM, KEPT = "reasoning_gym:gcd", "reasoning_gym:lcm", "nano-sort"
MIXED = {
    "task": {"mixture": [{"name": GCD}, {"name": LCM}, {"name": "reasoning_gym:count_bits", "weight": 0.0}]},
    "eval": {"tasks": [GCD, LCM, KEPT]},
}
BEFORE = {GCD: [1, 0, 0, 0], LCM: [1, 1, 0, 0], KEPT: [1, 1, 1, 1]}
AFTER = {GCD: [1, 1, 0, 0], LCM: [1, 1, 1, 1], KEPT: [1, 1, 1, 0]}


def mixed_run(make: Maker, seed: int = 0, after: dict[str, list[int]] = AFTER) -> None:
    """A run as `train` leaves it of a mixture, one of whose tasks has no weight."""
    path = make.run(seed=seed)
    (path / "recipe.toml").write_text(make_recipe(MIXED, [f"run.seed={seed}"]).to_toml())
    pattern = json.loads((path / "samples.jsonl").read_text().splitlines()[0])
    rows = [
        {**pattern, "when": when, "task": task, "question": question, "score": float(score)}
        for when, scores in (("before", BEFORE), ("after", after))
        for task, values in scores.items()
        for question, score in enumerate(values)
    ]
    (path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores = json.loads((path / "eval.json").read_text())
    assert set(scores) == {TASK, OTHER}
    (path / "eval.json").write_text(json.dumps(dict.fromkeys(BEFORE, scores[TASK])))


def test_the_whole_is_over_the_questions_of_all_its_tasks(make: Maker) -> None:
    mixed_run(make)
    (row,) = table(read_runs(make.root))
    whole = row.tasks[row.task]
    old, new = BEFORE[GCD] + BEFORE[LCM], AFTER[GCD] + AFTER[LCM]
    for found, expected in (
        (whole.before, accuracy(old)),
        (whole.after, accuracy(new)),
        (whole.gain, paired_difference(old, new)),
    ):
        assert (found.mean, found.low, found.high, found.questions) == (
            pytest.approx(expected.mean),
            pytest.approx(expected.low),
            pytest.approx(expected.high),
            8,
        )
    shown = cells([row])
    assert f"{row.task}, before → after [95%]" in shown.header
    assert f"0.375 → 0.750 [{whole.after.low:.3f}, {whole.after.high:.3f}]" in shown.body[0]


def test_no_task_that_was_trained_counts_as_kept(make: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    mixed_run(make)
    (row,) = table(read_runs(make.root))
    header = cells([row]).header
    assert [name for name in header if name.startswith("kept")] == [f"kept: {KEPT}"]
    assert [name for name in header if name in (GCD, LCM)] == [GCD, LCM]
    print_table(make.root)
    assert "0.38 → 0.75" in capsys.readouterr().out


def test_seeds_are_averaged_and_spread(make: Maker) -> None:
    mixed_run(make, 0)
    mixed_run(make, 1, {**AFTER, LCM: [1, 1, 0, 0]})
    (row,) = table(read_runs(make.root))
    after = row.tasks[row.task].after
    assert after.mean == pytest.approx((6 / 8 + 4 / 8) / 2)
    assert after.spread == pytest.approx(0.25 / 2**0.5)
    assert after.questions == 8
