"""Runs on nano as rows of a table: what is asked for and is not there yet is run, and its row is kept at once.

A table is results/laboratory/NAME.csv, a row a run; what the run logged, rollout by rollout, lies beside it in
NAME.jsonl. A row says which code made it: `code` is a digest of the packages that a run goes through, so that rows of
two versions can be told apart.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import stiefel
from benchmarks.machine import RESULTS
from stiefel.artifacts import append_text, read_jsonl, write_text
from stiefel.methods import compose
from stiefel.quiet import quiet
from stiefel.recipe.recipe import Recipe, load_recipe
from stiefel.run import BaseSamples, Diverged, measure_base, train

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "nano" / "dapo.toml"
TABLES = RESULTS / "laboratory"
QUESTIONS = 200  # of each task, before and after
LAST = 15  # rollouts whose mean is a run's reward
TASKS = ("arithmetic", "reverse", "sort")
PACKAGES = ("adapter", "contract", "engine", "evaluation", "methods", "model", "nano", "recipe", "rewards", "run")
PACKAGES += ("spectrum", "tasks", "training")
CURVES = (
    "reward",
    "entropy",
    "grad_norm_max",
    "completion_length",
    "clip_fraction",
    "kl_step",
    "kl_rollout",
    "kl_base",
)
CURVES += ("kl_update", "kl_rows", "step_scale", "capped_updates", "cap_passes")
GEOMETRY = ("delta_norm", "relative", "s_head", "similarity_top", "effective_rank")
DIGITS = 4  # significant ones of a curve


@dataclass(frozen=True)
class Asked:
    """A run: its method, rate and seed, the cap on its step, and what else differs from recipes/nano/dapo.toml."""

    method: str
    lr: float
    seed: int
    kl_cap: float = 0.0
    kl_cap_rows: str = ""  # a file of the repository
    changes: str = ""  # `--set` changes, with "; " between them

    def recipe(self) -> Recipe:
        """What is run; the directions of ΔW are measured every ten rollouts where there is a ΔW of matrices."""
        changes = [f"adapter.method={self.method!r}", f"optim.lr={self.lr!r}", f"run.seed={self.seed}"]
        changes += [f"optim.kl_cap={self.kl_cap!r}", f"eval.limit={QUESTIONS}", "run.save_every=0"]
        if self.kl_cap_rows:
            changes.append(f"optim.kl_cap_rows={str(ROOT / self.kl_cap_rows)!r}")
        composition = compose(self.method)
        if not (composition.has("ia3") or composition.stands_on == "norms"):
            changes.append("run.geometry_every=10")
        return load_recipe(RECIPE, [*changes, *filter(None, self.changes.split("; "))])


@cache
def code() -> str:
    """A digest of what a run goes through."""
    digest = hashlib.sha256()
    package = Path(stiefel.__file__).parent
    for name in sorted(PACKAGES):
        for path in sorted((package / name).rglob("*.py")):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def base_of(tasks: tuple[str, ...], questions: int) -> BaseSamples:
    """The base model's samples, once a process."""
    changes = [f"eval.tasks={list(tasks)!r}", f"eval.limit={questions}"]
    return measure_base(load_recipe(RECIPE, changes))


def one(asked: Asked) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's row and its curves; a run that diverges counts the rollouts that it has not done as 0."""
    quiet()
    recipe = asked.recipe()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "run"
        base = base_of(tuple(recipe.eval.tasks), recipe.eval.limit)
        with suppress(Diverged):
            train(recipe, out, base=base, shared=True)
        logged = [row for row in read_jsonl(out / "metrics.jsonl") if "event" not in row]
        geometry = read_jsonl(out / "geometry.jsonl") if (out / "geometry.jsonl").is_file() else []
        manifest = json.loads((out / "manifest.json").read_text())
        ended = manifest["status"]
        scores = json.loads((out / "eval.json").read_text()) if (out / "eval.json").is_file() else {}
    rewards = [row.get("reward", 0.0) for row in logged]
    rewards += [0.0] * (recipe.optim.rollouts - len(rewards))
    row: dict[str, Any] = {**asdict(asked), "reward": statistics.fmean(rewards[-LAST:])}
    for task in TASKS:
        found = scores.get(f"nano-{task}", {})
        row[f"{task}_before"] = found["before"]["mean"] if found else None
        row[task] = found["after"]["mean"] if found else None
    row["kl_base"] = logged[-1].get("kl_base") if logged else None
    row["entropy"] = logged[-1].get("entropy") if logged else None
    for name, of in (("kl_update", max), ("kl_rows", max), ("step_scale", min), ("capped_updates", sum)):
        values = [each[name] for each in logged if name in each]
        row[name] = of(values) if values else None
    passes = [each["cap_passes"] for each in logged if "cap_passes" in each]
    row["passes_an_update"] = sum(passes) / (len(passes) * recipe.optim.updates_per_rollout) if passes else None
    row |= {"status": ended, "rollouts": len(logged), "trainable": manifest.get("trainable_parameters")}
    row["train_seconds"] = round(sum(each["seconds"] for each in logged), 2)
    row |= {"seconds": round(time.perf_counter() - began, 1), "code": code()}
    curves: dict[str, Any] = {**asdict(asked)}
    curves |= {name: [short(each.get(name)) for each in logged] for name in CURVES if any(name in e for e in logged)}
    curves["geometry"] = [
        {
            "step": each["step"],
            **{name: short(each["summary"].get(name)) for name in GEOMETRY if name in each["summary"]},
        }
        for each in geometry
    ]
    return row, curves


def short(value: float | None) -> float | None:
    """A few digits."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")


def table(name: str) -> list[dict[str, Any]]:
    """The rows that are kept, with numbers as numbers and nothing as None."""
    path = TABLES / f"{name}.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        return [{key: parsed(key, value) for key, value in row.items()} for row in csv.DictReader(lines)]


TEXTS = {"method", "kl_cap_rows", "changes", "status", "code"}
WHOLE = {"seed", "rollouts", "trainable"}


def parsed(key: str, value: str) -> Any:
    """One field."""
    if key in TEXTS:
        return value
    if not value:
        return None
    return int(value) if key in WHOLE else float(value)


def asked_of(row: dict[str, Any]) -> Asked:
    """Which run a row is of."""
    return Asked(**{name: row[name] for name in Asked.__dataclass_fields__})


def keep_row(name: str, row: dict[str, Any], curves: dict[str, Any]) -> None:
    """Add a run to a table; the rows are in the order of what was asked, whatever ended first."""
    TABLES.mkdir(parents=True, exist_ok=True)
    append_text(TABLES / f"{name}.jsonl", json.dumps(curves, allow_nan=False) + "\n")
    rows = [*table(name), row]
    rows.sort(key=lambda each: tuple(each[field] for field in Asked.__dataclass_fields__))
    written = io.StringIO()
    writer = csv.DictWriter(written, list(row), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in each.items()} for each in rows)
    write_text(TABLES / f"{name}.csv", written.getvalue())


def run_all(asked: Iterable[tuple[str, Asked]], jobs: int) -> None:
    """Run what the tables lack, in this order, `jobs` at a time; (table, run) each."""
    have = {(name, asked_of(row)) for name in {name for name, _ in asked} for row in table(name)}
    todo = [each for each in dict.fromkeys(asked) if each not in have]
    print(f"{len(todo)} runs to do", flush=True)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting = list(reversed(todo))
        going: dict[Future[tuple[dict[str, Any], dict[str, Any]]], tuple[str, Asked]] = {}
        while waiting or going:
            while waiting and len(going) < jobs:
                name, run = waiting.pop()
                going[pool.submit(one, run)] = (name, run)
            done, _ = wait(going, return_when=FIRST_COMPLETED)
            for future in done:
                name, run = going.pop(future)
                row, curves = future.result()
                keep_row(name, row, curves)
                print(f"{len(waiting) + len(going)} left; {run}: {row['reward']:.3f}, {row['seconds']} s", flush=True)


def mean_and_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """The mean, and half of Student's t-interval; of one value the half is infinite."""
    from scipy import stats

    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.inf
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return mean, half
