"""No setting of a recipe is left out: the method's paragraph tells each, and methods that differ in one are said to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stiefel.recipe import MixtureEntry, Recipe, by_key
from stiefel.report.evidence import Evidence, read_evidence
from stiefel.report.fairness import Held, fairness
from stiefel.report.method_paragraph import method_paragraph
from stiefel.report.runs import Run, read_runs
from stiefel.report.settings import COSTS, ITS_OWN, NO_MATTER, NO_MATTERS

from .conftest import Maker

SAVED = ("adapter.method", "adapter.rank", "adapter.alpha")  # a run's own, which are those of the adapter that it saved
KEYS = [
    key for key in by_key(Recipe().model_dump()) if key not in (*NO_MATTER, *SAVED) and not key.startswith(NO_MATTERS)
]
COUNTED = ("eval.tasks", "eval.limit")  # which questions were asked is counted where they were answered
OF_SUPERVISED = ("algorithm.epochs", "algorithm.batch")


OTHERS: dict[str, Any] = {"eval.sampling": "task", "task.mixture": [MixtureEntry(name="other")]}


def another(key: str, value: Any) -> Any:
    """Some other value of the same type."""
    match OTHERS.get(key, value):
        case other if key in OTHERS:
            return other
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}-other"
        case list():
            return [*value, "other"]
        case dict():
            return {"other": 1.0}
    raise AssertionError(value)


def with_another(run: Run, key: str) -> Run:
    """The run, had its recipe said something else there."""
    section, _, name = key.partition(".")
    table = vars(run.recipe)[section]
    told = table.model_copy(update={name: another(key, vars(table)[name])})
    return replace(run, recipe=run.recipe.model_copy(update={section: told}))


def split() -> list[tuple[bool, list[str]]]:
    """The keys that matter without supervised training, and those that matter with it alone."""
    return [(False, [key for key in KEYS if key not in OF_SUPERVISED]), (True, list(OF_SUPERVISED))]


def compared(make: Maker, *, supervised: bool) -> list[Run]:
    """Two methods with every setting alike."""
    changes = ["algorithm.name=sft"] if supervised else []
    for method in ("lora", "rlpo"):
        make.run(method, changes=changes)
    return [run for run in read_runs(make.root) if (run.recipe.algorithm.name == "sft") == supervised]


def evidence_of(runs: list[Run], make: Maker) -> Evidence:
    return read_evidence(runs, str, comparison=make.root)


def test_every_setting_is_told_in_the_method_s_paragraph(make: Maker) -> None:
    untold = []
    for supervised, keys in split():
        runs = compared(make, supervised=supervised)
        before = method_paragraph(evidence_of(runs, make))
        assert "All other settings were Stiefel's defaults." in before
        for key in keys:
            if (
                key not in COUNTED
                and method_paragraph(evidence_of([with_another(run, key) for run in runs], make)) == before
            ):
                untold.append(key)
    assert untold == []


def test_what_one_method_alone_has_is_told_with_its_name(make: Maker) -> None:
    make.run("lora", changes=["optim.weight_decay_on=factors"])
    make.run("geora", changes=["optim.weight_decay_on=factors", "adapter.options={ rho = 0.3 }"])
    text = method_paragraph(evidence_of(read_runs(make.root), make))
    assert (
        "All other settings were Stiefel's defaults, but for adapter.options rho=0.3 (geora); "
        "optim.weight_decay_on factors."
    ) in text


VARIED = ("optim.lr", "run.seed", "task.name", "task.mixture")


def test_a_setting_in_which_methods_differ_is_said_and_warned_of(make: Maker) -> None:
    wrong = []
    for supervised, keys in split():
        first, second = compared(make, supervised=supervised)
        for key in (key for key in keys if key not in VARIED):
            differ = [one for one in fairness(evidence_of([first, with_another(second, key)], make)) if not one.equal]
            warned = any(one.warning for one in differ)
            if not differ or warned == (key in (*COSTS, *ITS_OWN)):
                wrong.append((key, differ))
    assert wrong == []


def test_methods_at_temperatures_of_their_own_are_warned_of(make: Maker) -> None:
    make.run("lora", changes=["rollout.temperature=1.0"])
    make.run("rlpo", changes=["rollout.temperature=0.6"])
    found = {one.name: one for one in fairness(evidence_of(read_runs(make.root), make))}
    assert found["rollout.temperature"] == Held(
        "rollout.temperature", False, "lora 1; rlpo 0.6", "The methods differ in rollout.temperature."
    )
