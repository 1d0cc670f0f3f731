"""Verbs that look at weights: inspect, preflight."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import completing
from .options import examples, force_option, json_option, profile_option, say, set_option

if TYPE_CHECKING:
    from ..foresight import Preflight


@click.command(epilog=examples("stiefel inspect runs/lora --base nano", "stiefel inspect merged --base nano --json"))
@click.argument("subject", type=click.Path(path_type=Path))
@click.option("--base", required=True, help="The model it was trained from: a hub id, a directory, or nano.")
@click.option("--rank", type=int, help="Directions counted as leading and trailing; the method's rank by default.")
@click.option(
    "--also",
    type=click.Choice(["tail", "spectrum", "masks"]),
    multiple=True,
    help="Figures that cost more; repeatable. Small models get them unasked.",
)
@click.option("--revision", default="", help="Branch, tag or commit of a hub id.")
@click.option("--no-cache", is_flag=True, help="Neither read nor keep singular triplets on disk.")
@json_option
def inspect(
    subject: Path, base: str, rank: int | None, also: tuple[str, ...], revision: str, no_cache: bool, as_json: bool
) -> None:
    """See where in the spectrum of the base a trained change lies.

    SUBJECT is a run, an adapter or a full checkpoint.
    """
    from ..artifacts import CERTIFICATE, MANIFEST
    from ..geometry import inspect as look
    from ..geometry import print_inspection

    found = look(
        subject,
        base,
        rank=rank,
        also=also,
        cache=not no_cache,
        revision=revision,
        progress=lambda name, number, total: say(f"[{number}/{total}] {name}"),
    )
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
        return
    print_inspection(found)
    if (subject / MANIFEST).is_file():
        say(f"next: stiefel report {subject}")
    elif (subject / CERTIFICATE).is_file():
        say(f"next: stiefel verify {subject} --base {base}")
    else:
        say(f"next: stiefel inspect {subject} --base {base} --json")


@click.command(
    epilog=examples(
        "stiefel preflight recipe.toml",
        "stiefel preflight recipe.toml --methods lora,pissa,rlpo --kl-budget 1e-3",
    )
)
@click.argument("recipe", type=click.Path(path_type=Path))
@profile_option
@set_option
@click.option(
    "--methods",
    default="",
    metavar="A,B,…",
    help="Methods to set side by side; the recipe's by default.",
    shell_complete=completing.methods,
)
@click.option("--kl-budget", default=1e-3, show_default=True, help="What one step may cost, in nats a token.")
@click.option("--out", type=click.Path(path_type=Path, resolve_path=True), help="JSON file to write; none by default.")
@force_option
@json_option
def preflight(
    recipe: Path,
    profile: str,
    changes: tuple[str, ...],
    methods: str,
    kl_budget: float,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure the first step that a RECIPE would take.

    Its size and its KL, before anything is trained.
    """
    from ..artifacts import refuse_existing, writable, write_json
    from ..quiet import quiet
    from ..recipe import load_recipe

    settings = load_recipe(recipe, changes, profile)
    if out is not None:
        if out.is_dir() or not force:
            refuse_existing(out, "give another --out" + ("" if out.is_dir() else ", or --force to replace it"))
        writable(out.parent)
    quiet()
    from ..foresight import chosen_methods, print_preflight
    from ..foresight import preflight as look
    from ..methods import compose
    from ..progress import working

    with working("loading the model and the rows") as speak:
        found = look(settings, chosen_methods(methods), kl_budget=kl_budget, progress=speak)
    record = found.to_json()
    if out is not None:
        write_json(out, record)
    if as_json:
        click.echo(json.dumps(record, indent=1, allow_nan=False))
    else:
        print_preflight(found)
    own = settings.adapter.path or compose(settings.adapter.method).name
    say(f"next: {next_command(recipe, profile, changes, found, own)}")


def next_command(recipe: Path, profile: str, changes: tuple[str, ...], found: Preflight, own: str) -> str:
    """The run at a rate that spends the budget, by the recipe's own method, or the first that can where that cannot."""
    words = ["stiefel", "train", str(recipe)]
    words += ["--profile", profile] if profile else []
    reached = [one for one in found.methods if one.budget.reached]
    chosen = next((one for one in reached if one.method == own), reached[0] if reached else None)
    more = []
    if chosen is not None:
        more = [f"adapter.method={chosen.method}"] if chosen.method != own else []
        more.append(f"optim.lr={chosen.budget.rate:.3g}")
    words += [word for change in (*changes, *more) for word in ("--set", change)]
    return shlex.join([*words, "--out", "run"])
