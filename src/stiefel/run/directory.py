"""A run directory: what state it is in, what the guard noted, and how it is cut back to a checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..alone import is_hold
from ..artifacts import (
    CHECKPOINTS,
    EVALUATED,
    EVENTS,
    GEOMETRY,
    MANIFEST,
    METRICS,
    RECIPE,
    SAMPLES,
    SYNCS,
    read_json,
    read_jsonl,
    versions,
    write_json,
)
from ..errors import UserError
from ..recipe import LAUNCHED, Recipe, as_begun, by_key, overlay, read_toml, usual_recipe
from ..training import Row, append_row, checkpoints_in, cut_back, journal_sizes, step_of
from .hardware import hardware

PLACES = ("rollout.vllm_server",)  # where something is, which is no part of the experiment


def status(out: Path) -> str:
    """What a directory's manifest says of its run: running, finished, diverged; empty where there is no manifest."""
    if not (out / MANIFEST).is_file():
        return ""
    match read_json(out / MANIFEST):
        case {"status": str(word)}:
            return word
    raise UserError(f"{out / MANIFEST} is no manifest", "it says no status", "remove the directory and train again")


def finished(out: Path) -> bool:
    """True for a run directory whose run came to its end."""
    return status(out) in ("finished", "diverged")


def manifest(recipe: Recipe, data: str, base: Mapping[str, str]) -> dict[str, Any]:
    """What manifest.json says from the first moment on: `data` and `base` are digests of what the recipe only names."""
    return {
        "status": "running",
        "seed": recipe.run.seed,
        "versions": versions(),
        "hardware": hardware(),
        "data": data,
        "base": base,
    }


def note(out: Path, word: str, **facts: Any) -> None:
    """Say in the manifest how a run stands, and what is known of it beside what was noted when it began."""
    last = {"status": word, "versions": versions(), "hardware": hardware()}
    write_json(out / MANIFEST, {**read_json(out / MANIFEST), **last, **facts})


def read_events(out: Path) -> list[Row]:
    """What the guard did so far."""
    return read_jsonl(out / EVENTS) if (out / EVENTS).is_file() else []


def last_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint of a run."""
    return next(reversed(checkpoints_in(out / CHECKPOINTS)), None)


def rollouts_kept(recipe: Recipe, out: Path) -> int:
    """The rollouts that the newest checkpoint of a run goes on after; 0 where there is none."""
    last = last_checkpoint(out)
    return step_of(last) // recipe.optim.updates_per_rollout if last else 0


def sweep(out: Path) -> None:
    """Remove what a killed process was writing or removing when it ended."""
    for place in (out, out / CHECKPOINTS, out / EVALUATED):
        for path in place.glob(".*"):
            if is_hold(path):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def rewind(out: Path) -> None:
    """Cut the journals back to the last checkpoint, or to the start, and note what the guard did since."""
    last = last_checkpoint(out)
    sizes = journal_sizes(last) if last else {METRICS: 0, SAMPLES: 0, GEOMETRY: 0, SYNCS: 0}
    for name, size in sizes.items():
        cut_back(out / name, size)
    rows = read_jsonl(out / METRICS) if (out / METRICS).is_file() else []  # none yet while the base is measured
    noted = sum("event" in row for row in rows)
    for event in read_events(out)[noted:]:
        append_row(out / METRICS, event)


def same_recipe(recipe: Recipe, out: Path) -> Recipe:
    """The recipe that the run in `out` goes on with: this one, with the old defaults where the run is older than them.

    Raises UserError, naming what differs, if it was started with other settings; of [cluster] a run reads nothing.
    """
    if not (out / RECIPE).is_file():  # killed in its first moment: there is nothing to mix with
        return recipe
    tables = read_toml(out / RECIPE)
    if others := differences(recipe, tables):
        said = "; ".join(f"{key} was {before!r}, is {now!r}" for key, before, now in others)
        raise UserError(
            f"{out} was started with another recipe: {said}",
            "going on with changed settings would mix two experiments in one run",
            "give the same settings, or another --out",
        )
    return as_begun(recipe, tables)


def differences(recipe: Recipe, tables: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(Key, what the run whose recipe holds `tables` was begun with, what this recipe says) of all that differs."""
    before, now = resolved(tables), by_key(as_begun(recipe, tables).model_dump())
    return [
        (key, before.get(key), now.get(key))
        for key in sorted((before.keys() | now.keys()) - set(PLACES))
        if before.get(key) != now.get(key) and not key.startswith(f"{LAUNCHED}.")
    ]


def resolved(tables: Mapping[str, Any]) -> dict[str, Any]:
    """A run's recipe, `section.key`; a key that is younger than the run has its default, which is what the run did."""
    algorithm = tables.get("algorithm", {}).get("name", Recipe().algorithm.name)
    return by_key(overlay(usual_recipe(algorithm), tables))


def same_data(out: Path, recipe: Recipe, data: str) -> None:
    """Raise if the rows that a run was started on, by their digest, are others now."""
    if read_json(out / MANIFEST).get("data") != data:
        raise UserError(
            f"{out} was started on other rows than {recipe.task.data or recipe.task.name} gives now",
            "the recipe is the same, what it names is not: two experiments would be mixed in one run",
            "restore the data as they were, or begin again with another --out or --force",
        )


def same_base(out: Path, recipe: Recipe, base: Mapping[str, str]) -> None:
    """Raise, naming a weight, if the base model that a run was started on is another one now."""
    before: Mapping[str, str] = read_json(out / MANIFEST).get("base", {})
    changed = sorted(name for name in before.keys() | base.keys() if before.get(name) != base.get(name))
    if changed:
        raise UserError(
            f"{out} was started on other weights than {recipe.model.path} holds now, {changed[0]} for one",
            "a checkpoint holds what is trained, and goes on from the same base only",
            "restore the model as it was, or begin again with another --out or --force",
        )
