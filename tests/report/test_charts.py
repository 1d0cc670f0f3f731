from __future__ import annotations

import math
from pathlib import Path

import pytest

from stiefel.report import write_figure
from stiefel.report.charts import charts
from stiefel.report.curves import METRICS, points, trailing_mean
from stiefel.report.groups import of_rate
from stiefel.report.runs import read_runs
from stiefel.report.vertical import decades, linear_below, span

from .conftest import Maker

REWARD = METRICS[0]


def test_several_seeds_become_a_mean_with_its_range(make: Maker) -> None:
    make.run(seed=0, rewards=[0.2, 0.5])
    make.run(seed=1, rewards=[0.3, 0.5, 1.0], status="running")
    first, second, third = points(read_runs(make.root), REWARD, of_rate(1e-3))
    assert (first.value, first.low, first.high, first.seeds) == (0.25, 0.2, 0.3, 2)
    assert (second.value, second.raw) == (0.375, 0.5)
    assert (third.value, third.raw, third.seeds) == (0.6, 1.0, 1)


def test_what_is_not_finite_leaves_a_gap(make: Maker) -> None:
    make.run(metrics={"grad_norm": [1.0, math.nan, math.inf, 2.0, 3.0, 4.0]})
    gradient = next(metric for metric in METRICS if metric.key == "grad_norm")
    values = [point.value for point in points(read_runs(make.root), gradient, of_rate(1e-3))]
    assert values == [1.0, None, None, 2.0, 3.0, 4.0]


def test_a_trailing_mean_starts_with_what_there_is() -> None:
    assert trailing_mean([1.0, 3.0, 5.0, 7.0], 2) == [1.0, 2.0, 4.0, 6.0]


def test_a_symlog_axis_has_a_place_for_zero() -> None:
    assert linear_below([0.0, 0.003, 40.0]) == 1e-3
    assert decades(1e-3, 40.0) == [0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]
    assert linear_below([]) == 0.1
    assert span([]) == (0.0, 1.0)
    assert span([-2.0, 3.0]) == (-2.0, 3.0)


def test_one_chart_per_metric_and_rate_on_a_common_scale(make: Maker) -> None:
    make.run(lr=1e-3, rewards=[0.2, 0.4])
    make.run(lr=1e-2, rewards=[0.9, 0.1])
    found = charts(read_runs(make.root))
    drawn = ("reward", "kl_base", "grad_norm", "completion_length")  # what the runs measured
    assert [(metric.key, group.place) for metric, group, _ in found] == [
        (key, lr) for key in drawn for lr in (1e-3, 1e-2)
    ]
    domains = {chart.to_dict()["layer"][-1]["encoding"]["y"]["scale"]["domain"][1] for _, _, chart in found[:2]}
    assert domains == {0.9}


@pytest.mark.parametrize(("shares", "drawn"), [([0.0, 0.0], False), ([0.0, 0.25], True), ([math.nan, 0.0], True)])
def test_truncation_is_drawn_where_there_was_some(shares: list[float], drawn: bool, make: Maker) -> None:
    make.run(rewards=[0.2, 0.4], metrics={"truncated_fraction": shares})
    assert any(metric.key == "truncated_fraction" for metric, _, _ in charts(read_runs(make.root))) == drawn


def test_the_figure_is_drawn_as_svg_and_png(make: Maker, tmp_path: Path) -> None:
    for method in ("rlpo", "lora"):
        make.run(method)
    svg, png = write_figure(make.root, tmp_path / "figures" / "reward")
    assert "learning rate 1e-3" in svg.read_text()
    assert png.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in svg.parent.iterdir()) == ["reward.png", "reward.svg"]
