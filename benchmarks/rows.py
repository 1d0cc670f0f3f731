"""Runs as rows of a table: what is asked for and is not there yet is run, and its row is kept at once.

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
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import stiefel
from benchmarks.machine import RESULTS
from scripts.smollm2_warm import WARM, WEIGHTS
from stiefel.artifacts import append_text, file_digest, read_jsonl, write_text
from stiefel.methods import compose
from stiefel.quiet import quiet
from stiefel.recipe.recipe import Recipe, load_recipe
from stiefel.run import BaseSamples, Diverged, measure_base, train

ROOT = Path(__file__).parents[1]
TABLES = RESULTS / "laboratory"
LAST = 15  # rollouts whose mean is a run's reward
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
CURVES += ("kl_update", "kl_rows", "kl_rows_total", "step_scale", "capped_updates", "cap_passes")
GEOMETRY = ("delta_norm", "relative", "s_head", "similarity_top", "effective_rank")
DIGITS = 4  # significant ones of a curve


@dataclass(frozen=True)
class Setting:
    """A model, what it is trained on, and what is measured before and after."""

    recipe: Path
    changes: tuple[str, ...]
    trained: tuple[str, ...]  # of the tasks of its [eval]; the others may be forgotten
    base: Path | None = None  # weights whose digest each row names: another machine may have made others


NANO = Setting(
    ROOT / "recipes" / "nano" / "dapo.toml",
    ("eval.limit=200", "run.save_every=0", "run.geometry_every=10"),
    ("nano-arithmetic",),
)
SMOLLM2 = Setting(
    ROOT / "recipes" / "smollm2" / "skills.toml",
    (f"model.path={str(WARM)!r}", "eval.limit=60", "run.save_every=0", "run.threads=1"),
    ("reasoning_gym:gcd", "reasoning_gym:letter_counting", "reasoning_gym:lcm"),
    WARM / WEIGHTS,
)


@dataclass(frozen=True)
class Asked:
    """A run: its method, rate and seed, the cap on its step, and what else differs from its setting's recipe."""

    method: str
    lr: float
    seed: int
    kl_cap: float = 0.0
    kl_cap_rows: str = ""  # a file of the repository
    changes: str = ""  # `--set` changes, with "; " between them

    def recipe(self, setting: Setting) -> Recipe:
        """What is run; what training does to the weights is measured where there is a ΔW of matrices."""
        changes = [f"adapter.method={self.method!r}", f"optim.lr={self.lr!r}", f"run.seed={self.seed}"]
        changes += [f"optim.kl_cap={self.kl_cap!r}", *setting.changes]
        if self.kl_cap_rows:
            changes.append(f"optim.kl_cap_rows={str(ROOT / self.kl_cap_rows)!r}")
        composition = compose(self.method)
        if composition.has("ia3") or composition.stands_on == "norms":
            changes.append("run.geometry_every=0")
        return load_recipe(setting.recipe, [*changes, *filter(None, self.changes.split("; "))])


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
def base_of(setting: Setting, changes: tuple[str, ...]) -> BaseSamples:
    """The base model's samples, once a process."""
    return measure_base(load_recipe(setting.recipe, [*setting.changes, *changes]))


def one(asked: Asked, setting: Setting) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's row and its curves."""
    quiet()
    recipe = asked.recipe(setting)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "run"
        measured = tuple(change for change in asked.changes.split("; ") if change.startswith(("eval.", "model.")))
        base = base_of(setting, measured)
        with suppress(Diverged):
            train(recipe, out, base=base, shared=True)
        row, curves = row_of(asked, setting, out, recipe)
    return {**row, "seconds": round(time.perf_counter() - began, 1), "code": code()}, curves


def row_of(asked: Asked, setting: Setting, out: Path, recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run directory says; a run that diverged counts the rollouts that it has not done as 0."""
    logged = [row for row in read_jsonl(out / "metrics.jsonl") if "event" not in row]
    manifest = json.loads((out / "manifest.json").read_text())
    scores = json.loads((out / "eval.json").read_text()) if (out / "eval.json").is_file() else {}
    rewards = [row.get("reward", 0.0) for row in logged]
    rewards += [0.0] * (recipe.optim.rollouts - len(rewards))
    row: dict[str, Any] = {**asdict(asked), "reward": statistics.fmean(rewards[-LAST:])}
    for task in recipe.eval.tasks:
        found = scores.get(task, {})
        name = re.split("[-:]", task)[-1]
        row[f"{name}_before"] = found["before"]["mean"] if found else None
        row[name] = found["after"]["mean"] if found else None
    for name in ("kl_base", "entropy"):
        row[name] = next((each[name] for each in reversed(logged) if name in each), None)
    for name, of in (
        ("kl_update", max),
        ("kl_rows", max),
        ("kl_rows_total", max),
        ("step_scale", min),
        ("capped_updates", sum),
    ):
        values = [each[name] for each in logged if name in each]
        row[name] = of(values) if values else None
    passes = [each["cap_passes"] for each in logged if "cap_passes" in each]
    row["passes_an_update"] = sum(passes) / (len(passes) * recipe.optim.updates_per_rollout) if passes else None
    row |= {"status": manifest["status"], "rollouts": len(logged), "trainable": manifest.get("trainable_parameters")}
    if setting.base is not None:
        row["base"] = base_name(setting)
    row["train_seconds"] = round(sum(each["seconds"] for each in logged), 2)
    curves: dict[str, Any] = {**asdict(asked)}
    if setting.base is not None:
        curves["base"] = base_name(setting)
    curves |= {name: [short(each.get(name)) for each in logged] for name in CURVES if any(name in e for e in logged)}
    geometry = read_jsonl(out / "geometry.jsonl") if (out / "geometry.jsonl").is_file() else []
    curves["geometry"] = [
        {
            "step": each["step"],
            **{name: short(each["summary"].get(name)) for name in GEOMETRY if name in each["summary"]},
        }
        for each in geometry
    ]
    return row, curves


def base_name(setting: Setting) -> str:
    """What rows call the weights that are here to train from; "" where these come with the code."""
    return "" if setting.base is None else digest_of(setting.base)[:16]


@cache
def digest_of(path: Path) -> str:
    """Of a file that is large."""
    return file_digest(path)


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


TEXTS = {"method", "kl_cap_rows", "changes", "status", "base", "code"}
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


def base_of_row(row: dict[str, Any]) -> str:
    """Which weights a row was trained from; "" where these come with the code."""
    return str(row.get("base", ""))


def one_each(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a run: of one that was made from two warm bases, that of the base which has the most of these rows."""
    bases = [base_of_row(row) for row in rows]
    ordered = sorted(rows, key=lambda row: bases.count(base_of_row(row)))  # what comes later stays
    kept = {asked_of(row): row for row in ordered}.values()
    return [row for row in rows if any(row is one for one in kept)]


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


def run_all(asked: Sequence[tuple[str, Asked]], setting: Setting, jobs: int) -> None:
    """Run what the tables lack, whichever processor's base they are of, in this order, `jobs` at a time."""
    have = {(name, asked_of(row)) for name in {name for name, _ in asked} for row in table(name)}
    todo = [each for each in dict.fromkeys(asked) if each not in have]
    print(f"{len(todo)} runs to do", flush=True)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting = list(reversed(todo))
        going: dict[Future[tuple[dict[str, Any], dict[str, Any]]], tuple[str, Asked]] = {}
        while waiting or going:
            while waiting and len(going) < jobs:
                name, run = waiting.pop()
                going[pool.submit(one, run, setting)] = (name, run)
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
