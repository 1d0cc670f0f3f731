"""The order of methods and their differences are what SciPy says of the samples' own scores."""

from __future__ import annotations

from statistics import fmean

import pytest
from scipy import stats

from stiefel.report.falls import fall
from stiefel.report.pairs import Pair, holm, pairs
from stiefel.report.ranking import Ranking, ranking
from stiefel.report.rate_rule import RateRule
from stiefel.report.runs import read_run, read_runs
from stiefel.scores import accuracy, paired_difference

from .conftest import Maker

BEFORE = [0] * 8
LORA = ([1, 0, 0, 0, 1, 0, 0, 0], [1, 1, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 1, 0, 1, 0])
RLPO = ([1, 1, 0, 1, 1, 1, 0, 1], [1, 1, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1])


def two_methods(make: Maker) -> Ranking:
    for seed, (lora, rlpo) in enumerate(zip(LORA, RLPO, strict=True)):
        make.run("lora", seed=seed, right=(BEFORE, lora))
        make.run("rlpo", seed=seed, right=(BEFORE, rlpo))
    found = ranking(read_runs(make.root))
    assert isinstance(found, Ranking), found
    return found


def reversed_order(make: Maker) -> None:
    """rlpo has the higher mean, over the two seeds that it did not lose; in these lora is ahead."""
    for seed, right in enumerate((36, 37, 0)):
        make.run("lora", seed=seed, right=([0] * 40, [1] * right + [0] * (40 - right)))
    for seed in (0, 1):
        make.run("rlpo", seed=seed, right=([0] * 40, [1] * 28 + [0] * 12))
    make.run("rlpo", seed=2, status="diverged")


def test_the_order_has_student_s_interval_over_seeds(make: Maker) -> None:
    first, second = two_methods(make).best
    assert (first.series.label, second.series.label) == ("rlpo", "lora")
    means = [fmean(scores) for scores in LORA]
    low, high = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert second.estimate.over == "seeds"
    assert (second.estimate.mean, second.estimate.low, second.estimate.high) == (
        pytest.approx(fmean(means)), pytest.approx(low), pytest.approx(high),
    )  # fmt: skip
    assert first.estimate.high == 1.0, "a share is no larger"


def test_one_seed_has_an_interval_over_questions_and_decides_nothing(make: Maker) -> None:
    make.run("lora", right=(BEFORE, LORA[0]))
    make.run("rlpo", right=(BEFORE, RLPO[0]))
    found = ranking(read_runs(make.root))
    assert isinstance(found, Ranking)
    expected = accuracy([float(one) for one in RLPO[0]])
    assert (found.best[0].estimate.low, found.best[0].estimate.high) == (expected.low, expected.high)
    (one,) = pairs(found)
    assert (one.p, one.adjusted, one.decided) == (None, None, False)
    gain = paired_difference([float(x) for x in LORA[0]], [float(x) for x in RLPO[0]])
    assert (one.low, one.high) == (gain.low, gain.high)


def test_a_pair_must_stand_over_seeds_and_over_questions(make: Maker) -> None:
    (one,) = pairs(two_methods(make))
    by_seed = [fmean(rlpo) - fmean(lora) for lora, rlpo in zip(LORA, RLPO, strict=True)]
    above, below = ([fmean(scores) for scores in zip(*of_seeds, strict=True)] for of_seeds in (RLPO, LORA))
    by_question = [a - b for a, b in zip(above, below, strict=True)]
    over_seeds, over_questions = stats.ttest_1samp(by_seed, 0), stats.ttest_1samp(by_question, 0)
    assert one.difference == pytest.approx(fmean(by_seed))
    assert one.p == pytest.approx(max(over_seeds.pvalue, over_questions.pvalue))
    assert one.adjusted == one.p, "a single pair is not corrected"
    resampled, (low, high) = paired_difference(below, above), over_seeds.confidence_interval(0.95)
    assert (one.low, one.high) == (pytest.approx(min(resampled.low, low)), pytest.approx(max(resampled.high, high)))
    assert (one.ahead, one.seeds, one.questions, one.decided) == (3, (0, 1, 2), 8, True)


def test_seeds_that_agree_to_the_digit_are_no_proof(make: Maker) -> None:
    for seed in range(3):
        make.run("lora", seed=seed, right=(BEFORE, LORA[0]))
        make.run("rlpo", seed=seed, right=(BEFORE, [1, 0, 0, 0, 1, 1, 0, 0]))
    found = ranking(read_runs(make.root))
    assert isinstance(found, Ranking)
    (one,) = pairs(found)
    assert one.p == pytest.approx(stats.ttest_1samp([0] * 7 + [1], 0).pvalue), "one question of eight was won"
    assert not one.decided
    assert found.best[0].estimate.over == "questions"


def test_a_pair_names_the_one_that_is_ahead_in_the_seeds_of_both(make: Maker) -> None:
    """The other's mean is higher, for the seed in which it diverged does not count."""
    reversed_order(make)
    found = ranking(read_runs(make.root))
    assert isinstance(found, Ranking)
    assert [cell.series.label for cell in found.best] == ["rlpo", "lora"]
    (one,) = pairs(found)
    assert (one.higher.series.label, one.lower.series.label) == ("lora", "rlpo")
    assert (one.seeds, one.ahead) == ((0, 1), 2)
    assert one.difference == pytest.approx(fmean((36, 37)) / 40 - 28 / 40)
    assert one.low is not None
    assert one.low > 0
    assert one.decided


def test_holm_corrects_from_the_smallest_on() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_best_rate_is_not_the_one_that_lost_a_seed(make: Maker) -> None:
    for seed in (0, 1):
        make.run("lora", 1e-4, seed, right=(BEFORE, LORA[0]))
    make.run("lora", 1e-2, 0, right=(BEFORE, [1] * 8))
    make.run("lora", 1e-2, 1, status="diverged")
    make.run("rlpo", 1e-4, 0, right=(BEFORE, RLPO[0]))
    found = ranking(read_runs(make.root))
    assert isinstance(found, Ranking)
    assert {cell.series.label: cell.rates for cell in found.best} == {"lora": (1e-4,), "rlpo": (1e-4,)}


def test_a_rate_that_a_validation_chose_is_taken(make: Maker) -> None:
    make.run("lora", 1e-4, right=(BEFORE, RLPO[0]))
    chosen = make.run("lora", 1e-3, right=(BEFORE, LORA[0])).name
    runs = read_runs(make.root)
    by_score, by_rule = ranking(runs), ranking(runs, RateRule(rate="tuned", chosen=(chosen,)))
    assert isinstance(by_score, Ranking)
    assert isinstance(by_rule, Ranking)
    assert (by_score.best[0].rates, by_rule.best[0].rates) == ((1e-4,), (1e-3,))


def test_without_held_out_scores_the_last_reward_ranks(make: Maker) -> None:
    for method, reward in (("lora", 0.2), ("rlpo", 0.6)):
        for seed in (0, 1):
            run = make.run(method, seed=seed, rewards=[reward + 0.1 * seed] * 6)
            (run / "eval.json").write_text("{}")
            (run / "samples.jsonl").write_text("")
    found = ranking(read_runs(make.root))
    assert isinstance(found, Ranking)
    assert [(cell.series.label, round(cell.estimate.mean, 6)) for cell in found.best] == [
        ("rlpo", 0.65),
        ("lora", 0.25),
    ]
    (one,) = pairs(found)
    assert isinstance(one, Pair)
    assert (one.questions, one.difference) == (0, pytest.approx(0.4))


def test_runs_of_different_tasks_are_not_ranked(make: Maker) -> None:
    make.run("lora")
    make.run("rlpo", changes=["task.name=nano-sort"])
    assert ranking(read_runs(make.root)) == "the runs train on different tasks, whose scores are not to be compared"


@pytest.mark.parametrize(
    ("rewards", "status", "fell"),
    [
        ([0.6] * 6 + [0.2] * 6, "finished", True),
        ([0.6] * 6 + [0.4] * 6, "finished", False),
        ([0.6] * 4, "diverged", True),
        ([0.6, 0.0, 0.0], "finished", False),
    ],
)
def test_a_run_fell_below_half_of_its_best_or_diverged(
    make: Maker, rewards: list[float], status: str, fell: bool
) -> None:
    found = fall(read_run(make.run(rewards=rewards, status=status)))
    assert (found is not None) == fell
    if found is not None and not found.diverged:
        assert (found.best, found.best_at, found.last) == (pytest.approx(0.6), 5, pytest.approx(0.2))
