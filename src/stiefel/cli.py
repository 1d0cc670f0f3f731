"""The command line: verbs only. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .errors import UserError

INTERRUPTED = 130
out_option = click.option(
    "--out", type=click.Path(path_type=Path, resolve_path=True), required=True, help="Directory to write."
)
force_option = click.option("--force", is_flag=True, help="Replace what an earlier command wrote there.")
resume_option = click.option(
    "--resume", is_flag=True, help="Go on with an interrupted run; a finished one is left alone."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def say(line: str) -> None:
    """Progress and advice go to stderr, so that stdout holds results alone."""
    click.echo(line, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="stiefel")
def cli() -> None:
    """Stiefel starts a LoRA on the right manifold: adapters for RL with verifiable rewards."""


@cli.command()
@json_option
def methods(as_json: bool) -> None:
    """List every adapter method."""
    from .methods.table import as_records, print_table

    if as_json:
        click.echo(json.dumps(as_records(), indent=1))
    else:
        print_table()
        say("next: stiefel init nano --method rlpo --out adapter")


@cli.command()
@click.argument("model")
@click.option("--method", required=True, help="One of `stiefel methods`.")
@click.option("--rank", default=16, show_default=True, help="r.")
@click.option("--alpha", default=32, show_default=True, help="The adapter is scaled by alpha/r.")
@click.option(
    "--targets", default="all-linear", show_default=True, help="all-linear, names with commas between, or /EXPRESSION/."
)
@click.option(
    "--layout",
    type=click.Choice(["anchored", "residual"]),
    default="anchored",
    show_default=True,
    help="residual: a modified base beside a LoRA of rank r, for engines that need it.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the random methods.")
@click.option("--dtype", default="", help="Type the model will be loaded in, where it is not the checkpoint's.")
@click.option("--revision", default="", help="Branch, tag or commit of a hub id.")
@click.option("--solver", default="auto", show_default=True, help="auto, exact or fast.")
@click.option("--no-cache", is_flag=True, help="Neither read nor keep singular triplets on disk.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the method; repeatable.")
@out_option
@force_option
@json_option
def init(
    model: str,
    method: str,
    rank: int,
    alpha: int,
    targets: str,
    layout: str,
    seed: int,
    dtype: str,
    revision: str,
    solver: str,
    no_cache: bool,
    options: tuple[str, ...],
    out: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Make an adapter for MODEL (a hub id, a directory, or nano) and certify it."""
    from .artifacts import check_room
    from .export import export as write
    from .methods import compose
    from .streamed import prepare

    if layout == "residual" and not compose(method).anchored:
        raise UserError(
            f"{method} has no residual layout", "it starts at B₀A₀ = 0 on the base as it is", "leave out --layout"
        )
    check_room(out, force=force)
    with tempfile.TemporaryDirectory() as scratch:
        made = out if layout == "anchored" else Path(scratch) / "adapter"
        certificate = prepare(
            model,
            method,
            made,
            r=rank,
            alpha=alpha,
            target_modules=chosen_targets(targets),
            seed=seed,
            dtype=dtype,
            revision=revision,
            solver=solver,
            cache=not no_cache,
            options=dict(key_and_value(option) for option in options),
            force=force,
            progress=lambda name, number, total: say(f"[{number}/{total}] {name}"),
        )
        if layout == "residual":
            write(made, model, "residual", out, dtype=dtype or "auto", force=force, revision=revision)
    if as_json:
        click.echo(json.dumps(certificate.to_json(), indent=1))
    else:
        worst = max(layer.start_error for layer in certificate.layers)
        exact = f"start error at most {worst:g}" if layout == "anchored" else "exact up to its base's rounding"
        click.echo(f"{out}: {method}, rank {rank}, {len(certificate.layers)} matrices, {exact}")
        if layout == "anchored":
            say(f'next: stiefel train RECIPE.toml --set adapter.path="{out}" --out run')


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--base", required=True, help="The model it was made for: a hub id, a directory, or nano.")
@click.option("--revision", default="", help="Branch, tag or commit of a hub id.")
@json_option
@click.pass_context
def verify(context: click.Context, directory: Path, base: str, revision: str, as_json: bool) -> None:
    """Recompute an adapter's certificate against its base: exit 0 if it holds, 1 if it does not."""
    from dataclasses import asdict

    from .quiet import quiet
    from .verify import verify as run

    quiet()
    checks = run(directory, base, revision, lambda name, number, total: say(f"[{number}/{total}] {name}"))
    holds = all(check.holds for check in checks)
    if as_json:
        click.echo(json.dumps({"holds": holds, "checks": [asdict(check) for check in checks]}, indent=1))
    else:
        for check in checks:
            if not check.holds:
                click.echo(f"{check.name}: {check.detail}")
        held = f"{sum(check.holds for check in checks)}/{len(checks)} checks"
        click.echo(f"{directory}: the certificate {'holds' if holds else 'DOES NOT HOLD'} ({held})")
        if holds:
            say(f"next: stiefel export {directory} --base {base} --as lora --out {directory}-lora")
    context.exit(0 if holds else 1)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--base", required=True, help="The model it was made for: a hub id, a directory, or nano.")
@click.option("--as", "form", required=True, help="lora, merged or residual.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Type of the written model.",
)
@click.option("--revision", default="", help="Branch, tag or commit of a hub id.")
@out_option
@force_option
def export(directory: Path, base: str, form: str, dtype: str, revision: str, out: Path, force: bool) -> None:
    """Write an adapter in the form that another engine wants."""
    from .export import export as run
    from .quiet import quiet

    quiet()
    run(directory, base, form, out, dtype=dtype, force=force, revision=revision)
    click.echo(str(out))


@cli.command()
@click.option("--clear", is_flag=True, help="Remove every entry.")
def cache(clear: bool) -> None:
    """Show what the spectrum cache holds, or empty it."""
    from .cache import SpectrumCache

    found = SpectrumCache()
    if clear:
        click.echo(f"{found.clear()} entries removed from {found.directory}")
        return
    size, limit = found.size_bytes() / 2**20, found.limit_bytes / 2**30
    click.echo(f"{found.directory}: {len(found.entries())} entries, {size:.1f} MiB of at most {limit:g} GiB")
    say("next: stiefel cache --clear")


def chosen_targets(text: str) -> str | list[str]:
    """all-linear, the expression between slashes, or the names between commas."""
    if text == "all-linear":
        return text
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):
        return text[1:-1]
    return [name.strip() for name in text.split(",")]


def key_and_value(option: str) -> tuple[str, str]:
    """`sigma=undivided` → its two halves."""
    key, equals, value = option.partition("=")
    if not equals:
        raise UserError(f"--option {option!r} is not KEY=VALUE", "it has no =", "write --option sigma=undivided")
    return key, value


@cli.command()
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
    """See where in the spectrum of the base the change of a run, an adapter or a full checkpoint lies."""
    from .geometry import inspect as look
    from .geometry.table import print_inspection

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
    else:
        print_inspection(found)


@cli.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--profile", default="", help="Overlay one of the recipe's profiles.")
@click.option("--set", "changes", multiple=True, metavar="A.B=VALUE", help="Change one key; repeatable.")
@click.option("--out", type=click.Path(path_type=Path, resolve_path=True), help="Run directory to write.")
@click.option("--dry-run", is_flag=True, help="Print the resolved recipe and stop.")
@resume_option
@force_option
def train(
    recipe: Path, profile: str, changes: tuple[str, ...], out: Path | None, dry_run: bool, resume: bool, force: bool
) -> None:
    """Train as a RECIPE says."""
    from .recipe import load_recipe

    settings = load_recipe(recipe, changes, profile)
    if dry_run:
        click.echo(settings.to_toml(), nl=False)
        return
    if out is None:
        raise UserError("no --out was given", "a run needs a directory", "add --out runs/NAME, or --dry-run")
    from .progress import run_progress
    from .quiet import quiet
    from .training.run import train as run

    refuse_both(resume, force)
    quiet()
    # a recipe that is tried with another method keeps settings that this one may have no use for
    shared = any(change.startswith("adapter.method=") for change in changes)
    with run_progress(None if settings.algorithm.name == "sft" else settings.optim.rollouts) as on_row:
        run(settings, out, resume=resume, force=force, progress=say, on_row=on_row, shared=shared)
    if os.environ.get("RANK", "0") == "0":  # of a launch with several processes
        click.echo(str(out))
        say(f"next: stiefel report {out}")


@cli.command()
@click.argument("grid", type=click.Path(path_type=Path))
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at the same time.")
@out_option
@resume_option
@force_option
def compare(grid: Path, jobs: int, out: Path, resume: bool, force: bool) -> None:
    """Train every point of a GRID and put them into one table."""
    from .grid import load_grid

    compare_and_report(load_grid(grid), out, jobs, resume=resume, force=force)


@cli.command()
@click.option("--out", type=click.Path(path_type=Path, resolve_path=True), default=Path("demo"), show_default=True)
@resume_option
@force_option
def demo(out: Path, resume: bool, force: bool) -> None:
    """Compare four methods at two learning rates on the embedded model, in minutes on a CPU."""
    from .grid import load_grid
    from .nano import DEMO_GRID
    from .progress import cores

    compare_and_report(load_grid(DEMO_GRID), out, min(4, cores()), resume=resume, force=force)


def refuse_both(resume: bool, force: bool) -> None:
    """Raise for two wishes that contradict each other."""
    if resume and force:
        raise UserError(
            "--resume and --force are both given", "one goes on, the other begins again", "give one of them"
        )


def compare_and_report(grid: Any, out: Path, jobs: int, *, resume: bool, force: bool) -> None:
    """What `compare` and `demo` share: run the grid, print the table, name the page."""
    from .compare import compare as run_grid
    from .progress import grid_progress
    from .report import print_table, write_report

    refuse_both(resume, force)
    say(f"{len(grid.runs)} runs, {jobs} at a time")
    with grid_progress({name: recipe.optim.rollouts for name, recipe in grid.runs.items()}) as on_progress:
        run_grid(grid, out, resume=resume, force=force, jobs=jobs, on_progress=on_progress)
    page = write_report(out)
    print_table(out)
    click.echo(f"report: {page}")
    say(f"next: open {page} in a browser")


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The page to write; DIRECTORY/report.html by default.")
def report(directory: Path, out: Path | None) -> None:
    """Write the page of a run or a comparison."""
    from .report import write_report

    page = write_report(directory, out)
    click.echo(str(page))
    say(f"next: open {page} in a browser")


@cli.command()
@click.argument("method")
def cite(method: str) -> None:
    """Print the BibTeX of a METHOD's paper."""
    from .methods import compose

    click.echo(compose(method).bibtex())


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a user's mistake is one message and exit 2, an interruption exit 130."""
    sys.exit(guarded(lambda: cli.main(args=arguments, standalone_mode=False)))


def guarded(command: Callable[[], Any]) -> int:
    """The exit status of a command."""
    try:
        status = command()  # what a command gave to context.exit, or nothing
    except UserError as error:
        say(f"error: {error}")
        return 2
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        place = context.command_path if context is not None else "stiefel"
        say(f"error: {UserError(error.format_message(), 'the command cannot be understood', f'see {place} --help')}")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("interrupted: nothing half-written is left; train, compare and demo go on with --resume")
        return INTERRUPTED
    return status if isinstance(status, int) else 0
