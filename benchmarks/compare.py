"""What a grid costs over its runs alone, what two jobs gain, and what kills repeat: `python -m benchmarks.compare`.

[--parts overhead,jobs,kill]; all of it takes some seven minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import keep, kept
from stiefel.artifacts import GRID, METRICS, RUNS, read_jsonl
from stiefel.recipe.grid import load_grid
from stiefel.run.directory import finished
from stiefel.training import checkpoints_in, step_of
from tests.comparison.conftest import left_by

PARTS = ("overhead", "jobs", "kill")
SHARED = """[recipe.rollout]
prompts = 4
completions = 4
max_completion_tokens = 24
[recipe.run]
threads = 1
save_every = {save_every}
[recipe.optim]
rollouts = {rollouts}
updates_per_rollout = 1
{more}
[axes]
"run.seed" = {seeds}
"""
EVALUATED = '[recipe.eval]\ntasks = ["nano-sort"]\nlimit = 8\n'
# a comparison without its report, which is a command of its own for single runs
COMPARE = """
import sys
from pathlib import Path
from stiefel.comparison import compare
from stiefel.quiet import quiet
from stiefel.recipe import load_grid
if __name__ == "__main__":
    quiet()
    failed = compare(load_grid(Path(sys.argv[1])), Path(sys.argv[2]), jobs=int(sys.argv[3]))
    assert not failed, failed
"""


def grid_in(place: Path, cells: int, rollouts: int, more: str = "", save_every: int = 0) -> Path:
    """A grid's file: one method with so many seeds."""
    path = place / "grid.toml"
    seeds = list(range(cells))
    path.write_text(SHARED.format(rollouts=rollouts, seeds=seeds, more=more, save_every=save_every))
    return path


def seconds_of(*command: str) -> float:
    """The time on the wall of a Python process."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - began


def compared(grid: Path, out: Path, jobs: int) -> float:
    """Seconds of a whole comparison, from the start of its process to its end."""
    script = grid.with_name("compare_it.py")  # a file, since its workers import it again
    script.write_text(COMPARE)
    return seconds_of(str(script), str(grid), str(out), str(jobs))


def overhead(rounds: int, cells: int, rollouts: int) -> dict[str, Any]:
    """A grid, one run at a time, against the same runs by `stiefel train`, each in a process of its own; in turns.

    Nothing is evaluated, so that there is no base which a grid would share.
    """
    found: dict[str, list[float]] = {"compare": [], "train": []}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            grid = grid_in(place, cells, rollouts)
            recipes = {place / f"{name}.toml": recipe for name, recipe in load_grid(grid).runs.items()}
            for path, recipe in recipes.items():
                path.write_text(recipe.to_toml())

            def alone(recipes: dict[Path, Any] = recipes) -> float:
                return sum(
                    seconds_of("-m", "stiefel", "train", str(path), "--out", str(path.with_suffix("")))
                    for path in recipes
                )

            def together(grid: Path = grid, place: Path = place) -> float:
                return compared(grid, place / "out", 1)

            works = [("compare", together), ("train", alone)]
            for kind, work in works if number % 2 == 0 else reversed(works):
                found[kind].append(work() / cells)
    ratios = [one / other for one, other in zip(found["compare"], found["train"], strict=True)]
    return {
        "cells": cells,
        "rollouts": rollouts,
        "seconds_per_cell": found,
        "compare_over_train": ratios,
        "overhead": statistics.median(ratios) - 1,
        "needed": "<= 0.05",
    }


def jobs(cells: int, rollouts: int) -> dict[str, Any]:
    """A grid of small cells, two at a time against one at a time."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        grid = grid_in(place, cells, rollouts, EVALUATED)
        seconds = {number: compared(grid, place / f"jobs{number}", number) for number in (1, 2)}
    return {
        "cells": cells,
        "rollouts": rollouts,
        "seconds": seconds,
        "gain": seconds[1] / seconds[2],
        "needed": ">= 1.5",
    }


def kill(kills: int, cells: int, rollouts: int) -> dict[str, Any]:
    """A grid whose driver and workers get SIGKILL again and again, against one that is left alone."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        grid = grid_in(place, cells, rollouts, EVALUATED, save_every=1)
        whole, killed = place / "whole", place / "killed"
        began = time.perf_counter()
        with start(grid, whole) as process:
            wait_for((whole / GRID).is_file, process)
            begun = time.perf_counter()
            assert process.wait() == 0
        print(
            f"left alone: {begun - began:.0f} s to begin, {time.perf_counter() - begun:.0f} s of work", file=sys.stderr
        )
        rng, life = random.Random(0), 2 * (time.perf_counter() - begun) / (kills + 1)
        ends = [end for _ in range(kills) if (end := killed_once(grid, killed, rng.uniform(0.2, 1.0) * life))]
        with start(grid, killed) as process:
            assert process.wait() == 0
        runs = sorted(path.name for path in (whole / RUNS).iterdir())
        results = {
            "cells": cells,
            "rollouts": rollouts,
            "kills": len(ends),
            "finished_at_each_kill": [len(end["finished"]) for end in ends],
            "rollouts_behind_a_checkpoint": [end["repeated"] for end in ends],  # done, and to be done again
            "finished_runs_touched": sum(
                stamps(killed / RUNS / name) != before for end in ends for name, before in end["finished"].items()
            ),
            "each_rollout_once": all(
                [row["step"] for row in read_jsonl(killed / RUNS / name / METRICS)] == list(range(1, rollouts + 1))
                for name in runs
            ),
            "equal_to_the_bit": all(left_by(whole / RUNS / name) == left_by(killed / RUNS / name) for name in runs),
        }
    assert results["equal_to_the_bit"], results
    assert results["each_rollout_once"], results
    assert not results["finished_runs_touched"], results
    return results


def start(grid: Path, out: Path) -> subprocess.Popen[bytes]:
    """`stiefel compare`, begun or gone on with, in a process group of its own."""
    command = [sys.executable, "-m", "stiefel", "compare", str(grid), "--jobs", "2", "--out", str(out)]
    more = ["--resume"] if (out / GRID).is_file() else ["--force"]
    return subprocess.Popen(
        [*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def wait_for(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Until something holds, or the process has ended."""
    while not holds() and process.poll() is None:
        time.sleep(0.02)


def killed_once(grid: Path, out: Path, life: float) -> dict[str, Any]:
    """Go on for that many seconds from when the comparison is there, then kill all; empty where it had ended."""
    fresh = not (out / GRID).is_file()
    before = (out / GRID).stat().st_mtime_ns if not fresh else 0
    with start(grid, out) as process:
        wait_for(lambda: (out / GRID).is_file() and (out / GRID).stat().st_mtime_ns != before, process)
        time.sleep(life)
        if process.poll() is not None:
            return {}
        os.killpg(process.pid, signal.SIGKILL)
    runs = [path for path in (out / RUNS).iterdir() if (path / METRICS).is_file()]
    return {
        "finished": {run.name: stamps(run) for run in runs if finished(run)},
        "repeated": sum(rows_of(run) - kept_of(run) for run in runs),
    }


def rows_of(run: Path) -> int:
    """The rollouts that a run has written."""
    return len((run / METRICS).read_bytes().splitlines())


def kept_of(run: Path) -> int:
    """Those that its last checkpoint, or its end, keeps; an update is a rollout."""
    if finished(run):
        return rows_of(run)
    return max((step_of(checkpoint) for checkpoint in checkpoints_in(run / "checkpoints")), default=0)


def stamps(run: Path) -> dict[str, int]:
    """When each file of a run was written, but what a report leaves."""
    return {
        str(path.relative_to(run)): path.stat().st_mtime_ns
        for path in run.rglob("*")
        if path.is_file() and path.name != "inspection.json"
    }


def main() -> None:
    """Run what is asked for and keep it; parts that are not measured again stay as they were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=2, help="of the overhead")
    parser.add_argument("--cells", type=int, default=3, help="of the overhead's grid, and of the killed one")
    parser.add_argument("--rollouts", type=int, default=20, help="of each cell of these")
    parser.add_argument("--small", type=int, default=12, help="cells of the grid that is run by one job and by two")
    parser.add_argument("--small-rollouts", type=int, default=30, help="of each of these")
    parser.add_argument("--kills", type=int, default=4)
    given = parser.parse_args()
    chosen = given.parts.split(",")
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "overhead": lambda: overhead(given.rounds, given.cells, given.rollouts),
        "jobs": lambda: jobs(given.small, given.small_rollouts),
        "kill": lambda: kill(given.kills, given.cells, given.rollouts),
    }
    earlier = {} if set(chosen) == set(PARTS) else kept("compare")
    keep("compare", {**earlier, **{part: measures[part]() for part in chosen}})


if __name__ == "__main__":
    main()
