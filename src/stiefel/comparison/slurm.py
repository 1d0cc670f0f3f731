"""A grid → an array job of Slurm, a task a cell, for whoever has no Ray."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..artifacts import FAILED, write_text
from ..errors import UserError
from ..recipe import Grid, Recipe
from .cells import gpus_named
from .comparison import begin, look, may_begin, print_error, unfinished
from .failed import killed, words_of
from .grown import as_begun_in
from .rates import keep_rates, kept_rates, rated, with_rates

SUFFIXES = (".sh", ".sbatch", ".slurm")
CELLS, LOGS = "cells", "logs"  # beside the script, after its name and a dot
SHEBANG = "#!/bin/bash"
MARK = "# An array job of `stiefel compare --backend slurm`: a task a cell."  # the line by which we know our script
NO_GPUS = "no cell asks for a GPU, so that all run on CPUs"
ASK = "--set cluster.gpus=1 asks for one a cell"


def write_array(
    grid: Grid,
    script: Path,
    *,
    resume: bool = False,
    force: bool = False,
    say: Callable[[str], None] = print_error,
) -> Path:
    """Write `script`, its cells' recipes beside it and the comparison's directory, which is returned.

    `sweep.sh` has its recipes in `sweep.cells/`, Slurm's logs in `sweep.logs/` and the comparison in `sweep/`. With
    `resume` the script is written again for the cells that are not finished. What can be refused is refused before
    anything is written. Each task measures its own base, with the same seeds, so that its samples are the same.
    """
    refuse_tuned(grid)
    out, cells, logs = places(script)
    look(grid, out)
    refuse_foreign(script, cells, replaces=resume or force)
    kept = kept_rates(grid, out) if resume else {}
    grid = rated(grid, kept)
    grid, goes_on = may_begin(grid, out, resume=resume, force=force)
    grid, rates = with_rates(grid, kept, say)
    if goes_on:
        as_begun_in(grid, out)
    todo = unfinished(grid, out) if goes_on else grid.runs
    if not todo:
        raise UserError(
            f"all runs of {out} are finished", "there is nothing to submit", f"stiefel report {shlex.quote(str(out))}"
        )
    begin(grid, out, goes_on=goes_on, force=force)
    keep_rates(grid, out, rates)
    shutil.rmtree(cells, ignore_errors=True)
    for place in (cells, logs):
        place.mkdir(exist_ok=True)
    for name, recipe in todo.items():
        write_text(cells / f"{name}.toml", recipe.to_toml())
    write_text(script, array_script(todo, out, cells, logs))
    script.chmod(0o755)
    say(f"{len(todo)} cells in {script}; it was not submitted")
    if not gpus_of(todo):
        say(f"{NO_GPUS}; {ASK}")
    return out


def refuse_tuned(grid: Grid) -> None:
    """Raise for a grid whose rates are chosen when all of its cells have ended, which no task of an array knows."""
    if grid.tuned:
        raise UserError(
            'rate = "tuned" with --backend slurm',
            "a rate is chosen once all cells have ended, and only then is a test measured: an array has no such moment",
            "compare with --backend ray, or on one machine (srun stiefel compare ...); or leave rate out, "
            "set eval.validation in the recipe, and submit the rates that it shows to be best as a grid of their own",
        )


def places(script: Path) -> tuple[Path, Path, Path]:
    """The comparison's directory, the recipes' and the logs', by the script's name."""
    if script.suffix not in SUFFIXES:
        raise UserError(
            f"--out {script} is no script's name",
            "with --backend slurm --out is the script to write, and the comparison's directory lies beside it",
            f"--out {script}.sh",
        )
    return script.with_suffix(""), script.with_suffix(f".{CELLS}"), script.with_suffix(f".{LOGS}")


def refuse_foreign(script: Path, cells: Path, *, replaces: bool) -> None:
    """Raise where a script or recipes stand in the way, or with `replaces` what is not ours."""
    if cells.exists() and (not cells.is_dir() or any(path.suffix != ".toml" for path in cells.iterdir())):
        raise UserError(
            f"{cells} was not written by Stiefel alone", "the cells' recipes go there", "give another --out"
        )
    if not script.exists():
        return
    if script.is_dir() or MARK not in script.read_text(encoding="utf-8", errors="replace"):
        raise UserError(f"{script} was not written by Stiefel", "it would be lost", "give another --out")
    if not replaces:
        raise UserError(
            f"{script} already exists",
            "its contents would be lost",
            "give another --out, --resume for the cells that are not finished, or --force to begin again",
        )


def array_script(todo: dict[str, Recipe], out: Path, cells: Path, logs: Path) -> str:
    """The script's text."""
    threads = [recipe.run.threads or 1 for recipe in todo.values()]
    gpus = gpus_of(todo)
    asks = [f"--cpus-per-task={max(threads)}", *([f"--gpus={gpus}"] if gpus else [])]
    said = "" if gpus else f"\n# As it stands {NO_GPUS}:\n# {ASK}, when the script is written."
    stiefel = f"{shlex.quote(sys.executable)} -m stiefel"
    options = [
        f"--job-name={out.name}",
        f"--array=0-{len(todo) - 1}",
        "--ntasks=1",
        *asks,
        "--requeue",
        "--open-mode=append",
        f"--output={logs}/%A_%a.log",
    ]
    named = "\n".join(f"  {shlex.quote(f'{name} {recipe.adapter.method}')}" for name, recipe in todo.items())
    return f"""{SHEBANG}
{sbatch_lines(options)}
{MARK}
#
# bash SCRIPT     submits the array, and a job that writes the report when all its tasks have ended
# sbatch SCRIPT   submits the array alone
#
# What all tasks ask for is the most that any cell needs. Add what your cluster wants to know, such as
# #SBATCH --partition=... and --time=...; an interrupted or requeued task goes on from its cell's last checkpoint.{said}
set -euo pipefail

stiefel=({stiefel})
out={shlex.quote(str(out))}
recipes={shlex.quote(str(cells))}

# a cell a line: its name and its method, which may have no use for some of the grid's settings
cells=(
{named}
)

if [[ -z "${{SLURM_ARRAY_TASK_ID:-}}" ]]; then
  job=$(sbatch --parsable "$0")
  job=${{job%%;*}}
  sbatch --dependency="afterany:$job" --job-name={shlex.quote(f"{out.name}-report")} \\
    --output={shlex.quote(f"{logs}/report.log")} --wrap="$(printf '%q ' "${{stiefel[@]}}" report "$out")"
  exit
fi

read -r name method <<<"${{cells[$SLURM_ARRAY_TASK_ID]}}"
run="$out/runs/$name"
how=--force # what a kill left before the run's first file gives way, and nothing else
if [[ -f "$run/manifest.json" ]]; then
  how=--resume
fi
cd {shlex.quote(str(Path.cwd()))}
ended=0 # why a task failed stands in its run's {FAILED}; other tasks go on
"${{stiefel[@]}}" train "$recipes/$name.toml" --set "adapter.method=$method" --out "$run" "$how" --note-failure ||
  ended=$?
if ((ended == 137)) && [[ -d "$run" ]]; then # killed
  printf '%s\n' {shlex.quote(json.dumps(words_of(killed())))} >"$run/.{FAILED}.$$"
  mv "$run/.{FAILED}.$$" "$run/{FAILED}"
fi
exit "$ended"
"""


def sbatch_lines(options: Sequence[str]) -> str:
    """Slurm's own lines; it takes quotes as a shell does."""
    return "\n".join(f"#SBATCH {shlex.quote(option)}" for option in options)


def gpus_of(todo: dict[str, Recipe]) -> int:
    """The GPUs of a task: the most that any cell names."""
    return max(gpus_named(recipe) for recipe in todo.values())
