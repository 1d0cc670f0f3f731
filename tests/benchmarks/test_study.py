"""How the study decides: pairs of seeds, corrections, verdicts, what a step explains, and who fell."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.rows import Asked, one_each
from benchmarks.study.claims import CLAIMS, best
from benchmarks.study.decided import LEVEL, Compared, compared, corrected, is_against, t_interval, verdict
from benchmarks.study.explained import adjusted, beside, dummies, explained, residuals
from benchmarks.study.falling import ALARMS, FIRST, Case, fell_at, foreseen
from benchmarks.study.figures import against, claims, further
from benchmarks.study.orders import stability
from benchmarks.study.pooled import pooled
from benchmarks.study.repeated import DRAWN, drawn, of_one_more
from benchmarks.study.runs import Runs
from scripts.laboratory import FEW, alarms, warning
from scripts.laboratory_sentences import known
from stiefel.methods import METHODS
from stiefel.report.falls import fall


def run(method: str, lr: float, seed: int, reward: float, step: float = 1e-4, **more: Any) -> tuple[dict, dict]:
    """A row and its curves."""
    asked = vars(Asked(method, lr, seed, more.pop("kl_cap", 0.0), "", more.pop("changes", "")))
    row = {**asked, "reward": reward, "rollouts": 20, "kl_base": 0.1, **more}
    return row, {**asked, "kl_rollout": [step] * 20, "reward": [reward] * 20, "geometry": []}


def runs_of(*made: tuple[dict, dict]) -> Runs:
    """Of the embedded model."""
    return Runs("nano", [row for row, _ in made], [curve for _, curve in made])


def test_an_interval_excludes_zero_exactly_where_the_comparison_is_decided() -> None:
    drawn = np.random.default_rng(0)
    found = [
        Compared(dict(enumerate(drawn.normal(shift, 0.05, 5)))) for shift in np.repeat([0.0, 0.05, 0.1, 0.2, 0.4], 8)
    ]
    done = corrected(found)
    assert {one.adjusted < LEVEL for one in done} == {True, False}, "both kinds are among them"
    for one in done:
        assert (one.low > 0 or one.high < 0) == (one.adjusted < LEVEL)
        assert one.high - one.low >= np.diff(t_interval(list(one.differences.values())))[0] * (1 - 1e-12)


def test_the_correction_is_holms_step_down_procedure() -> None:
    drawn = np.random.default_rng(1)
    found = [Compared(dict(enumerate(drawn.normal(shift, 0.05, 6)))) for shift in (0.0, 0.03, 0.08, 0.3)]
    p = sorted(stats.ttest_1samp(list(one.differences.values()), 0).pvalue for one in found)
    running, expected = 0.0, []
    for rank, one in enumerate(p):
        running = max(running, min(1.0, (len(p) - rank) * one))
        expected.append(running)
    assert sorted(one.adjusted for one in corrected(found)) == pytest.approx(expected)


def test_of_one_seed_nothing_is_decided() -> None:
    (one,) = corrected([compared({0: 0.9, 1: 0.8}, {0: 0.1, 2: 0.3})])
    assert one.differences == {0: pytest.approx(0.8)}
    assert (one.low, one.high, one.adjusted) == (None, None, None)
    assert verdict([one], 0.03) == "not decidable here"


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([(0.01, 0.2)], "seen here"),
        ([(0.01, 0.2), (-0.1, 0.1)], "seen here"),
        ([(0.01, 0.2), (-0.2, -0.01)], "not decidable here"),
        ([(-0.2, -0.01)], "not seen here"),
        ([(-0.2, -0.01), (-0.1, 0.3)], "not seen here"),
        ([(-0.1, 0.02)], "not seen here"),
        ([(-0.1, 0.02), (None, None)], "not seen here"),
        ([(-0.1, 0.02), (-0.1, 0.3)], "not decidable here"),
        ([(-0.1, 0.1)], "not decidable here"),
        ([(None, None), (0.01, 0.2)], "seen here"),
    ],
)
def test_a_claim_is_seen_where_a_model_shows_it_and_none_denies_it(models, said) -> None:
    assert verdict([Compared({}, low=low, high=high, most=high) for low, high in models], 0.03) == said


def test_what_is_smaller_than_would_matter_is_so_at_a_level_that_holds_for_all_claims() -> None:
    """Holm's last level is 0.05 for one comparison alone: its interval is no bound for all of them together."""
    noisy = dict(enumerate((-0.11, 0.05, -0.07, 0.05, -0.06)))
    clear = {seed: 1.0 + 0.01 * seed for seed in range(5)}
    found = corrected([Compared(noisy), *[Compared(clear)] * 9])[0]
    assert found.high == pytest.approx(t_interval(list(noisy.values()), LEVEL)[1])
    assert found.most == pytest.approx(t_interval(list(noisy.values()), LEVEL / 10)[1])
    margin = (found.high + found.most) / 2
    assert verdict([found], margin) == "not decidable here"
    assert verdict([found], found.most + 0.01) == "not seen here"
    assert not is_against([found])
    assert is_against([Compared({}, low=-0.2, high=-0.1, most=-0.05)])


def test_a_claim_whose_sides_differ_in_something_else_is_not_decided() -> None:
    (one,) = [claim for claim in CLAIMS if claim.beside]
    few = [run("lora", 1e-3, seed, 0.6 + 0.001 * seed, changes="rollout.prompts=4") for seed in range(5)]
    many = [run("lora", 1e-3, seed, 0.8, changes="rollout.prompts=16") for seed in range(5)]
    (found,) = [each for each in claims({"nano": runs_of(*few, *many)}) if each["says"] == one.says]
    assert found["against"]
    assert found["verdict"] == "not decidable here"


def test_what_may_have_a_better_rate_is_not_said_to_be_worse_nor_to_be_beaten() -> None:
    """Whose best rate is the largest that was run may do better beyond it; one that is better all the same is."""
    above, below = Compared({}, low=0.01, high=0.2), Compared({}, low=-0.2, high=-0.01)
    assert verdict([replace(below, bounded=(False, True))], 0.03) == "not decidable here"
    assert verdict([replace(below, bounded=(True, False))], 0.03) == "not seen here"
    assert verdict([replace(above, bounded=(True, False))], 0.03) == "not decidable here"
    assert verdict([replace(above, bounded=(False, True))], 0.03) == "seen here"


def test_a_best_rate_lies_between_others_or_at_an_end() -> None:
    rewards = {"lora": (0.5, 0.7, 0.6), "rlpo": (0.5, 0.6, 0.7), "pissa": (0.7, 0.6, 0.5)}
    made = [run(method, lr, 0, one) for method, row in rewards.items() for lr, one in zip((1, 2, 3), row, strict=True)]
    found = runs_of(*made)
    assert [found.bounded(method) for method in rewards] == [True, False, False]
    assert best("lora", ("rlpo", "pissa")).bounded(found) == (True, False)


def test_no_seed_chooses_its_own_rate() -> None:
    """Seed 0 is lucky at the larger rate, where the others fall: it is taken where *they* do best."""
    made = [run("lora", 1e-4, seed, 0.7) for seed in range(3)]
    made += [run("lora", 1e-3, seed, reward) for seed, reward in enumerate((1.0, 0.1, 0.1))]
    found = runs_of(*made)
    assert found.at_best("lora") == {0: 0.7, 1: 0.7, 2: 0.7}
    assert found.best_rate("lora") == 1e-4
    assert found.over_rates("lora", (1e-4, 1e-3)) == pytest.approx({0: 0.3, 1: 0.6, 2: 0.6})
    assert found.over_rates("lora", (1e-4,)) == {}, "one rate has no spread"


def test_seeds_that_one_rate_has_alone_do_not_choose_it() -> None:
    made = [run("lora", lr, seed, reward) for seed in range(3) for lr, reward in ((1e-4, 0.6), (1e-3, 0.7))]
    made += [run("lora", 1e-4, seed, 1.0) for seed in range(3, 6)] + [run("lora", 1e-3, 9, 0.8)]
    found = runs_of(*made)
    assert found.best_rate("lora") == 1e-3
    assert found.at_best("lora") == {0: 0.7, 1: 0.7, 2: 0.7, 9: 0.8}


def test_what_depends_on_the_rate_is_asked_at_rates_that_both_have() -> None:
    """At its own rates LoRA would seem to depend on them more: one of them breaks it, which RLPO does not have."""
    rewards = {
        "lora": {3e-4: 0.7, 1e-3: 0.7, 3e-3: 0.0},
        "rlpo": {1e-4: 0.6, 3e-4: 0.7, 1e-3: 0.5},
    }
    made = [
        run(method, lr, seed, reward)
        for seed in range(3)
        for method, rates in rewards.items()
        for lr, reward in rates.items()
    ]
    found = runs_of(*made)
    claim = next(claim for claim in CLAIMS if claim.says == "RLPO depends less on the rate than LoRA")
    assert compared(*claim.ask(found)).mean == pytest.approx(-0.2)


def test_capped_and_changed_runs_are_no_plain_ones() -> None:
    found = runs_of(
        run("lora", 1e-3, 0, 0.7),
        run("lora", 1e-3, 0, 0.5, changes="adapter.rank=1"),
        run("lora", 1e-3, 0, 0.8, kl_cap=1e-3),
        run("lora", 1e-2, 0, 0.6, kl_cap=1e-3),
    )
    assert found.of("lora", 1e-3) == {0: 0.7}
    assert found.changed("lora", 1e-3, "adapter.rank=1") == {0: 0.5}
    assert found.capped("lora") == {0: pytest.approx(0.7)}
    assert found.capped("lora", rate=1e-2) == {0: 0.6}
    assert found.capped("lora", cap=1e-2) == {}


def synthetic(reward_of) -> Runs:
    """Six methods at five steps and three seeds, whose reward is a function of method and step, and a little noise."""
    drawn = np.random.default_rng(2)
    made = []
    for number, method in enumerate(("lora", "rlpo", "rlmo", "pissa", "milora", "geora")):
        for place, lr in enumerate((1e-5, 1e-4, 3e-4, 1e-3, 1e-2)):
            for seed in range(3):
                step = 10 ** (place - 6 + 0.1 * number)
                made.append(run(method, lr, seed, reward_of(number, place) + drawn.normal(0, 0.01), step))
    return runs_of(*made)


def test_where_the_step_alone_makes_the_reward_the_method_adds_nothing() -> None:
    found = explained(synthetic(lambda number, place: 0.6 - 0.1 * (place - 2) ** 2), None)
    assert found["by_method"] < 0.05
    assert found["by_both"] - found["by_step"] < 0.1
    assert found["held_out"] == pytest.approx(found["by_step"], abs=0.1)
    assert found["cells"] > 0.9
    assert found["plateau"] is None, "too few runs to ask"


def test_a_share_that_is_adjusted_is_none_where_there_is_nothing_to_explain() -> None:
    drawn = np.random.default_rng(6)
    noise, names = drawn.normal(0, 1, 400), np.repeat([f"m{number}" for number in range(40)], 10).reshape(-1, 1)
    assert adjusted(dummies(names), noise) == pytest.approx(0, abs=0.08)
    by = drawn.normal(0, 1, (400, 3))
    values = by @ [1.0, 2.0, 3.0] + noise
    r2 = 1 - residuals(by, values) @ residuals(by, values) / ((values - values.mean()) ** 2).sum()
    assert adjusted(by, values) == pytest.approx(1 - (1 - r2) * 399 / 396)


def test_the_best_step_is_where_the_curve_is_highest() -> None:
    """Reward is 0.7 − 0.1·(log₁₀ step + 4)²: highest at 1e-4, within 0.03 of that to √0.3 decades on either side."""
    best = explained(
        synthetic(lambda number, place: 0.7 - 0.1 * (place + 0.1 * number - 2) ** 2),
        None,
    )["best"]
    assert best["step"] == pytest.approx(1e-4, rel=0.5)
    assert best["interval"][0] < 1e-4 < best["interval"][1] < 3e-4
    assert np.log10([best["from"], best["to"]]) == pytest.approx([-4 - 0.3**0.5, -4 + 0.3**0.5], abs=0.15)


def test_on_the_plateau_methods_that_differ_are_told_from_ones_that_do_not() -> None:
    drawn = np.random.default_rng(9)
    for shift, decided in ((0.0, False), (0.02, True)):
        made = [
            run(method, lr, seed, 0.7 + shift * number + drawn.normal(0, 0.01), 10 ** drawn.uniform(-4.5, -3.5))
            for number, method in enumerate(("lora", "rlpo", "rlmo"))
            for lr in (1e-4, 3e-4, 1e-3)
            for seed in range(10)
        ]
        near = explained(runs_of(*made), None)["plateau"]
        assert near["runs"] > 60
        assert (near["p"] < 0.001) == decided
        assert (near["by_method"] > 0.5) == decided


def test_where_the_method_makes_the_reward_it_is_said_to() -> None:
    found = explained(synthetic(lambda number, place: 0.1 * number), None)
    assert found["by_method"] > 0.95
    assert found["p"] < 1e-6


def test_the_step_is_of_the_first_rollouts_where_it_is_asked_so() -> None:
    row, curve = run("lora", 1e-3, 0, 0.5)
    curve["kl_rollout"] = [1e-5] * 10 + [1e-1] * 10
    many = [run(name, 1e-3, seed, 0.1 * seed, 10.0**-seed) for name in ("rlpo", "rlmo") for seed in range(1, 6)]
    points = [explained(runs_of((row, curve), *many), first)["points"][0]["step"] for first in (10, None)]
    assert points == [1e-5, pytest.approx((1e-5 + 1e-1) / 2, rel=1e-3)]


def as_run(rewards: list[float]) -> Any:
    """What the report takes a run to be."""
    pairs = list(enumerate(rewards, 1))
    return SimpleNamespace(manifest=SimpleNamespace(status="finished"), values=lambda name: pairs)


def test_who_fell_is_who_the_report_says_fell() -> None:
    drawn = np.random.default_rng(3)
    both = set()
    for _ in range(200):
        rewards = np.clip(np.cumsum(drawn.normal(0, 0.1, 30)) + 0.5, 0, 1).tolist()
        fell = fell_at(rewards, 30) is not None
        assert fell == (fall(as_run(rewards)) is not None)
        both.add(fell)
    assert both == {True, False}
    assert fell_at([0.5] * 12, 30) == 12, "one that ended early diverged there"


def test_a_fall_is_seen_after_its_best_and_not_before_it() -> None:
    assert fell_at([0.1] * 10 + [0.8] * 10 + [0.0] * 10, 30) == 20 + 3


def test_what_tells_falls_apart_is_found_on_methods_that_were_held_out() -> None:
    drawn = np.random.default_rng(4)
    found = []
    for method in ("lora", "rlpo", "rlmo", "pissa"):
        for _ in range(150):
            fell = bool(drawn.random() < 0.3)
            features = drawn.normal(0, 1, 9) + np.array([0, 3.0 * fell, *[0.0] * 7])
            found.append(Case(method, "nano", tuple(features), fell))
    told = foreseen(found, found[:20])
    assert told["falls"] == sum(case.fell for case in found)
    assert told["all"]["auc"] > 0.9
    assert told["all"]["found"][1] >= told["all"]["found"][0] > 0.5
    assert told["all"]["false_alarms"] == pytest.approx(ALARMS, abs=0.05)
    assert told["step"]["interval"][0] > 0.5
    assert max(told["all"]["weights"], key=lambda name: told["all"]["weights"][name]) == "log10 kl_rollout, largest"
    assert told["first"] == FIRST


def test_an_order_that_seeds_agree_on_is_stable() -> None:
    same = {
        name: [dict.fromkeys(range(4), 0.1 * place), dict.fromkeys(range(4), 0.0)] for place, name in enumerate("abcd")
    }
    assert stability(same)["tau"] == pytest.approx(1.0)
    assert stability({"a": [{0: 0.1}], "b": [{0: 0.2}]})["tau"] is None
    assert stability({})["tau"] is None


def test_one_spread_for_all_tells_apart_what_a_pair_by_itself_cannot() -> None:
    drawn = np.random.default_rng(7)
    shift = {"lora": 0.0, "rlpo": 0.0, "vera": -0.05} | {f"m{number}": 0.0 for number in range(9)}
    seeds = drawn.normal(0.7, 0.05, 5)  # what all runs of a seed share takes no part
    by_method = {name: dict(enumerate(seeds + at + drawn.normal(0, 0.01, 5))) for name, at in shift.items()}
    found = pooled(by_method, "lora")
    assert found["decided"].keys() == {"vera"}
    assert found["spread"] == pytest.approx(0.01, rel=0.4)
    assert found["free"] == 4 * 11
    apart = {
        name: {seed: one + 0.05 * (number % 2) for seed, one in by_method[name].items()}
        for number, name in enumerate(by_method)
    }
    assert pooled(apart, "lora")["p"] < 0.01
    assert pooled(dict(list(by_method.items())[:2]), "lora")["p"] is None


def test_where_nothing_differs_one_spread_decides_nothing_nineteen_times_of_twenty() -> None:
    drawn = np.random.default_rng(8)
    decided = 0
    for _ in range(300):
        found = pooled({f"m{number}": dict(enumerate(drawn.normal(0, 1, 5))) for number in range(8)}, "m0")
        decided += bool(found["decided"])
    assert decided <= 300 * 0.05 + 3 * (300 * 0.05 * 0.95) ** 0.5


def test_one_more_seed_lies_in_its_interval_as_often_as_is_said() -> None:
    found = np.random.default_rng(5).normal(0.7, 0.03, (4000, 6))
    inside = [low <= one[5] <= high for one in found for low, high in [of_one_more(one[:5].tolist())]]
    assert np.mean(inside) == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / len(inside)) ** 0.5)


def test_rows_that_are_run_again_are_the_same_ones_and_of_every_table() -> None:
    assert drawn() == drawn()
    assert {name for name, _ in drawn()} <= set(DRAWN)
    assert len(set(drawn())) == len(drawn()) >= DRAWN["nano"]


def test_every_claim_asks_of_methods_that_exist_and_answers_without_rows() -> None:
    assert len({claim.says for claim in CLAIMS}) == len(CLAIMS)
    names = {method.name for method in METHODS}
    asked: set[str] = set()

    class Noting(Runs):
        def at_best(self, method, value=None):
            asked.add(method)
            return {}

        def of(self, method, lr, value=None):
            asked.add(method)
            return {}

    for claim in CLAIMS:
        above, below = claim.ask(Noting("nano", [], []))
        assert compared(above, below).mean is None
    assert asked <= names
    assert {"dct", "wavelet", "ia3", "dora", "full"} <= asked


def test_runs_of_two_bases_are_told_apart() -> None:
    """Another processor makes another base: a run of both is two rows with curves of their own, and counts once."""
    made = (("one", 1e-4), ("other", 1e-3), ("other", 2e-3), ("one", 3e-3))
    rows = [
        ({**row, "base": base}, {**curves, "base": base})
        for base, step in made
        for row, curves in [run("lora", step, 0, 0.5, step=step)]
    ]
    rows.append(({**rows[0][0], "base": "other"}, {**rows[0][1], "base": "other", "kl_rollout": [7.0]}))
    found = Runs("smollm2", one_each([row for row, _ in rows]), [curves for _, curves in rows])
    assert [row["base"] for row in found.rows] == ["other", "other", "one", "other"], "what one base alone has counts"
    assert found.curve(found.rows[-1])["kl_rollout"] == [7.0], "of what both have, the base with more rows"
    assert found.curve(rows[0][0])["kl_rollout"] == rows[0][1]["kl_rollout"]


def test_runs_of_another_model_are_put_beside_a_plateau_by_their_steps() -> None:
    steps = {1e-5: 0.3, 1e-4: 0.6, 1e-3: 0.7, 1e-2: 0.1}
    found = beside(
        runs_of(*[run("lora", step, 0, reward, step=step) for step, reward in steps.items()]), 10, (1e-4, 1e-3)
    )
    assert {name: one["reward"] for name, one in found["sides"].items()} == {
        "below": [0.3, 0.3],
        "within": [0.6, 0.7],
        "above": [0.1, 0.1],
    }
    assert [one["step"] for one in found["points"]] == list(steps)
    assert found["sides"]["within"]["median"] == pytest.approx(0.65)
    assert [one["reward"] for one in found["top"]] == [0.7, 0.6, 0.3]
    assert found["own"]["lora"]["step"] == 1e-3


def test_further_seeds_are_those_that_not_all_methods_have_and_chose_no_rate() -> None:
    rows = [run("lora", lr, seed, lr + seed / 100) for lr in (0.1, 0.2) for seed in range(3)]
    rows += [run("lora", 0.2, seed, 0.9) for seed in (3, 4)]
    rows += [run("rlpo", lr, seed, lr + seed / 100) for lr in (0.1, 0.2) for seed in range(3)]
    runs = runs_of(*rows)
    found = further(runs, {method: runs.at_best(method) for method in runs.methods})
    assert found == {"lora": {3: 0.9, 4: 0.9}}


def test_what_is_said_of_methods_beside_lora_is_what_was_decided() -> None:
    drawn = np.random.default_rng(3)
    base = drawn.normal(0.7, 0.01, 6)
    by_method = {
        name: dict(enumerate(base + drawn.normal(shift, 0.002, 6)))
        for name, shift in (("lora", 0.0), ("rlpo", 0.05), ("geora", -0.05), ("pissa", 0.0))
    }
    assert known(against({**by_method, "rlpo": by_method["lora"], "geora": by_method["pissa"]}, "lora")) == (
        "none is known to differ from `lora` in reward"
    )
    said = known(against(by_method, "lora"))
    assert re.fullmatch(
        r"`rlpo` \(\+0\.0[45]\d\) is known to be better than `lora`; known to be worse: `geora` \(-0\.0[45]\d\)", said
    )


@pytest.mark.parametrize(("vain", "warns"), [(0.08, True), (0.4, False)])
def test_a_warning_is_worth_what_it_is_worth_on_the_other_model(vain: float, warns: bool) -> None:
    other = {"false_alarms": [vain, vain]}
    found = {"all": {"other": other}, "step": {"other": other}, "other_runs": 20, "other_falls": 2}
    found["under_the_cap"] = {"nano": {"runs": 9, "fell": 1}}
    assert ("gives no warning by it" not in warning(found)) == warns
    assert "gives no warning by it" in warning({**found, "other_runs": FEW, "other_falls": 1})


def test_of_too_few_falls_no_share_is_told() -> None:
    rule = {"found": [1.0, 1.0], "false_alarms": [0.4, 0.5], "brier": 0.2, "brier_of_the_share": 0.1}
    assert alarms(rule, FEW - 1, FEW)[:2] == ["–, 40%", "–, 50%"]
    assert alarms(rule, FEW, FEW)[:2] == ["100%, 40%", "100%, 50%"]
