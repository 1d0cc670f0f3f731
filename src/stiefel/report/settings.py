"""The keys of a recipe that no sentence of a report has words for: what a run says there, by the keys themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..recipe import Recipe, by_key, usual_recipe
from .runs import WITHIN, Run
from .series import shown

EVERY = tuple(by_key(Recipe().model_dump()))
# what is written, sent or kept meanwhile, and what a run does not read: nothing that is measured depends on it
NO_MATTER = (
    *("run.save_every", "run.samples_every", "run.geometry_every", "run.kl_every", "run.report_to"),
    *("rollout.vllm_server", "eval.defer"),
)
NO_MATTERS = ("expected.", "cluster.")
# what a run takes of time and memory, and by no more than rounding what it learns
COSTS = ("optim.micro_batch", "optim.activation_checkpointing", "rollout.share_prompts", "run.threads")
ITS_OWN = ("adapter.options", "adapter.path")  # by which a method is another one
COURSE = (
    *("algorithm.name", "algorithm.epochs", "algorithm.batch", "rollout.prompts", "rollout.completions"),
    *("optim.rollouts", "optim.updates_per_rollout"),
)
OPTIMIZER = tuple(f"optim.{key}" for key in ("schedule", "weight_decay", "max_grad_norm", "warmup_rollouts", "kl_cap"))
MEASURED = tuple(f"eval.{key}" for key in ("tasks", "sampling", "samples", "temperature", "top_p", "limit"))
COMMON = (
    *("model.path", "model.dtype", "adapter.method", "adapter.targets", "adapter.rank", "adapter.alpha"),
    *(*WITHIN, *COURSE, *OPTIMIZER, *MEASURED),
)
# what “was it fair?” has words for, and the paragraph on the method
HELD = (*COMMON, *(key for key in EVERY if key.startswith("algorithm.")))
TOLD = (
    *(*COMMON, "model.revision", "adapter.dropout", "task.name"),
    *(f"algorithm.{key}" for key in ("beta", "clip_low", "clip_high", "dual_clip", "entropy", "dynamic_sampling")),
    *(f"rollout.{key}" for key in ("temperature", "top_p", "max_completion_tokens", "engine")),
)


def other_keys(known: Sequence[str]) -> list[str]:
    """The keys on which something depends, but for those that are known already."""
    return [key for key in EVERY if key not in (*known, *NO_MATTER) and not key.startswith(NO_MATTERS)]


def settings_of(run: Run) -> Mapping[str, Any]:
    """Every key of a run's recipe."""
    return by_key(run.recipe.model_dump())


def no_defaults(runs: Sequence[Run], labels: Mapping[str, str]) -> list[str]:
    """`optim.weight_decay_on factors` of what has no words and not its default; with its methods where not all have it.

    `labels` are the methods' by their runs' names.
    """
    mine = {run.name: settings_of(run) for run in runs}
    usual = {run.name: by_key(usual_recipe(run.recipe.algorithm.name)) for run in runs}
    found = []
    for key in other_keys(TOLD):
        values: dict[str, list[str]] = {}
        for name, settings in mine.items():
            if settings[key] != usual[name][key]:
                values.setdefault(f"{key} {shown(settings[key])}", []).append(name)
        for said, names in values.items():
            methods = ", ".join(dict.fromkeys(labels[name] for name in names))
            found.append(said if len(names) == len(runs) else f"{said} ({methods})")
    return found
