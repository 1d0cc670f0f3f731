"""Recipes that differ in their starts → the rate of each at which a first step costs the same, or is as large."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..methods import compose
from ..recipe import Recipe
from .bench import Bench, Progress, started
from .change import Matrix, matrices_of
from .check import checked, quiet_run, refuse
from .figures import NO_MATRIX
from .measure import FIRST_TRIAL, KL_BUDGET, on_rollout, search, targets_of
from .probe import Probe
from .rate import Spent, rate_for
from .rollout import Rollout

CAPS = ("kl_cap", "kl_cap_rows", "kl_cap_total")  # which a first step by itself does not know
KL, STEP = "kl", "matched-step"  # what is to be equal


@dataclass(frozen=True)
class Matched:
    """A rate, the KL of a first step there in nats a response token, and its size ‖ΔW₁‖_F, which norms have none of."""

    lr: float
    kl: float
    step: float | None
    why: str = ""  # why it is not what was asked for, but the nearest

    def to_json(self) -> dict[str, Any]:
        """As rates.json keeps it."""
        return {"lr": self.lr, "kl": self.kl, "step": self.step, "reached": not self.why, "why": self.why or None}


def budget_of(recipe: Recipe) -> float:
    """What a step of a recipe may cost: its optim.kl_cap, or what `preflight` asks for by default."""
    return recipe.optim.kl_cap or KL_BUDGET


def matched_rates(
    recipes: Mapping[str, Recipe], rule: str, progress: Progress = lambda line: None
) -> dict[str, Matched]:
    """Each recipe's rate: by "kl" a first step costs `budget_of` it, by "matched-step" it is as large as the first's.

    The first recipe keeps its optim.lr by "matched-step". Steps are those of `preflight`: taken by the run's own
    optimizer, undone, on the first rollout of the recipe, which those that differ in [adapter] alone share, and the cap
    is left aside; a warm-up too, so that the rate is the one that it leads to. Raises UserError for what `preflight`
    refuses, and by "matched-step" for a method that trains no matrix. Cost: a rollout for each group that shares one,
    and a start, a backward pass and about four forward passes a recipe.
    """
    assert rule in (KL, STEP)
    asked = {name: checked(quiet_run(recipe)) for name, recipe in recipes.items()}
    for name, recipe in asked.items():
        refuse(recipe, (), budget_of(recipe))
        if rule == STEP and not recipe.adapter.path and compose(recipe.adapter.method).stands_on == "norms":
            raise no_matrix(name)
        if rule == STEP and not recipe.optim.lr:
            raise UserError(
                f'rate = "matched-step" with optim.lr = 0 in {name}', "no step is taken at it", "a rate to start from"
            )
    found: dict[str, Matched] = {}
    size: float | None = None
    for names in sharing(asked):
        first = asked[names[0]]
        with on_rollout(first, targets_of(first), progress) as (bench, rollout, bases):
            bases.pop()
            for name in names:
                gc.collect()  # a trainer and its model hold each other
                progress(f"{name}: its rate")
                found[name] = one(name, asked[name], bench, rollout, rule, size)
                if rule == STEP and size is None:
                    size = found[name].step
    return {name: found[name] for name in recipes}


def sharing(recipes: Mapping[str, Recipe]) -> list[list[str]]:
    """Their names in groups that differ in [adapter], the rate and the cap alone: those have the same first rollout."""
    groups: dict[str, list[str]] = {}
    for name, recipe in recipes.items():
        settings = recipe.model_dump(exclude={"adapter": True, "optim": {"lr", *CAPS}})
        key = json.dumps([settings, targets_of(recipe)], sort_keys=True)
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def one(name: str, recipe: Recipe, bench: Bench, rollout: Rollout, rule: str, size: float | None) -> Matched:
    """The rate of one recipe; of the first by "matched-step" its own."""
    trainer = started(bench, recipe, rollout)
    matrices = matrices_of(trainer.model)
    trainer.first_gradient()
    trainer.clip()
    probe = Probe(trainer)
    lr = recipe.optim.lr
    probe.find_rounding(lr or FIRST_TRIAL, budget_of(recipe))
    if rule == KL:
        spent = search(probe, budget_of(recipe), lr, probe.kl(lr) if lr else 0.0)
    elif not matrices:
        raise no_matrix(name)
    elif size is None:
        spent = Spent(lr, 0.0)
    else:
        spent = rate_for(
            lambda rate: size_at(probe, matrices, rate) ** 2, size**2, lr, size_at(probe, matrices, lr) ** 2
        )
    with probe.step(spent.rate) as kl:
        return Matched(spent.rate, kl, total_norm(matrices) if matrices else None, spent.why)


def no_matrix(name: str) -> UserError:
    """The error of a run whose step has no size."""
    return UserError(f'rate = "matched-step" with {name}', NO_MATRIX, 'rate = "kl"')


def total_norm(matrices: list[Matrix]) -> float:
    """‖ΔW₁‖_F over all of them, as they are now."""
    return math.hypot(*(matrix.moved() for matrix in matrices))


def size_at(probe: Probe, matrices: list[Matrix], rate: float) -> float:
    """‖ΔW₁‖_F over all matrices of a first step at a rate; its square goes by η² as a KL does."""
    with probe.step(rate):
        return total_norm(matrices)
