"""Figures 4 and 5: what the schedule and what the singular values' scale do to a start's stability."""

from __future__ import annotations

from collections.abc import Sequence

from ..curves import Metric
from ..evidence import Evidence
from ..runs import Run
from ..vertical import vertical
from . import captions
from .drawing import Drawing, Missing
from .marks import numbers
from .panels import Across, Lines
from .training import KL_WORDS, REWARD, ROLLOUT, kl_of, marks, trailing

BASELINE = "lora"
WORDS = {"constant": "a constant learning rate", "cosine": "a rate that decays by a cosine"}
PAIRS = (("leading directions", "pissa", "olora"), ("trailing directions", "milora", "olora_tail"))


def schedules(evidence: Evidence) -> Drawing | Missing:
    """Figure 4: a panel a method that ran with both schedules, beside LoRA at a constant rate."""
    of_schedule = {name: {run.method for run in evidence.runs if run.recipe.optim.schedule == name and run.rows}
                   for name in ("constant", "cosine")}  # fmt: skip
    methods = [series.method for series in evidence.styles]
    both = [name for name in dict.fromkeys(methods) if all(name in found for found in of_schedule.values())]
    if not both:
        return Missing('needs a method at optim.schedule = "constant" and at "cosine" (a grid\'s axis)')
    baseline = [run for run in evidence.of(BASELINE) if run.recipe.optim.schedule == "constant"]
    groups = [(name, [*evidence.of(name), *(baseline if name != BASELINE else [])]) for name in both]
    runs = list({run.name: run for _, group in groups for run in group}.values())
    caption = captions.joined(
        f"Reward (mean of a rollout's completions{trailing(REWARD)}) with a constant learning rate and with one that "
        f"decays by a cosine to 0 over the run{', beside LoRA at a constant rate' if baseline else ''}.",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        captions.ended_early(runs),
    )
    drawn = comparison(evidence, groups, REWARD)
    return Drawing(tuple(drawn), min(3, len(groups)), caption, evidence.styles)


def scaling(evidence: Evidence) -> Drawing | Missing:
    """Figure 5: a start with and without the singular values' square roots in its factors, at a constant rate.

    Runs of another schedule are left out; where no pair ran at a constant rate, those of one other are drawn.
    """
    schedule, pairs = next(
        ((name, found) for name in ("constant", "cosine") if (found := pairs_at(evidence, name))), ("", [])
    )
    if not pairs:
        return Missing("needs runs of pissa and olora, or of milora and olora_tail, with one optim.schedule")
    groups = [(place, at_schedule(evidence.of(BASELINE, *methods), schedule)) for place, *methods in pairs]
    others = [run for run in evidence.of(BASELINE, *(method for pair in pairs for method in pair[1:]))
              if run.recipe.optim.schedule != schedule]  # fmt: skip
    runs = list({run.name: run for _, group in groups for run in group}.values())
    kl = kl_of(runs)
    drawn = [panel for metric in (REWARD, kl) if metric is not None for panel in comparison(evidence, groups, metric)]
    missing = [f"{with_values} and {without}" for place, with_values, without in PAIRS
               if (place, with_values, without) not in pairs]  # fmt: skip
    caption = captions.joined(
        "The same singular directions with the singular values in the factors (pissa, milora) and without (olora, "
        f"olora_tail): reward (mean of a rollout's completions{trailing(REWARD)})"
        + (f", and {KL_WORDS[kl.key]}." if kl is not None else ". No KL of the updates was measured."),
        captions.rates(runs),
        captions.seeds(evidence, runs),
        captions.ended_early(runs),
        f"Not here: {missing[0]}." if missing else "",
        f"Runs at {WORDS[schedule]}" + (" alone, as in the RLPO paper." if schedule == "constant" else ".")
        if others or schedule != "constant"
        else "",
    )
    return Drawing(tuple(drawn), len(groups), caption, evidence.styles)


def pairs_at(evidence: Evidence, schedule: str) -> list[tuple[str, str, str]]:
    """The pairs both of which ran with a schedule."""
    return [pair for pair in PAIRS if all(at_schedule(evidence.of(method), schedule) for method in pair[1:])]


def at_schedule(runs: Sequence[Run], schedule: str) -> list[Run]:
    """The runs with that schedule."""
    return [run for run in runs if run.recipe.optim.schedule == schedule]


def comparison(evidence: Evidence, groups: Sequence[tuple[str, Sequence[Run]]], metric: Metric) -> list[Lines]:
    """A panel a group and learning rate, the groups side by side, all on one scale."""
    places = sorted({run.group for _, runs in groups for run in runs})
    found = {(title, here): marks(evidence, runs, metric, here) for here in places for title, runs in groups}
    axis = vertical(metric.scale, numbers(found.values()))
    return [
        Lines(
            f"{metric.title}, {title}{captions.at_rate(here, places)}",
            tuple(drawn),
            Across(ROLLOUT),
            axis,
            what=metric.name,
            y_title=metric.axis,
        )
        for (title, here), drawn in found.items()
    ]
