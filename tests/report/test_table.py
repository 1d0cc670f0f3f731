from __future__ import annotations

import json
import statistics

import pytest

from stiefel.methods import METHODS
from stiefel.report import print_scores, print_table
from stiefel.report.cells import cells
from stiefel.report.files import write_table
from stiefel.report.groups import rate
from stiefel.report.numbers import NONE
from stiefel.report.runs import read_run, read_runs
from stiefel.report.series import STYLES, Series, ordered, style_of, styles
from stiefel.report.table import Figure, TableRow, ends, table, window_of
from stiefel.scores import accuracy, paired_difference

from .conftest import OTHER, TASK, Maker


def only_row(make: Maker) -> TableRow:
    (row,) = table(read_runs(make.root))
    return row


def test_first_and_last_reward_are_means_of_three_of_seven_rollouts(make: Maker) -> None:
    make.run(rewards=[0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.1], metrics={"grad_norm": [1, 3, 2, 1, 1, 1, 1]})
    row = only_row(make)
    assert row.first_reward == Figure(pytest.approx(0.1))
    assert row.last_reward == Figure(pytest.approx(0.8))
    assert row.peak_grad_norm == Figure(3.0)
    assert row.kl_base == Figure(pytest.approx(0.06))
    assert row.seconds == Figure(14.0)
    assert row.trainable_parameters == 64


def test_one_seed_shows_its_own_intervals(make: Maker) -> None:
    make.run()
    row = only_row(make)
    gain = row.tasks[TASK].gain
    assert (gain.mean, gain.low, gain.high, gain.spread) == (0.5, 0.375, 0.625, None)
    text = " ".join(cells([row]).body[0])
    assert "0.250 → 0.750 [0.625, 0.875]" in text
    assert "+0.500 [+0.375, +0.625]" in text
    assert "±" not in text


def test_several_seeds_are_averaged_with_their_spread(make: Maker) -> None:
    make.run(seed=0, rewards=[0.2] * 5, right=([1, 0, 0, 0], [1, 1, 0, 0]))
    make.run(seed=1, rewards=[0.4] * 5, right=([1, 0, 0, 0], [1, 1, 1, 1]))
    row = only_row(make)
    assert row.seeds == (0, 1)
    assert row.last_reward == Figure(pytest.approx(0.3), pytest.approx(statistics.stdev([0.2, 0.4])))
    after = row.tasks[TASK].after
    assert (after.mean, after.questions, after.spread) == (0.75, 4, pytest.approx(statistics.stdev([0.5, 1.0])))
    pooled = accuracy([1.0, 1.0, 0.5, 0.5])
    assert (after.low, after.high) == (pooled.low, pooled.high)
    gain = paired_difference([1, 0, 0, 0], [1, 1, 0.5, 0.5])
    assert (row.tasks[OTHER].gain.low, row.tasks[OTHER].gain.mean) == (gain.low, gain.mean)
    assert "0.300 ± 0.141" in cells([row]).body[0][3]


def test_what_is_not_finite_is_said_and_stays_valid_json(make: Maker) -> None:
    make.run("pissa", rewards=[0.5] * 3, metrics={"grad_norm": [1.0, float("nan"), 2.0], "kl_base": [None] * 3})
    row = only_row(make)
    assert row.peak_grad_norm == Figure(None, finite=False)
    assert row.kl_base == Figure(None)
    write_table([row], make.root)
    (record,) = json.loads((make.root / "table.json").read_text(), parse_constant=pytest.fail)
    assert record["peak_grad_norm"] == {"mean": None, "spread": None, "finite": False}
    assert (record["method"], record["lr"], record["tasks"][TASK]["after"]["mean"]) == ("pissa", 1e-3, 0.75)
    lines = (make.root / "table.md").read_text().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "not finite" in lines[2]


def test_an_unfinished_run_is_left_out(make: Maker) -> None:
    make.run(seed=0, rewards=[0.2] * 5)
    make.run(seed=1, rewards=[0.9] * 2, status="running")
    row = only_row(make)
    assert (row.seeds, row.last_reward.mean) == ((0,), pytest.approx(0.2))
    assert row.unfinished == ("rlpo-lr0.001-seed1",)


def test_a_row_without_a_finished_run_claims_nothing(make: Maker) -> None:
    make.run("lora", status="running")
    row = only_row(make)
    assert row.last_reward == Figure(None)
    assert cells([row]).body[0][:4] == ("lora", "1e-3", "none finished", "—")


def test_rows_go_by_rate_and_then_by_the_methods_own_order(make: Maker) -> None:
    for method in ("rlmo", "zeta", "lora"):
        for lr in (1e-2, 3e-4):
            make.run(method, lr)
    places = [(row.lr, row.series.method) for row in table(read_runs(make.root))]
    assert places == [(lr, method) for lr in (3e-4, 1e-2) for method in ("lora", "rlmo", "zeta")]


def test_the_terminal_table_fits_into_100_columns(
    make: Maker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for seed in (0, 1):
        make.run("gaussian", 3e-4, seed, rewards=[0.1 * seed] * 3)
    print_table(make.root)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 100
    assert "0.05 → 0.05 ± 0.07" in lines[1]
    assert "+0.50 [" in lines[1]


@pytest.mark.parametrize(
    ("lr", "text"),
    [(3e-4, "3e-4"), (2.5e-4, "2.5e-4"), (0.0, "0"), (1.0, "1e0"), (4.27986e-4, "4.28e-4"), (9.9996e-4, "1e-3")],
)
def test_rates_are_written_as_people_write_them(lr: float, text: str) -> None:
    assert rate(lr) == text


def test_a_method_keeps_its_style_whatever_stands_beside_it() -> None:
    assert {method.name for method in METHODS} <= set(STYLES), "give a new method its own colour and place"
    assert len(set(STYLES.values())) == len(STYLES)
    rlpo, other = Series("rlpo"), Series("my.module:mine")
    assert styles([rlpo])[rlpo] == styles(ordered([other, rlpo, Series("lora")]))[rlpo] == STYLES["rlpo"]
    assert style_of("my.module:mine") not in STYLES.values()


def test_variants_share_their_method_s_colour_but_not_its_dashes() -> None:
    four, eight = Series("rlpo", "rank 4"), Series("rlpo", "rank 8")
    found = styles([four, eight])
    assert found[four].colour == found[eight].colour
    assert found[four].dash != found[eight].dash


@pytest.mark.parametrize("rollouts", range(1, 13))
def test_the_first_and_the_last_reward_share_no_rollout(rollouts: int) -> None:
    """Means of five, or of half of them; a run that got better says by how much."""
    window = window_of(rollouts)
    assert window == (5 if rollouts >= 10 else max(1, rollouts // 2))
    assert rollouts == 1 or 2 * window <= rollouts
    rising = [float(n) for n in range(rollouts)]
    first, last = ends(rising)
    assert first == pytest.approx((window - 1) / 2)
    assert last == pytest.approx(rollouts - 1 - (window - 1) / 2)


@pytest.mark.parametrize(
    ("rewards", "first", "last", "over"),
    [
        ([0.0, 0.0, 1.0, 1.0], "0.000", "1.000", "means of 2 rollouts each"),
        ([0.0, 1.0], "0.000", "1.000", "rollout 1 and the last"),
        ([0.25], "0.250", "0.250", "the same rollout"),
    ],
)
def test_a_short_runs_rewards_are_said_of_their_rollouts(
    rewards: list[float], first: str, last: str, over: str, make: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make.run(rewards=rewards)
    (row,) = table([read_run(path)])
    assert (f"{row.first_reward.mean:.3f}", f"{row.last_reward.mean:.3f}") == (first, last)
    print_scores(path)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("reward")]
    assert f"{first} → {last}" in line
    assert line.rstrip().endswith(over)


def test_a_capped_comparison_says_at_what_step_each_method_was_compared(make: Maker) -> None:
    spent, shortened = [4e-4, 6e-4, 5e-4, 1e-4, 2e-4, 3e-4], [2, 1, 0, 0, 0, 0]
    make.run(metrics={"kl_update": spent, "step_scale": [0.5, 0.9, 1, 1, 1, 1], "capped_updates": shortened})
    make.run("lora")
    found = cells(table(read_runs(make.root)))
    places = [found.header.index(name) for name in ("dearest update, KL to the policy before it", "updates shortened")]
    by_method = {row[0]: [row[place] for place in places] for row in found.body}
    assert by_method == {"rlpo": ["0.0006", "25%"], "lora": [NONE, NONE]}


def test_without_a_cap_nothing_is_said_of_it(make: Maker) -> None:
    make.run()
    assert not {"dearest update, KL to the policy before it", "updates shortened"} & set(
        cells(table(read_runs(make.root))).header
    )
