"""The directory of a launch: what is written into it, what a run leaves there, and when it may be written again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..artifacts import ADAPTER, CHECKPOINTS, RECIPE, SYNCS, discard, file_digest, read_json, refuse_existing
from ..errors import UserError
from ..recipe import Recipe
from .handed import FAILED, HANDED

WRITTEN = (ADAPTER, RECIPE, HANDED)  # beside the script
LEFT = (CHECKPOINTS, SYNCS, FAILED, "before", "after", "trained", "run", "hydra")  # and metrics-N.jsonl


def held(home: Path) -> list[Path]:
    """What a launch wrote, or its run left, in a directory."""
    named = [home / name for name in (*WRITTEN, *LEFT) if (home / name).exists()]
    return named + sorted(home.glob("metrics-*.jsonl"))


def require_room(out: Path, recipe: Recipe, source: Path | None, *, force: bool) -> None:
    """Raise where a script at `out` would take something's place, or with `force` what is not an earlier launch's.

    verl goes on from the checkpoints that it finds: those of another launch would be taken for this one's.
    """
    home = out.parent
    if out.name in (*WRITTEN, *LEFT):
        raise UserError(f"{out} has the name of what lies beside a script", "one would replace the other", "launch.sh")
    for given in (source, *(Path(name) for name in named_in(recipe))):
        for path in [*(home / name for name in (*WRITTEN, *LEFT)), out]:
            if given is not None and given.exists() and given.resolve().is_relative_to(path.resolve()):
                raise UserError(
                    f"{given} lies where the launch writes", "it would be lost", "give an --out in another directory"
                )
    if not force:
        may = not held(home) or is_launch(home)
        refuse_existing(out, "give another --out" + (", or --force to replace it" if may else ""))
        for path in held(home):
            forced = ", or --force to replace the launch there" if may else ""
            refuse_existing(path, f"give an --out in another directory{forced}")
    elif (found := held(home)) and not is_launch(home):
        raise UserError(
            f"{found[0]} was not left by a launch",
            f"--force replaces an earlier launch: its {HANDED} knows the {RECIPE} that was written with it",
            "give an --out in another directory, or remove it yourself",
        )


def named_in(recipe: Recipe) -> list[str]:
    """What the recipe reads from this machine's disk, if it is there."""
    return [name for name in (recipe.model.path, recipe.adapter.path, recipe.task.data, recipe.task.heldout) if name]


def is_launch(home: Path) -> bool:
    """Whether the recipe in a directory is the one that a launch wrote there, as it wrote it."""
    if not (home / HANDED).is_file() or not (home / RECIPE).is_file():
        return False
    told = read_json(home / HANDED)
    return isinstance(told, dict) and told.get("digest") == file_digest(home / RECIPE)


@contextmanager
def staged(home: Path) -> Iterator[Path]:
    """A directory to fill, whose files and directories are moved into `home` when the block ends well.

    What an earlier launch left there goes then and not before; of a block that fails nothing is left.
    """
    made = [place for place in (home, *home.absolute().parents) if not place.exists()]
    home.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=home, prefix=".launch."))
    try:
        yield building
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        for place in made:  # the innermost first
            place.rmdir()
        raise
    for path in held(home):
        if path.is_dir():
            discard(path)
        elif path.name not in WRITTEN:  # the files are replaced, by which a launch is known until then
            path.unlink()
    for path in sorted(building.iterdir(), key=lambda path: path.name not in WRITTEN):  # the script last
        path.rename(home / path.name)
    building.rmdir()
