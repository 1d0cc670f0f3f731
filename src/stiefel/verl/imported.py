"""What a launched run has left → a run directory, for `report`, `inspect`, `eval` and whatever reads runs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from ..adapter import read_certificate
from ..artifacts import (
    ADAPTER,
    CERTIFICATE,
    EVAL,
    MANIFEST,
    METRICS,
    RECIPE,
    SYNCS,
    check_room,
    read_jsonl,
    versions,
    whole_directory,
    write_json,
    write_text,
)
from ..errors import UserError
from ..recipe import load_recipe
from .checkpoint import adapter_of, verl_checkpoint
from .handed import HANDED
from .installed import in_words
from .metrics import metric_rows
from .start import START

STARTS = re.compile(r"metrics-(\d+)\.jsonl")
STEPS = "checkpoints"  # of a launch
VERL = "verl"


def import_run(home: Path, out: Path, *, force: bool = False) -> int:
    """Write the run directory of a launch, and return how many rollouts it has.

    `home` holds what `stiefel launch verl` wrote and what verl left beside it. The adapter is the last checkpoint's;
    without one that the plug-in wrote there is none. Scores are not taken over: verl's have no answers to go back to,
    and `stiefel eval` measures them. Raises UserError where `home` is no launch, or where nothing was trained yet.
    """
    if not (home / HANDED).is_file() or not (home / RECIPE).is_file():
        raise UserError(
            f"{home} is no launch", f"it holds no {HANDED} and {RECIPE}", "give the directory of the script that ran"
        )
    files = starts_in(home)
    recipe = load_recipe(home / RECIPE)
    rows = metric_rows(files, recipe.rollout.max_completion_tokens)
    if not rows:
        raise UserError(
            f"{home} has done no rollout yet",
            f"{files[-1].name} holds none" if files else "it holds no metrics-N.jsonl",
            "start the script that lies there, and wait for the first",
        )
    check_room(out, force=force, kind="run")
    with whole_directory(out) as building:
        write_text(building / METRICS, lines(rows))
        shutil.copyfile(home / RECIPE, building / RECIPE)
        if (home / SYNCS).is_file():
            syncs = {row["step"]: row for row in read_jsonl(home / SYNCS)}  # of a step that was done again the last
            write_text(building / SYNCS, lines([syncs[step] for step in sorted(syncs)]))
        base = {}
        checkpoint = verl_checkpoint(home / STEPS)
        if checkpoint is not None and (checkpoint / START / CERTIFICATE).is_file():
            adapter_of(checkpoint, building / ADAPTER)
            base = {one.name: one.fingerprint for one in read_certificate(building / ADAPTER).bases}
        write_json(building / EVAL, {})
        done = rows[-1]["step"] >= recipe.optim.rollouts
        write_json(
            building / MANIFEST,
            {
                "status": "finished" if done else "running",
                "seed": recipe.run.seed,
                "versions": {**versions(), VERL: in_words()},
                "trained_by": VERL,
                "base": base,
            },
        )
    return len(rows)


def starts_in(home: Path) -> list[Path]:
    """The metrics of every start of a launch, oldest first."""
    found = {int(match[1]): path for path in home.iterdir() if (match := STARTS.fullmatch(path.name))}
    return [found[number] for number in sorted(found)]


def lines(rows: list[dict[str, object]]) -> str:
    """A JSON-lines file's content."""
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
