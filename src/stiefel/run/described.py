"""What an adapter's card says of the run that trained it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..adapter import Trained, certificate_of, write_card
from ..artifacts import ADAPTER
from ..model import public_name
from ..recipe import Recipe


def describe(recipe: Recipe, out: Path, model: Any, scores: Mapping[str, Any]) -> None:
    """Write the card of a run's adapter again, with its training and its scores."""
    trained = Trained(list(settings_of(recipe)), scores)
    write_card(out / ADAPTER, certificate_of(model), public_name(recipe.model.path), trained)


def settings_of(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """The recipe in words, without the places of this machine."""
    model, task, algorithm, optim = recipe.model, recipe.task, recipe.algorithm, recipe.optim
    rows = f", rows {public_name(task.data)}" if task.data else ""
    graded = f", graded by {task.reward}" if task.reward else ""
    mixed = ", ".join(f"{entry.name} ({entry.weight:g})" for entry in task.mixture)
    yield "task", f"{mixed or task.name}{rows}{graded}"
    yield "model type", model.dtype if model.dtype == model.compute else f"{model.dtype}, computed in {model.compute}"
    if recipe.adapter.path:
        yield "started from", public_name(recipe.adapter.path)
    if algorithm.name == "sft":
        yield "algorithm", f"supervised, {algorithm.epochs} epochs of batches of {algorithm.batch}"
    else:
        yield from sampled(recipe)
    yield "learning rate", f"{optim.lr:g}, {optim.schedule}, weight decay {optim.weight_decay:g}"
    yield "seed", str(recipe.run.seed)


def sampled(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What is a matter of rollouts."""
    algorithm, rollout, optim = recipe.algorithm, recipe.rollout, recipe.optim
    yield (
        "algorithm",
        f"{algorithm.name}, clip {algorithm.clip_low:g} and {algorithm.clip_high:g}, KL weight {algorithm.beta:g}",
    )
    yield (
        "rollouts",
        f"{optim.rollouts} of {rollout.prompts} prompts × {rollout.completions} completions of at most "
        f"{rollout.max_completion_tokens} tokens, {optim.updates_per_rollout} updates each",
    )
    if optim.kl_cap:
        yield "cap on a rollout's KL", f"{optim.kl_cap:g} nats a token"
    if optim.kl_cap_rows:
        most = f", at most {optim.kl_cap_total:g} nats a position in all" if optim.kl_cap_total else ""
        yield "the cap holds on rows too", f"{public_name(optim.kl_cap_rows)}{most}"
