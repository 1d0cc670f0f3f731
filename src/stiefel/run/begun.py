"""What a run stands on, loaded and matched with what is in its directory already: rows, model, adapter, evaluations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import Dataset

from ..adapter import certificate_of
from ..artifacts import MANIFEST, RECIPE, SAMPLES, discard, file_digest, room_for, write_json, write_text
from ..engine import Trusted
from ..errors import UserError
from ..recipe import Recipe
from ..tasks import Task
from ..training import (
    held_rows,
    is_adalora,
    lengths_line,
    require_adapter,
    rows_digest,
    schedule,
    sft_rows,
    sharded_launch,
    training_rows,
)
from .checks import check_budget, check_rows
from .directory import last_checkpoint, manifest, rewind, same_base, same_data, sweep
from .engines import check_sync_to, find_served, trust
from .loading import adapted, load_pair
from .measurements import BEFORE, BaseSamples, Progress, append_samples, measured, read_samples, same_questions
from .rehearsal import measured_tasks, trained_on, trained_task


@dataclass(frozen=True)
class Begun:
    """A run that has a directory, and all that its training needs."""

    task: Task
    measured: list[Task]
    model: Any  # with its adapter
    tokenizer: Any
    rows: Dataset
    phases: dict[str, BaseSamples]  # the evaluations so far, the base's among them but where an engine is to write it
    checkpoint: Path | None
    trusted: Trusted | None  # the server of its rollouts, in the process that asks it


def begin(recipe: Recipe, out: Path, keep: bool, base: BaseSamples | None, progress: Progress) -> Begun:
    """Load everything, then make the directory, or with `keep` cut the one that is there back to its last checkpoint.

    Raises UserError, changing nothing, for rows or weights that are others than those the run was started on.
    """
    server = find_served(recipe, progress)
    main, replaces = PartialState().is_main_process, out.is_dir()
    supervised = recipe.algorithm.name == "sft"
    task, tasks = trained_task(recipe), measured_tasks(recipe)
    for name in trained_on(tasks):
        progress(f'note: {name} is measured on the rows that it is trained on; task.heldout = "FILE" names others')
    model, tokenizer = load_pair(recipe)
    rows = (sft_rows if supervised else training_rows)(recipe, task, tokenizer, progress)
    check_rows(recipe, rows)
    held_rows(recipe, tokenizer)  # or it raises
    trusted = trust(recipe, server, model, tokenizer, rows, tasks)
    for note in trusted.notes if trusted is not None else ():
        progress(note)
    if main and not supervised:
        progress(lengths_line(recipe, task, rows, tokenizer))
    data, updates = rows_digest(rows) + held_digest(recipe), updates_of(recipe, rows)
    if supervised:
        check_budget(recipe, updates)
    if keep:
        same_data(out, recipe, data)
    if main and keep:
        sweep(out)
        rewind(out)
    PartialState().wait_for_everyone()
    phases = read_samples(out / SAMPLES) if keep else {}
    known, by_engine = BEFORE in phases, recipe.rollout.engine == "vllm" and not supervised
    if not known and not by_engine:  # the engine comes with the trainer
        phases[BEFORE] = base if base is not None else measured(recipe, model, tokenizer, BEFORE, progress, tasks)
    if BEFORE in phases:
        same_questions(recipe, tasks, tokenizer, phases[BEFORE])
    model = adapted(recipe, model)
    if sharded_launch():
        require_adapter(model)
    check_sync_to(recipe, trusted, model)
    if is_adalora(model):  # of an adapter in a directory it is not known before
        schedule(certificate_of(model).options, updates)
    stands_on = {base.name: base.fingerprint for base in certificate_of(model).bases}
    if keep:
        same_base(out, recipe, stands_on)
    elif main:
        make_directory(out, recipe, manifest(recipe, data, stands_on), replaces=replaces)
    if main and not known and BEFORE in phases:
        append_samples(out / SAMPLES, BEFORE, phases[BEFORE])
    PartialState().wait_for_everyone()
    return Begun(task, tasks, model, tokenizer, rows, phases, last_checkpoint(out), trusted)


def held_digest(recipe: Recipe) -> str:
    """Of the file on which a cap holds, where there is one."""
    held = recipe.optim.kl_cap_rows
    return f" {file_digest(Path(held).expanduser())}" if held else ""


def updates_of(recipe: Recipe, rows: Dataset) -> int:
    """Optimizer steps of the whole run."""
    if recipe.algorithm.name == "sft":
        return recipe.algorithm.epochs * math.ceil(len(rows) / recipe.algorithm.batch)
    return recipe.optim.rollouts * recipe.optim.updates_per_rollout


def make_directory(out: Path, recipe: Recipe, first: dict[str, Any], *, replaces: bool) -> None:
    """The run's directory with its manifest and recipe, in place of what stood there when this process began.

    `replaces` says that something did; what came there meanwhile is another's, and raises.
    """
    if out.is_dir() and not replaces:
        raise begun_by_another(out)
    if out.is_dir():
        discard(out)
    try:
        with room_for(out):
            out.mkdir(parents=True)
    except FileExistsError as error:
        raise begun_by_another(out) from error
    write_json(out / MANIFEST, first)  # first: it makes the directory a run's
    write_text(out / RECIPE, recipe.to_toml())


def begun_by_another(out: Path) -> UserError:
    """The error of a directory that was not there when this process began, as when a command is started twice."""
    return UserError(
        f"{out} was begun by another process meanwhile",
        "two runs in one directory would write over each other",
        "wait for that one; processes that are to train together are launched by `accelerate launch` or torchrun",
    )
