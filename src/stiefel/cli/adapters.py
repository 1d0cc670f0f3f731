"""Verbs of methods and adapters: methods, init, verify, export, cache."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from ..errors import UserError
from . import completing
from .options import examples, force_option, json_option, out_option, say

OF_VLLM = Path(".venv-vllm/bin/python")  # what `make venv-vllm` makes in the checkout


@click.command(epilog=examples("stiefel methods", "stiefel methods --check rlpo"))
@click.option("--check", default="", metavar="METHOD", help="Measure the claims of a start, or of module:function.")
@json_option
@click.pass_context
def methods(context: click.Context, check: str, as_json: bool) -> None:
    """List every adapter method, or hold one to what it claims.

    With --check exit 0 if it keeps all of it, 1 if it does not.
    """
    from ..methods import as_records, print_table

    if check:
        context.exit(checked(check, as_json=as_json))
    if as_json:
        click.echo(json.dumps(as_records(), indent=1))
    else:
        print_table()
        say("next: stiefel init nano --method rlpo --out adapter")


def checked(name: str, *, as_json: bool) -> int:
    """Print whether a method keeps its claims and the contract of all methods; the exit status."""
    from dataclasses import asdict

    from ..contract import check_method
    from ..progress import layer_progress
    from ..quiet import quiet

    quiet()
    with layer_progress("checking") as progress:
        checks = check_method(name, progress)
    holds = all(check.holds for check in checks)
    if as_json:
        click.echo(json.dumps({"holds": holds, "checks": [asdict(check) for check in checks]}, indent=1))
    else:
        for check in checks:
            word = "NOT" if not check.holds else "-" if check.detail == "not claimed" else "ok"
            click.echo(f"{word:3} {check.name}{': ' + check.detail if word != 'ok' else ''}")
        made = [check for check in checks if check.detail != "not claimed"]
        click.echo(f"{name}: {sum(check.holds for check in made)} of {len(made)} checks hold")
        if holds:
            say(f"next: stiefel init nano --method {shlex.quote(name)} --out adapter")
    return 0 if holds else 1


@click.command(
    epilog=examples(
        "stiefel init nano --method rlpo --rank 8 --alpha 16 --out adapter",
        "stiefel init Qwen/Qwen3-1.7B-Base --method pissa --targets q_proj,v_proj --out adapter",
    )
)
@click.argument("model")
@click.option(
    "--method",
    required=True,
    help="One of `stiefel methods`, several with + between, or module:function.",
    shell_complete=completing.methods,
)
@click.option("--rank", default=16, show_default=True, help="The rank r of A and B.")
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
    """Make an adapter for MODEL and certify it.

    MODEL is a hub id, a directory, or nano.
    """
    from ..adapter import export as write
    from ..adapter import prepare
    from ..artifacts import check_room
    from ..methods import compose
    from ..progress import layer_progress

    if layout == "residual" and not compose(method).anchored:
        raise UserError(
            f"{method} has no residual layout", "it starts at B₀A₀ = 0 on the base as it is", "leave out --layout"
        )
    check_room(out, force=force, kind="adapter")
    with tempfile.TemporaryDirectory() as scratch, layer_progress("solving") as progress:
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
            progress=progress,
            notice=lambda line: say(f"note: {line}"),
        )
        if layout == "residual":
            write(made, model, "residual", out, dtype=dtype or "auto", force=force, revision=revision)
    if as_json:
        click.echo(json.dumps(certificate.to_json(), indent=1))
    else:
        worst = max(layer.start_error for layer in certificate.layers)
        exact = f"start error at most {worst:g}" if layout == "anchored" else "exact up to its base's rounding"
        count = len(certificate.layers)
        click.echo(f"{out}: {method}, rank {rank}, {count} {'matrix' if count == 1 else 'matrices'}, {exact}")
        if layout == "anchored":
            at = f" --revision {shlex.quote(revision)}" if revision else ""
            again = f" --method {shlex.quote(method)}" if ":" in method else ""
            say(f"next: stiefel verify {shlex.quote(str(out))} --base {shlex.quote(model)}{at}{again}")
        else:
            say(f"next: {next_to_export(out, model, 'residual', out, revision)}")


@click.command(epilog=examples("stiefel verify adapter --base nano"))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--base", required=True, help="The model it was made for: a hub id, a directory, or nano.")
@click.option("--revision", default="", help="Branch, tag or commit of a hub id.")
@click.option("--method", default="", help="Draw every start again; module:function is imported only if named here.")
@json_option
@click.pass_context
def verify(context: click.Context, directory: Path, base: str, revision: str, method: str, as_json: bool) -> None:
    """Recompute an adapter's certificate against its base.

    Exit 0 if it holds, 1 if it does not.
    """
    from dataclasses import asdict

    from ..adapter import verify as run
    from ..progress import layer_progress
    from ..quiet import quiet

    quiet()
    with layer_progress("checking") as progress:
        checks = run(directory, base, revision, progress, method=method)
    holds = all(check.holds for check in checks)
    if as_json:
        click.echo(json.dumps({"holds": holds, "checks": [asdict(check) for check in checks]}, indent=1))
    else:
        for line in told([check for check in checks if not check.holds]):
            click.echo(line)
        for check in checks:
            if check.holds and check.name == "start":
                say(f"note: starts: {check.detail}")
        held = f"{sum(check.holds for check in checks)}/{len(checks)} checks"
        click.echo(f"{directory}: the certificate {'holds' if holds else 'DOES NOT HOLD'} ({held})")
        if holds:
            path = f'"{directory.absolute()}"'
            say(f"next: stiefel train RECIPE.toml --set adapter.path={shlex.quote(path)} --out run")
    context.exit(0 if holds else 1)


def told(broken: list[Any]) -> list[str]:
    """A line for each thing that does not hold, and one for all layers of which the same is true."""
    alike: dict[str, list[str]] = {}
    for check in broken:
        alike.setdefault(check.detail, []).append(check.name)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {detail}"
        for detail, names in alike.items()
    ]


@click.command(
    epilog=examples(
        "stiefel export adapter --base nano --as lora --out plain",
        "stiefel export runs/lora --base nano --as merged --out merged",
    )
)
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
@click.option("--turn-end", multiple=True, metavar="TOKEN", help="A further token that ends an answer; repeatable.")
@out_option
@force_option
def export(
    directory: Path, base: str, form: str, dtype: str, revision: str, turn_end: tuple[str, ...], out: Path, force: bool
) -> None:
    """Write an adapter in the form that another engine wants.

    DIRECTORY holds an adapter, a run, or a checkpoint of verl.
    """
    from ..adapter import export as run
    from ..quiet import quiet
    from ..verl import export_checkpoint, verl_checkpoint

    quiet()
    checkpoint = verl_checkpoint(directory)
    if checkpoint is not None:
        export_checkpoint(checkpoint, base, form, out, dtype=dtype, force=force, revision=revision, turn_ends=turn_end)
    else:
        run(directory, base, form, out, dtype=dtype, force=force, revision=revision, turn_ends=turn_end)
    click.echo(str(out))
    say(f"next: {next_to_export(directory, base, form, out, revision)}")


def next_to_export(directory: Path, base: str, form: str, out: Path, revision: str) -> str:
    """The command that serves what was exported, or else what can be done with it."""
    from ..engine import ON_CPU, serve_command, unservable

    if form == "merged":
        command = serve_command(str(out))
    elif reason := unservable(json.loads((out / "adapter_config.json").read_bytes())):
        say(f"note: vLLM does not serve it beside its base: {reason}")
        if form == "residual":
            words = ["stiefel", "eval", str(out / "base"), "--adapter", str(out), "--task", "TASK", "--out", "eval"]
        else:
            words = ["stiefel", "export", str(directory), "--base", base, "--as", "merged", "--out", f"{out}-merged"]
            words += ["--revision", revision] if revision else []
        return shlex.join(words)
    else:
        command = serve_command(*((base, out, revision) if form == "lora" else (str(out / "base"), out)))
    if shlex.join(ON_CPU) in command:
        say("note: without a GPU, as here, vLLM's CPU build serves it so; for a GPU: docs/serving.md")
    return where_vllm_is(command)


def where_vllm_is(command: str) -> str:
    """A command that serves, by the environment that vLLM has of its own; where there is none, with a note beside."""
    program, *words = shlex.split(command)
    if find_spec("vllm") is not None or (program == "vllm" and shutil.which(program) is not None):
        return command
    if program == "python" and OF_VLLM.is_file():
        return shlex.join([str(OF_VLLM), *words])
    say("note: vLLM is not installed here: the next line is for where it is (docs/serving.md)")
    return command


@click.command(epilog=examples("stiefel cache", "stiefel cache --clear"))
@click.option("--clear", is_flag=True, help="Remove every entry.")
def cache(clear: bool) -> None:
    """Show what the spectrum cache holds, or empty it."""
    from ..spectrum import SpectrumCache

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
