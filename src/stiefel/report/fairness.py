"""Was it fair? What was held equal between the methods, and where they differ by more than a method should."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..adapter import CONFIG_FILE
from ..artifacts import ADAPTER, read_json
from ..model import public_name
from .cells import count
from .checking import checked
from .evidence import Evidence
from .groups import rate
from .numbers import NONE
from .ranking import Cell
from .rate_rule import OwnRate, RateRule
from .runs import Run
from .series import shown
from .settings import COSTS, HELD, ITS_OWN, other_keys, settings_of
from .words import counted, course, listed

PARAMETERS, KL = 2.0, 3.0  # ratios of the largest to the smallest from which on a comparison is warned of
LARGER = "some took larger steps than others"
BEFORE = "to the policy before it"  # and not to the base


@dataclass(frozen=True)
class Held:
    """One matter: the same for all methods, or what each has."""

    name: str
    equal: bool
    value: str
    warning: str = ""


class LoraConfig(BaseModel):
    """What s is computed from in an adapter's adapter_config.json."""

    model_config = ConfigDict(frozen=True)

    r: int | None = None
    lora_alpha: float | None = None
    use_rslora: bool = False


def fairness(evidence: Evidence) -> list[Held]:
    """Every matter, of the methods at their best rates."""
    if isinstance(evidence.ranking, str):
        return []
    cells = evidence.ranking.best
    found = [held(*MATTERS[0], cells), rows(cells), *(held(name, of, cells) for name, of in MATTERS[1:])]
    found += others(cells)
    found += [
        ratio("trained parameters", cells, parameters, count, PARAMETERS, "a larger adapter can do more"),
        ratio("KL to the base at the end", cells, apart, digits, KL, "some went further from the base than others"),
        ratio(f"KL of a rollout {BEFORE}", cells, step, digits, KL, LARGER),
        ratio(f"KL of the dearest update {BEFORE}", cells, dearest, digits, KL, LARGER),
    ]
    if evidence.rule is not None:
        found += first_steps(evidence.rule, cells)
    rates = held("learning rate", lambda run: rate(run.lr), cells)
    found.append(Held(f"learning rates, {rates_given(evidence.rule)}", rates.equal, rates.value))
    return [one for one in found if one.value != NONE]


def first_steps(rule: RateRule, cells: Sequence[Cell]) -> list[Held]:
    """What a first step cost and how large it was at each method's rate, where the rates were found by it.

    Sizes are not warned of: what the same KL takes in the weights is the method's own.
    """
    cost = partial(at_own_rates, rule, lambda one: one.kl)
    size = partial(at_own_rates, rule, lambda one: one.step)
    return [
        ratio(f"KL of a first step {BEFORE}", cells, cost, digits, KL, LARGER),
        ratio("size of a first step, ‖ΔW₁‖_F", cells, size, digits, math.inf, ""),
    ]


def at_own_rates(rule: RateRule, of: Callable[[OwnRate], float | None], cell: Cell) -> float | None:
    """What was measured at a method's rate, mean over its seeds."""
    rates = [rule.runs[run.name] for run in cell.runs if run.name in rule.runs]
    known = [value for one in rates if (value := of(one)) is not None]
    return fmean(known) if known else None


def rates_given(rule: RateRule | None) -> str:
    """By which rule the methods have their rates."""
    match rule.rate if rule is not None else None:
        case "kl":
            return f"each method's by the KL of its first step {BEFORE}"
        case "matched-step":
            return "each method's by the size of its first step"
        case "tuned":
            return "each method's chosen on a validation"
        case _:
            return "as the grid lists them"


def held(name: str, of: Callable[[Run], str], cells: Sequence[Cell]) -> Held:
    """Whether all runs have one value, and else each method's."""
    values = {cell.series.label: listed(dict.fromkeys(of(run) for run in cell.runs if run.finished)) for cell in cells}
    if len(set(values.values())) == 1:
        return Held(name, True, next(iter(values.values())))
    warning = f"The methods differ in {name}." if name in WARNED else ""
    return Held(name, False, by_value(values), warning)


def others(cells: Sequence[Cell]) -> list[Held]:
    """Every other setting in which the methods differ, by its key; what costs alone or is a method's own needs none."""
    known = {run.name: settings_of(run) for cell in cells for run in cell.runs}
    found = []
    for key in other_keys(HELD):
        one = held(key, partial(setting, known, key), cells)
        unwarned = one.equal or key in (*COSTS, *ITS_OWN)
        found.append(one if unwarned else replace(one, warning=f"The methods differ in {key}."))
    return [one for one in found if not one.equal]


def setting(known: Mapping[str, Mapping[str, Any]], key: str, run: Run) -> str:
    """What a run's recipe says there; `known` holds every run's settings by its name."""
    return shown(known[run.name][key]) or NONE


def ratio(
    name: str,
    cells: Sequence[Cell],
    of: Callable[[Cell], Any],
    shown: Callable[[Any], str],
    bound: float,
    therefore: str,
) -> Held:
    """The same of a number, of which a warning is given from a ratio on."""
    values = {cell.series.label: value for cell in cells if (value := of(cell)) is not None}
    if not values:
        return Held(name, True, NONE)
    least, most = min(values.values()), max(values.values())
    words = {label: shown(value) for label, value in values.items()}
    if len(set(words.values())) == 1 and len(values) == len(cells):
        return Held(name, True, next(iter(words.values())))
    far = most > bound * least
    times = f" ({most / least:.3g} times)" if far and least > 0 else ""
    low, high = (next(label for label in values if values[label] == end) for end in (least, most))
    warning = f"{name}: {words[low]} ({low}) to {words[high]} ({high}){times}: {therefore}." if far else ""
    return Held(name, False, by_value(words), warning[:1].upper() + warning[1:] if warning[1:2].islower() else warning)


def by_value(values: dict[str, str]) -> str:
    """`lora 8; full, sparse all`."""
    labels: dict[str, list[str]] = {}
    for label, value in values.items():
        labels.setdefault(value, []).append(label)
    return "; ".join(f"{', '.join(found)} {value}" for value, found in labels.items())


def digits(value: float) -> str:
    """Two significant ones."""
    return f"{value:.2g}"


def parameters(cell: Cell) -> int | None:
    """How many train."""
    return next((run.manifest.trainable_parameters for run in cell.runs if run.finished), None)


def apart(cell: Cell) -> float | None:
    """The KL to the base at the end, mean over the seeds."""
    return over_runs(cell, "kl_base", lambda values: values[-1])


def step(cell: Cell) -> float | None:
    """The KL of a rollout's updates, mean over training and seeds."""
    return over_runs(cell, "kl_step", fmean)


def dearest(cell: Cell) -> float | None:
    """The KL of the dearest update, where a cap measured it."""
    return over_runs(cell, "kl_update", max)


def over_runs(cell: Cell, metric: str, summary: Callable[[list[float]], float]) -> float | None:
    """A number a run, then the mean; None where it was not measured, or is not finite."""
    series = [[value for _, value in run.values(metric)] for run in cell.runs if run.finished]
    numbers = [summary(values) for values in series if values]
    return fmean(numbers) if numbers and all(map(math.isfinite, numbers)) else None


def scale(run: Run) -> str:
    """The s of s·BA, as the saved adapter has it; none of what has no A and B."""
    path = run.path / ADAPTER / CONFIG_FILE
    if not path.is_file():
        return NONE
    config = checked(TypeAdapter(LoraConfig), read_json(path), path)
    if not config.r or config.lora_alpha is None:
        return NONE
    return f"{config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r):.3g}"


def targets(run: Run) -> str:
    """Which matrices are adapted."""
    found = run.recipe.adapter.targets
    return found if isinstance(found, str) else ", ".join(found)


def evaluation(run: Run) -> str:
    """What was asked, and how it was answered."""
    settings = run.recipe.eval
    if not settings.tasks:
        return NONE
    return f"{listed(settings.tasks)}, up to {settings.limit:,} questions each, {answered(run)}"


def answered(run: Run) -> str:
    """How the questions were answered."""
    settings = run.recipe.eval
    if settings.sampling == "task":
        return "each task as it is usually measured"
    return (
        f"{counted(settings.samples, 'completion')} a question, temperature {settings.temperature:g}, top-p "
        f"{settings.top_p:g}, at most {run.recipe.rollout.max_completion_tokens} tokens"
    )


def rows(cells: Sequence[Cell]) -> Held:
    """Whether each seed trained on the same rows in the same order, by their digests where they are known."""
    found = {
        cell.series.label: sorted((run.seed, run.trained, run.manifest.data) for run in cell.runs if run.finished)
        for cell in cells
    }
    names = listed(task for cell in cells for run in cell.runs for task in run.trained)
    of_seed: dict[tuple[int, tuple[str, ...]], set[str]] = {}
    for seed, tasks, digest in (one for mine in found.values() for one in mine):
        of_seed.setdefault((seed, tasks), set()).add(digest)
    if all(len(digests) == 1 for digests in of_seed.values()):
        return Held("rows", True, f"{names}, the same in each seed")
    return Held("rows", False, names, "The methods differ in rows: one seed trained them on different ones.")


def options(run: Run) -> str:
    """The optimizer's settings but the rate."""
    optim = run.recipe.optim
    cap = f", KL cap {optim.kl_cap:g}" if optim.kl_cap else ""
    if optim.kl_cap_rows:
        cap += f", held on {public_name(optim.kl_cap_rows)} too" + (
            f" and there at most {optim.kl_cap_total:g} in all" if optim.kl_cap_total else ""
        )
    return (
        f"AdamW, {optim.schedule} rate, weight decay {optim.weight_decay:g}, gradients clipped to "
        f"{optim.max_grad_norm:g}, {optim.warmup_rollouts} rollouts of warm-up{cap}"
    )


def loss(run: Run) -> str:
    """The algorithm's own settings, as they were resolved."""
    settings = run.recipe.algorithm.model_dump(exclude={"name", "epochs", "batch"})
    return ", ".join(f"{key} {shown(value)}" for key, value in settings.items())


MATTERS: tuple[tuple[str, Callable[[Run], str]], ...] = (
    ("model", lambda run: f"{run.recipe.model.path}, {run.recipe.model.dtype}"),
    ("training", course),
    ("loss settings", loss),
    ("optimizer", options),
    ("evaluation", evaluation),
    ("seeds", lambda run: str(run.seed)),
    ("targets", targets),
    ("rank", lambda run: str(run.rank)),
    ("alpha", lambda run: str(run.alpha)),
    ("scale s", scale),
)
WARNED = ("model", "training", "loss settings", "optimizer", "evaluation", "targets", "scale s")
