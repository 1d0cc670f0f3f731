"""A directory → the runs in it, typed and checked. Nothing of torch is imported, so a report is quick to make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..artifacts import (
    ADAPTER,
    CERTIFICATE,
    EVAL,
    MANIFEST,
    METRICS,
    RECIPE,
    RUNS,
    SAMPLES,
    VALIDATION,
    read_json,
    read_jsonl,
    require_directory,
)
from ..errors import UserError
from ..recipe import Recipe, as_today, by_key, load_recipe, read_toml
from ..scores import Score
from .checking import broken_run, checked
from .failures import read_failures
from .groups import Group, groups, of_rate
from .rate_rule import read_rate_rule

MetricRow = dict[str, float]
SHOWN = 5  # questions of a task whose completions a page shows at most
WITHIN = ("optim.lr", "run.seed")  # of one method's line


class Manifest(BaseModel):
    """What a report needs of manifest.json; the counts are there once the run is finished."""

    model_config = ConfigDict(frozen=True)

    status: str
    seed: int
    versions: dict[str, str]
    hardware: dict[str, str] = {}  # of older runs it is not known
    data: str = ""  # digests of the rows and of the base's weights
    base: dict[str, str] = {}
    reason: str = ""  # why a run diverged
    trained_by: str = "trl"
    parameters: int | None = None
    trainable_parameters: int | None = None
    base_parameters: int | None = None
    not_applicable: tuple[str, ...] = ()  # settings that the method has no use for


class Compared(BaseModel):
    """One figure before and after training, and the paired difference."""

    model_config = ConfigDict(frozen=True)

    before: Score
    after: Score
    difference: Score


class TaskScores(Compared):
    """One task's entry in eval.json: avg@n, and pass@k of some k."""

    pass_at: dict[int, Compared] = {}  # of runs that are older it is not known


class Answer(BaseModel):
    """What a report needs of one row of samples.jsonl."""

    model_config = ConfigDict(frozen=True)

    when: str
    task: str
    question: int
    sample: int
    prompt: str
    answer: str
    completion: str
    truncated: bool
    score: float | None
    reason: str


class Grade(NamedTuple):
    """What a row of samples.jsonl says of one completion, without its text."""

    when: str
    task: str
    question: int
    score: float | None
    truncated: bool


class Event(BaseModel):
    """What the guard did, a row between those of metrics.jsonl."""

    model_config = ConfigDict(frozen=True)

    event: str
    step: int
    reason: str
    action: str
    restored_to: int | None = None


EVENTS = TypeAdapter(list[Event])
METRIC_ROWS = TypeAdapter(list[MetricRow])
TASK_SCORES = TypeAdapter(dict[str, TaskScores])
ANSWERS = TypeAdapter(list[Answer])


@dataclass(frozen=True)
class Kept:
    """What a report needs of samples.jsonl."""

    grades: list[Grade]
    shown: list[Answer]  # the first samples of the first questions


@dataclass(frozen=True)
class Run:
    """One run directory; `scores` is empty until the run is finished, `rows` holds one entry a rollout."""

    name: str
    path: Path
    method: str
    rank: int
    alpha: int
    recipe: Recipe
    manifest: Manifest
    rows: tuple[MetricRow, ...]
    events: tuple[Event, ...]
    scores: dict[str, TaskScores]
    group: Group  # the runs that it stands beside
    validation: dict[str, TaskScores] = field(default_factory=dict)  # on a validation split, where it has one

    @property
    def lr(self) -> float:
        """The recipe's learning rate."""
        return self.recipe.optim.lr

    @property
    def seed(self) -> int:
        """The seed of the start, the prompts and the sampling."""
        return self.recipe.run.seed

    @property
    def finished(self) -> bool:
        """True if the run came to its end, so that its last figures are final."""
        return self.manifest.status == "finished"

    @property
    def task(self) -> str:
        """What was trained."""
        return self.recipe.task.name

    @property
    def trained(self) -> tuple[str, ...]:
        """The tasks that were trained: the one, or those of a mixture, which are measured by their own names."""
        return tuple(part.name for part in self.recipe.task.mixture if part.weight) or (self.task,)

    def values(self, metric: str) -> list[tuple[int, float]]:
        """(rollout, value) wherever the metric was measured."""
        return [(int(row["step"]), row[metric]) for row in self.rows if metric in row]

    def samples(self) -> list[Answer]:
        """Every graded completion, read when asked for; none while the run is unfinished."""
        path = self.path / SAMPLES
        return checked(ANSWERS, read_jsonl(path), path) if path.is_file() else []

    @cached_property
    def kept(self) -> Kept:
        """The grades of all completions, and the few that a page shows; read once, the texts are not held."""
        samples = self.samples()
        grades = [Grade(one.when, one.task, one.question, one.score, one.truncated) for one in samples]
        return Kept(grades, [one for one in samples if one.sample == 0 and one.question < SHOWN])


def is_run(directory: Path) -> bool:
    """True for the directory of a single run."""
    return (directory / METRICS).is_file()


def has_rows(directory: Path) -> bool:
    """Whether a run of a comparison has done a rollout, so that there is something to report."""
    return any(
        path.stat().st_size and (path.parent / RECIPE).is_file() for path in directory.glob(f"{RUNS}/*/{METRICS}")
    )


def read_runs(directory: Path) -> list[Run]:
    """The run in `directory`, or every run in `directory/runs`; raises where there is none to report on."""
    instead = "give a directory that `stiefel train` or `stiefel compare` wrote"
    require_directory(directory, instead)
    if is_run(directory):
        return [read_run(directory)]
    if not (directory / RUNS).is_dir():
        raise UserError(
            f"{directory} holds no runs",
            f"there is neither {METRICS} (a run) nor {RUNS}/ (a comparison) in it",
            instead,
        )
    # a run that was killed while its base was still being measured has left no recipe: there is nothing of it to show
    begun = [path for path in sorted((directory / RUNS).iterdir()) if (path / RECIPE).is_file()]
    failures = read_failures(directory)
    runs = [read_run(path) for path in begun if path.name not in failures or (path / MANIFEST).is_file()]
    if not any(run.rows for run in runs):
        failed = [f"{name}: {failure.what}" for name, failure in failures.items()]
        raise UserError(
            f"no run in {directory / RUNS} has done a rollout yet",
            f"{len(failed)} could not be trained, {failed[0]}" if failed else "there is nothing to report",
            "wait for the first rollout, or start the comparison again with --resume",
        )
    return side_by_side(runs, directory)


def side_by_side(runs: Sequence[Run], directory: Path) -> list[Run]:
    """The runs of a comparison, each in its group."""
    rule = read_rate_rule(directory)
    if rule is not None and rule.tuned:  # another rate may have been chosen since: the test of that one is none
        runs = [run if run.name in rule.chosen else replace(run, scores={}) for run in runs]
    found = groups([(run.method, settings(run), run.lr) for run in runs], matched=rule is not None and rule.matched)
    return [replace(run, group=group) for run, group in zip(runs, found, strict=True)]


def settings(run: Run) -> str:
    """All of a run's settings but its rate and its seed."""
    return repr(
        sorted((key, repr(value)) for key, value in by_key(run.recipe.model_dump()).items() if key not in WITHIN)
    )


def read_run(path: Path) -> Run:
    """One run directory; a file that is missing or broken is named."""
    recipe = as_today(load_recipe(need(path / RECIPE)), read_toml(path / RECIPE))
    manifest = checked(TypeAdapter(Manifest), read_json(need(path / MANIFEST)), path / MANIFEST)
    finished = manifest.status == "finished"
    rows: list[MetricRow] = []
    events: list[Event] = []
    if finished or (path / METRICS).is_file():
        every = read_jsonl(need(path / METRICS))
        events = checked(EVENTS, [row for row in every if "event" in row], path / METRICS)
        figures = [with_gaps(row) for row in every if "event" not in row]
        rows = checked(METRIC_ROWS, figures, path / METRICS)
    for number, row in enumerate(rows, start=1):
        if "step" not in row or not row.keys() & {"reward", "loss"}:
            raise broken_run(path / METRICS, f"line {number} has no step or no reward")
    if finished and not rows:
        raise broken_run(path / METRICS, "the manifest says that the run is finished, but there is no rollout")
    scores = checked(TASK_SCORES, read_json(need(path / EVAL)), path / EVAL) if finished else {}
    split = finished and (path / VALIDATION).is_file()
    validation = checked(TASK_SCORES, read_json(path / VALIDATION), path / VALIDATION) if split else {}
    method, rank, alpha = recipe.adapter.method, recipe.adapter.rank, recipe.adapter.alpha
    if recipe.adapter.path:  # the adapter that was given has its own settings, and they were used
        method = f"adapter {Path(recipe.adapter.path).name}"
        proof = path / ADAPTER / CERTIFICATE
        if proof.is_file():
            certificate = checked(TypeAdapter(dict[str, Any]), read_json(proof), proof)
            method, rank, alpha = certificate["method"], certificate["rank"], certificate["alpha"]
    group = of_rate(recipe.optim.lr)
    kept = (tuple(rows), tuple(events), scores, group, validation)
    return Run(path.name, path, method, rank, alpha, recipe, manifest, *kept)


def with_gaps(row: dict[str, Any]) -> dict[str, Any]:
    """A row with NaN where a figure was not finite, which JSON cannot say."""
    figures = {key: value for key, value in row.items() if key != "not_finite"}
    return figures | dict.fromkeys(row.get("not_finite", []), math.nan)


def need(path: Path) -> Path:
    """`path`, if it is a file."""
    if not path.is_file():
        raise UserError(
            f"{path} is missing", "a run directory without it cannot be read", "restore it, or train the run again"
        )
    return path
