"""What a run leaves behind at its end: its scores, its adapter and its best one, and the manifest's last word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..adapter import save, trainable_parameters
from ..artifacts import ADAPTER, BEST, EVAL, EVALUATED, VALIDATION, discard, write_json
from ..model import build_skeleton, resolve_model
from ..recipe import Recipe
from ..tasks import is_validation_name
from .checks import not_applicable
from .described import describe
from .directory import note, read_events
from .measurements import BEFORE, BaseSamples, compare_scores, mean_score


def leave(recipe: Recipe, out: Path, model: Any, phases: dict[str, BaseSamples]) -> None:
    """Write eval.json, that of the validation split, the adapter, the best one, and last that the run is finished."""
    scores = compare_scores(phases)
    write_json(out / EVAL, {name: found for name, found in scores.items() if not is_validation_name(name)})
    if recipe.eval.validation:
        write_json(out / VALIDATION, {name: found for name, found in scores.items() if is_validation_name(name)})
    replace_adapter(model, out / ADAPTER)
    describe(recipe, out, model, scores)
    note(
        out,
        "finished",
        not_applicable=not_applicable(recipe),
        **counts(recipe, model),
        events=read_events(out),
        **best(recipe, out, phases),
    )


def counts(recipe: Recipe, model: Any) -> dict[str, int]:
    """How many numbers train, how many do not, and how many the base model has, whatever of them trains."""
    trainable = trainable_parameters(model)
    total = sum(p.numel() for p in model.parameters())
    base = build_skeleton(resolve_model(recipe.model.path, recipe.model.revision))
    return {
        "parameters": total - trainable,
        "trainable_parameters": trainable,
        "base_parameters": sum(p.numel() for p in base.parameters()),
    }


def best(recipe: Recipe, out: Path, phases: dict[str, BaseSamples]) -> dict[str, Any]:
    """The best evaluation; its adapter was kept when it was the best so far, whatever a guard undid since."""
    if not recipe.eval.every:
        return {}
    scores = {when: mean_score(samples) for when, samples in phases.items() if when != BEFORE}
    best = max(scores, key=lambda when: scores[when])
    if (out / EVALUATED / best).is_dir():  # a run killed right here had got further
        if (out / BEST).is_dir():
            discard(out / BEST)
        (out / EVALUATED / best).rename(out / BEST)
    if (out / EVALUATED).is_dir():
        discard(out / EVALUATED)
    return {"best": {"when": best, "score": scores[best]}}


def replace_adapter(model: Any, out: Path) -> None:
    """Save the adapter in place of an earlier one."""
    if out.is_dir():
        discard(out)
    save(model, out)
