"""What a report says of the engine that wrote the rollouts."""

from __future__ import annotations

import pytest

from stiefel.report.charts import charts
from stiefel.report.engine import engine_warnings
from stiefel.report.runs import read_runs
from stiefel.report.words import notes
from stiefel.scores import survival_warning

from .conftest import Maker


@pytest.mark.parametrize(("survival", "said"), [([None, 0.95, 0.91], False), ([None, 0.95, 0.54], True)])
def test_a_run_whose_engine_lost_most_of_its_update_says_so(
    survival: list[float | None], said: bool, make: Maker
) -> None:
    make.run(rewards=[0.2, 0.4, 0.5], metrics={"sync_survival": survival, "engine_mismatch": [1e-3, 1e-3, 2e-3]})
    (run,) = read_runs(make.root)
    assert bool(engine_warnings(run)) == said
    assert any("plays 0.54 of the trained update" in line for line in notes([run], [])) == said
    drawn = {metric.key for metric, _, _ in charts([run])}
    assert {"sync_survival", "engine_mismatch"} <= drawn


def test_a_run_without_an_engine_says_nothing_of_one(make: Maker) -> None:
    make.run()
    (run,) = read_runs(make.root)
    assert engine_warnings(run) == []
    assert not {metric.key for metric, _, _ in charts([run])} & {"sync_survival", "engine_mismatch"}


def test_the_warning_names_what_to_do() -> None:
    assert survival_warning(0.9, 3) == ""
    assert 'rollout.sync = "factors"' in survival_warning(0.89, 3)
