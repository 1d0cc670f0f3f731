"""What is measured for the pages: by which commands, where it is kept, how long it takes, what `make bench` runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import step
from benchmarks.__main__ import RUN, WITH_DATA
from benchmarks.rows import asked_of, table
from scripts.readme import DEMO, ROOT
from scripts.results import RESULTS, results

KEPT = RESULTS.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Said:
    """How long something takes, in the words of a file that knows it."""

    words: str
    where: str

    def __call__(self) -> str:
        """As that file says it."""
        return self.words


@dataclass(frozen=True)
class Measured:
    """What is typed, what that leaves, and how long it takes; why `make bench` leaves it out, and what it needs."""

    commands: tuple[str, ...]
    kept: tuple[str, ...] = ()  # from the repository's root on
    takes: Callable[[], str] | None = None  # None where nobody wrote it down
    apart: str = ""  # "" of what `make bench` runs
    needs: str = ""

    @property
    def in_bench(self) -> bool:
        """Whether `make bench` runs all of it."""
        asked = [words(command) for command in self.commands]
        return all(each in RUN or each[:1] in WITH_DATA for each in asked)


def words(command: str) -> tuple[str, ...]:
    """What follows `python -m`, without `--parts …`, a choice of what all of it is."""
    return tuple(re.sub(r" --parts \S+", "", command).partition("python -m ")[2].split())


def of(*names: str) -> tuple[str, ...]:
    """benchmarks/results/NAME; a table of runs has their curves beside it."""
    return tuple(
        f"{KEPT}/{each}"
        for name in names
        for each in ([name, name.replace(".csv", ".jsonl")] if name.endswith(".csv") else [name])
    )


def time(seconds: float) -> str:
    """`14 min`, `5.3 h`."""
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def runs(name: str) -> Callable[[], str]:
    """What the runs of a table took, all of them together."""

    def taken() -> str:
        seconds = [row["seconds"] for row in table(name)]
        return f"{name}.csv: {len(seconds)} runs, {time(sum(seconds))}" if seconds else f"{name}.csv: not run yet"

    return taken


def ratios(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The comparisons of two trainers among a file's parts."""
    return {name: one for name, one in found.items() if isinstance(one, dict) and "processes" in one}


def rollouts(found: dict[str, Any]) -> str:
    """What the counted rollouts of trainers that took turns took; starts and memory are not among them."""
    seconds = sum(one["pairs"] * one["seconds"] * (1 + one["total"]) for one in ratios(found).values())
    return f"rollouts: {time(seconds)} of processor time"


def demo_runs() -> str:
    """What the demo's runs took each."""
    seconds = [one["seconds"]["mean"] for one in json.loads((DEMO / "table.json").read_text())]
    return f"{len(seconds)} runs of {min(seconds):.0f} to {max(seconds):.0f} s"


def seven_b() -> str:
    """What the two commands on 7B's shapes took; writing these is not among it."""
    whole = results("init-7b")
    return f"7B's shapes: {time(60 * sum(whole[method]['minutes'] for method in ('rlpo', 'rlmo')))}, 15 GB of disk"


def learned_runs() -> str:
    """What the runs on the warm base took each."""
    kept = [one for one in results("smollm2").values() if isinstance(one, dict) and "runs" in one]
    seconds = [run["seconds"] for one in kept for run in one["runs"]]
    return f"{len(seconds)} runs of {time(min(seconds))} to {time(max(seconds))}"


def step_runs() -> str:
    """What the runs that docs/step.md tells of took, all of them together."""
    asked = {*step.wanted(5), *step.REAL}
    tables = {name for name, _ in asked}
    seconds = [row["seconds"] for name in tables for row in table(name) if (name, asked_of(row)) in asked]
    return f"{len(seconds)} runs, {time(sum(seconds))}"


HOURS, TABLES, WRITES = "hours", "reads the study's tables", "a script that writes what it measures"
FETCHED, WARM = "a model that is fetched", "a model that is fetched and trained"

DEMO_RUNS = Measured(
    ("make demo", "python -m scripts.readme demo"),
    tuple(f"docs/demo/{name}" for name in ("table.md", "table.json", "reward.svg")),
    demo_runs,
    apart="a target of its own",
)
SOLVERS = Measured(("python -m benchmarks.init --parts solvers",), of("init.json"))
COMMAND = Measured(("python -m benchmarks.init --parts command",), of("init.json"))
INIT = Measured(("python -m benchmarks.init --parts cache,peft,memory,growth",), of("init.json"))
SEVEN_B = Measured(("python -m benchmarks.init --seven-b",), of("init-7b.json"), seven_b)
STEP = Measured(("python -m benchmarks.train",), of("train.json"), lambda: rollouts(results("train")))
KILLS = Measured(("python -m benchmarks.kills",), of("kills.json"))
LOOKING = Measured(
    ("python -m benchmarks.geometry",),
    of("geometry.json"),
    Said("half an hour idle", "benchmarks/geometry.py"),
)
GRID = Measured(
    ("python -m benchmarks.compare",),
    of("compare.json"),
    Said("seven minutes on two idle cores", "benchmarks/compare.py"),
)
GRADES = Measured(
    ("python -m benchmarks.grade DATA",),
    of("grade.json"),
    Said("ten minutes on two cores", "benchmarks/grade.py"),
)
ENGINE = Measured(
    (".venv-vllm/bin/python -m benchmarks.engine",),
    of("engine.json"),
    apart="an environment of its own",
    needs="make venv-vllm smollm2",
)
PLAIN = Measured(
    ("python -m benchmarks.laboratory --parts methods",), of("laboratory/nano.csv"), runs("nano"), apart=HOURS
)
CAPPED = Measured(
    ("python -m benchmarks.step --parts runs", "python -m benchmarks.laboratory --parts caps"),
    of("laboratory/nano_cap.csv"),
    runs("nano_cap"),
    apart=HOURS,
)
CHANGED = Measured(
    ("python -m benchmarks.laboratory --parts ablations",),
    of("laboratory/nano_ablations.csv"),
    runs("nano_ablations"),
    apart=HOURS,
)
ON_SMOLLM2 = Measured(
    ("python -m benchmarks.step --parts real", "python -m benchmarks.laboratory --parts real"),
    of("laboratory/smollm2.csv"),
    runs("smollm2"),
    apart=WARM,
    needs="make smollm2-warm",
)
FALLS = Measured(
    ("python -m benchmarks.laboratory --parts falls",),
    of("laboratory/nano_falls.csv") if table("nano_falls") else (),
    runs("nano_falls"),
    apart=HOURS,
)
FIGURES = Measured(("python -m benchmarks.laboratory --parts figures",), of("laboratory.json"), apart=TABLES)
STUDY = (CAPPED, PLAIN, CHANGED, ON_SMOLLM2, FIGURES)
ONE_CAP = Measured(
    ("python -m benchmarks.step --parts runs,real",),
    of("laboratory/nano.csv", "laboratory/nano_cap.csv", "laboratory/smollm2.csv"),
    step_runs,
    apart=HOURS,
    needs="make smollm2-warm",
)
AGAIN = Measured(("python -m benchmarks.laboratory --parts reruns",), of("reruns.json"), apart=TABLES)
CAP = Measured(("python -m benchmarks.step --parts figures",), of("step.json"), apart=TABLES)
CAP_COST = Measured(
    ("python -m benchmarks.step --parts cost",),
    of("step.json"),
    lambda: rollouts(results("step")["cost"]),
    apart="a machine that does nothing else",
)
CHOICE = Measured(
    ("python -m benchmarks.choose --work DIR",),
    of("choose.json"),
    Said("two hours on two cores", "benchmarks/choose.py"),
    apart=HOURS,
)
CURVES = Measured(("python -m benchmarks.choose_on_curves",), of("choose.json", "laboratory/nano.csv"), apart=TABLES)
REAL = Measured(
    ("python -m benchmarks.real --parts 135M,1.5B,geora,peft,step,warm",),
    of("real.json"),
    Said("half an hour", "benchmarks/real.py"),
    apart=FETCHED,
    needs="make smollm2",
)
LEARNED = Measured(
    (
        "python -m benchmarks.smollm2 --methods lora",
        "python -m benchmarks.smollm2 --methods rlpo --seeds 1 --jobs 1 --threads 2",
    ),
    of("smollm2.json"),
    learned_runs,
    apart=WARM,
    needs="make smollm2-warm",
)
SPECTRA = Measured(
    ("stiefel compare recipes/nano/geometry.toml --out runs/geometry", "python -m benchmarks.spectra runs/geometry"),
    of("spectra.json"),
    Said("half an hour of training on one core, two minutes of looking", "benchmarks/spectra.py"),
    apart="a grid that is trained",
)
ARCHITECTURES = Measured(
    ("python -m benchmarks.models",), of("models.json"), apart="works or does not; no figure of README"
)
PREFLIGHT = Measured(("python -m scripts.preflight",), apart=WRITES)
THEORY = Measured(("python -m scripts.theory",), apart=WRITES)
BENCH = Said("some three hours on two cores, 16 GB of disk", "benchmarks/__main__.py")
