"""A recipe → a script for verl, and what it needs beside it: the adapter, the recipe, and what our hooks read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..adapter import CONFIG_FILE, prepare
from ..artifacts import ADAPTER, RECIPE, read_json, refuse_existing, writable, write_json, write_text
from ..errors import UserError
from ..methods import Composition
from ..recipe import Recipe
from ..run import check_names
from .able import composition_of, require_able
from .carried import Carried, carried, in_directory
from .handed import HANDED, handed
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


def launch(recipe: Recipe, command: str, out: Path, *, force: bool = False, say: Say, progress: Any = None) -> Path:
    """Prepare the adapter beside the script, and write the script last; nothing is left of a launch that fails.

    An existing script is refused, and replaced with `force`, its adapter with it. Cost: that of `stiefel init`.
    """
    recipe = located(recipe)
    composition, adapter, parts = checked(recipe)
    home = out.parent
    run = require_plain(home)
    if not force:
        refuse_existing(out, "give another --out, or --force to replace it")
        refuse_existing(home / ADAPTER, "give an --out in another directory, or --force to replace it")
    if out.is_dir():
        raise UserError(f"{out} is a directory", "the script is a file", f"give --out {out / 'launch.sh'}")
    writable(home)
    home.mkdir(parents=True, exist_ok=True)
    if adapter.rank and adapter.directory is None:
        made = make(recipe, home / ADAPTER, force=force, say=say, progress=progress)
        assert (made.rank, made.alpha) == (adapter.rank, adapter.alpha)
        adapter = Carried(made.rank, made.alpha, made.targets, made.anchored)
    write_text(home / RECIPE, recipe.to_toml())
    write_json(home / HANDED, handed(recipe, adapter, composition, home))
    write_text(out, text_of(Script(recipe, adapter, parts, run, command)))
    out.chmod(0o755)
    return out


def make(recipe: Recipe, directory: Path, *, force: bool, say: Say, progress: Any) -> Carried:
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
        force=force,
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
