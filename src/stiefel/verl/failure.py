"""The note of a reward that has failed: verl goes on without the completion, and something else must end it."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from ..artifacts import write_text
from ..errors import UserError
from .resumed import LATEST, checkpoint_at, latest_step

FIRST = re.compile(r"(train|eval) after checkpoint (\d+)")


def note_failure(path: Path, split: str) -> None:
    """Write down the exception that is being handled, and the last checkpoint before it; the first of training stays.

    That checkpoint's rollout had all of its grades, and every later one may lack some.
    """
    if path.is_file() and noted(path)[0] == "train":
        return
    write_text(path, f"{split} after checkpoint {latest_step(path.parent)}\n{traceback.format_exc()}")


def noted(path: Path) -> tuple[str, int]:
    """(split, the last checkpoint before it failed); of a note that does not say, that it was the first rollout's."""
    found = FIRST.match(path.read_text(encoding="utf-8"))
    return (found[1], int(found[2])) if found else ("train", 0)


def require_no_failure(path: Path) -> None:
    """Raise where a reward has failed in this start."""
    if path.is_file():
        raise UserError(
            "a reward has failed, and verl went on without the completions that it could not grade",
            path.read_text(encoding="utf-8").strip(),
            "mend it, and start the script again: it goes on from the last checkpoint before that",
        )


def require_whole(path: Path) -> None:
    """Forget the failure of an earlier start; raise where the checkpoint to go on from was trained after it."""
    if not path.is_file():
        return
    (split, whole), home = noted(path), path.parent
    latest = latest_step(home)
    if split == "eval" or latest <= whole:  # what was measured has no part in what is trained
        path.unlink()
        return
    earlier = [step for step in range(1, whole + 1) if checkpoint_at(home, step).is_dir()]
    told = checkpoint_at(home, latest).parents[1] / LATEST
    last = path.read_text(encoding="utf-8").strip().splitlines()[-1]
    raise UserError(
        f"checkpoint {latest} was trained after a reward had failed in rollout {whole + 1} or later",
        f"completions are missing from what it was trained on: {last}",
        f"mend the reward, and go back: echo {earlier[-1]} > {told}"
        if earlier
        else "mend the reward and launch again with --force: there is no earlier checkpoint",
    )
