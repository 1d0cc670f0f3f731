"""A budget is never exceeded, whichever candidates go on, and what is refused says what would do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stiefel.choice.candidates import Candidate, all_rollouts, candidates_of, longest_of
from stiefel.choice.plan import make_plan, plans, rollouts_of
from stiefel.errors import UserError
from stiefel.recipe.grid import load_grid

ROOT = Path(__file__).parents[2]
SEEDED = '"run.seed" = [0, 1, 2]\n"optim.lr" = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]\n'


@pytest.fixture
def candidates(tmp_path: Path) -> Callable[[str], list[Candidate]]:
    """candidates(axes): those of a grid of twelve rollouts a run."""

    def make(axes: str) -> list[Candidate]:
        path = tmp_path / "grid.toml"
        path.write_text(f"recipe.optim.rollouts = 12\n[axes]\n{axes}")
        return candidates_of(load_grid(path))

    return make


def test_cells_that_differ_in_their_seed_alone_are_one_candidate() -> None:
    found = candidates_of(load_grid(ROOT / "recipes" / "nano" / "methods.toml"))
    assert len(found) == 18
    assert found[0].values == {"optim.lr": 1e-4, "adapter.method": "lora"}
    assert list(found[0].runs) == ["seed0-lr0.0001-lora", "seed1-lr0.0001-lora", "seed2-lr0.0001-lora"]
    assert [found[0].seed_of(run) for run in found[0].runs] == [0, 1, 2]


def test_keys_that_vary_together_are_all_in_a_candidate(candidates: Callable[[str], list[Candidate]]) -> None:
    found = candidates('"adapter.method, optim.lr" = [["lora", 1e-3], ["full", 1e-4]]')
    assert [each.values for each in found] == [
        {"adapter.method": "lora", "optim.lr": 1e-3},
        {"adapter.method": "full", "optim.lr": 1e-4},
    ]


def test_seeds_may_vary_with_another_key(candidates: Callable[[str], list[Candidate]]) -> None:
    found = candidates('"optim.lr, run.seed" = [[1e-3, 0], [1e-3, 7], [1e-4, 3]]')
    assert [[each.seed_of(run) for run in each.runs] for each in found] == [[0, 7], [3]]


@pytest.mark.parametrize("axes", [SEEDED, '"optim.lr" = [1e-4, 3e-4, 1e-3]', f'{SEEDED}"optim.rollouts" = [6, 12]'])
def test_no_plan_costs_more_than_its_budget_whoever_goes_on(
    axes: str, candidates: Callable[[str], list[Candidate]]
) -> None:
    found = candidates(axes)
    total, longest = all_rollouts(found), longest_of(found)
    for percent in range(20, 101):
        plan = make_plan(found, percent / 100)
        spent, before, standing = 0, 0, sorted(found, key=lambda each: -each.rollouts)
        for place, count in zip(plan.places, plan.counts, strict=True):
            standing = standing[:count]  # the dearest ones
            spent += sum(each.by(place, longest) - each.by(before, longest) for each in standing)
            before = place
        if plan.seeds > 1:
            assert before == longest, "further seeds before anything came to its end"
        spent += sum(each.rollouts for each in standing for _ in list(each.runs)[1 : plan.seeds])
        assert spent <= plan.cost(found) <= rollouts_of(percent / 100, total), plan


def test_the_whole_budget_runs_the_whole_grid(candidates: Callable[[str], list[Candidate]]) -> None:
    found = candidates(SEEDED)
    assert make_plan(found, 1.0).cost(found) == all_rollouts(found) == 5 * 3 * 12


def test_at_a_fifth_the_finalists_of_a_common_grid_come_to_their_end_and_get_a_further_seed() -> None:
    plan = make_plan(candidates_of(load_grid(ROOT / "recipes" / "nano" / "methods.toml")), 0.2)
    assert (plan.counts, plan.places[-1], plan.seeds) == ((18, 9, 4, 2), 60, 2)
    assert plan.places[0] >= 60 / 4  # earlier a rung would let through what breaks later


@pytest.mark.parametrize("budget", [0.0, -0.2, 1.01, 20.0, float("nan"), float("inf")])
def test_a_budget_is_a_share(budget: float, candidates: Callable[[str], list[Candidate]]) -> None:
    with pytest.raises(UserError, match="is no part of the grid's rollouts"):
        make_plan(candidates(SEEDED), budget)


def test_too_small_a_budget_is_refused_with_one_that_does(candidates: Callable[[str], list[Candidate]]) -> None:
    found = candidates(SEEDED)
    with pytest.raises(UserError, match="4 of the grid's 180 rollouts, too few for a first rung") as error:
        make_plan(found, 0.025)
    enough = re.search(r"--budget (\S+) or more", error.value.instead)
    assert enough is not None
    assert make_plan(found, float(enough[1])).cost(found) == min(plan.cost(found) for plan in plans(found)) == 5


def test_every_rung_leaves_as_many_as_its_factor_says_and_two_at_the_end(
    candidates: Callable[[str], list[Candidate]],
) -> None:
    for count in (2, 3, 4, 6, 7, 12, 13, 27):
        found = candidates(f'"optim.lr" = {[number / 1000 for number in range(1, count + 1)]}\n')
        for plan in plans(found):
            for rung, (many, few) in enumerate(zip(plan.counts, plan.counts[1:], strict=False)):
                assert few == many // plan.factor(rung)
                assert plan.factor(rung) in (2, 3)
        assert plan.counts[-1] == (3 if count == 3 else 2)
