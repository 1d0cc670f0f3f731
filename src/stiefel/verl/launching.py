"""A recipe → a script for verl, and what it needs beside it: the adapter, the recipe, and what our hooks read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..adapter import CONFIG_FILE, prepare
from ..artifacts import ADAPTER, RECIPE, file_digest, read_json, writable, write_json, write_text
from ..engine import require_same_class
from ..errors import UserError
from ..methods import Composition
from ..model import build_skeleton, resolve_model
from ..recipe import Recipe
from ..run import check_names
from .able import TRAIN, composition_of, require_able
from .carried import Carried, carried, in_directory
from .handed import HANDED, handed
from .home import require_room, staged
from .installed import in_words
from .script import Script, text_of
from .shares import Shares, shares

FITS = re.compile(r"[A-Za-z0-9_./+@%:-]+")
Say = Callable[[str], None]


def planned(recipe: Recipe, command: str, out: Path | None) -> str:
    """The script as it would be written to `out`; needs neither verl nor a GPU, the hub or weights."""
    recipe = located(recipe)
    _, adapter, parts = checked(recipe)
    run = '"$PWD"' if out is None else require_plain(out.parent)
    return text_of(Script(recipe, adapter, parts, run, command))


def checked(recipe: Recipe) -> tuple[Composition, Carried, Shares]:
    """What verl is told of a recipe; raises UserError for the first thing that it cannot do."""
    composition = composition_of(recipe)
    require_able(recipe, composition)
    parts = shares(recipe)
    check_names(recipe)
    for named in (recipe.model.path, recipe.adapter.path):
        if named and Path(named).exists():
            require_plain(Path(named))
    return composition, carried(recipe, composition), parts


def launch(
    recipe: Recipe,
    command: str,
    out: Path,
    *,
    source: Path | None = None,
    force: bool = False,
    say: Say,
    progress: Any = None,
) -> Path:
    """Prepare the adapter beside the script, and write the script last; nothing is left of a launch that fails.

    What an earlier launch and its run left there is refused, and replaced with `force`; `source`, the recipe's own
    file, never is. Cost: that of `stiefel init`.
    """
    recipe = located(recipe)
    composition, adapter, parts = checked(recipe)
    home = out.parent
    run = require_plain(home)
    if out.is_dir():
        raise UserError(f"{out} is a directory", "the script is a file", f"give --out {out / 'launch.sh'}")
    require_room(out, recipe, source, force=force)
    writable(home)
    files = resolve_model(recipe.model.path, recipe.model.revision)
    require_same_class(build_skeleton(files), files, TRAIN)
    with staged(home) as building:
        if adapter.rank and adapter.directory is None:
            made = make(recipe, building / ADAPTER, say=say, progress=progress)
            assert (made.rank, made.alpha) == (adapter.rank, adapter.alpha)
            adapter = Carried(made.rank, made.alpha, made.targets, made.anchored)
        write_text(building / RECIPE, recipe.to_toml())
        told = handed(recipe, adapter, composition, home)
        write_json(building / HANDED, {**told, "digest": file_digest(building / RECIPE)})
        write_text(building / out.name, text_of(Script(recipe, adapter, parts, run, command)))
        (building / out.name).chmod(0o755)
    return out


def make(recipe: Recipe, directory: Path, *, say: Say, progress: Any) -> Carried:
    """The adapter of a recipe in a directory, with its dropout, which verl reads there and nowhere else."""
    settings = recipe.adapter
    prepare(
        recipe.model.path,
        settings.method,
        directory,
        r=settings.rank,
        alpha=settings.alpha,
        target_modules=settings.targets,
        seed=recipe.run.seed,
        dtype=recipe.model.dtype,
        revision=recipe.model.revision,
        options=settings.options,
        progress=progress,
        notice=lambda line: say(f"note: {line}"),
    )
    if settings.dropout:
        config = read_json(directory / CONFIG_FILE)
        write_json(directory / CONFIG_FILE, {**config, "lora_dropout": settings.dropout})
    return in_directory(directory)


def located(recipe: Recipe) -> Recipe:
    """The recipe with the whole paths of what lies here: verl's processes may be started elsewhere."""
    for section, key in (("model", "path"), ("adapter", "path"), ("task", "data"), ("task", "heldout")):
        table = vars(recipe)[section]
        named = vars(table)[key]
        if named and Path(named).exists():
            changed = table.model_copy(update={key: str(Path(named).absolute())})
            recipe = recipe.model_copy(update={section: changed})
    return recipe


def require_plain(directory: Path) -> str:
    """A directory's absolute path; raises UserError where verl's command line would read it otherwise."""
    path = str(directory.absolute())
    if not FITS.fullmatch(path):
        strange = next(sign for sign in path if not FITS.fullmatch(sign))
        raise UserError(
            f"{path} holds {strange!r}",
            f"verl {in_words()} takes its settings from a command line that reads this sign as its own",
            "give a path of letters, digits and _ - . / + @ % : alone",
        )
    return path
