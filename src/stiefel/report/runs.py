"""A directory → the runs in it, typed and checked. Nothing of torch is imported, so a report is quick to make."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ..artifacts import (
    ADAPTER,
    CERTIFICATE,
    EVAL,
    MANIFEST,
    METRICS,
    RATES,
    RECIPE,
    RUNS,
    SAMPLES,
    VALIDATION,
    read_json,
    read_jsonl,
)
from ..errors import UserError
from ..recipe import TUNED, Recipe, as_today, load_recipe, read_toml
from ..scores import Score

T = TypeVar("T")
MetricRow = dict[str, float]


class Manifest(BaseModel):
    """What a report needs of manifest.json; the counts are there once the run is finished."""

    model_config = ConfigDict(frozen=True)

    status: str
    seed: int
    versions: dict[str, str]
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


def is_run(directory: Path) -> bool:
    """True for the directory of a single run."""
    return (directory / METRICS).is_file()


def read_runs(directory: Path) -> list[Run]:
    """The run in `directory`, or every run in `directory/runs`; raises where there is none to report on."""
    if is_run(directory):
        return [read_run(directory)]
    if not (directory / RUNS).is_dir():
        raise UserError(
            f"{directory} holds no runs",
            f"there is neither {METRICS} (a run) nor {RUNS}/ (a comparison) in it",
            "give a directory that `stiefel train` or `stiefel compare` wrote",
        )
    # a run that was killed while its base was still being measured has left no recipe: there is nothing of it to show
    runs = [read_run(path) for path in sorted((directory / RUNS).iterdir()) if (path / RECIPE).is_file()]
    if not any(run.rows for run in runs):
        raise UserError(
            f"no run in {directory / RUNS} has done a rollout yet",
            "there is nothing to report",
            "wait for the first rollout, or start the comparison again with --resume",
        )
    rates = read_json(directory / RATES) if (directory / RATES).is_file() else {}
    if rates.get("rate") != TUNED:
        return runs
    # a grid that has grown may have chosen another rate since: what was measured of an earlier choice is none
    return [run if run.name in rates["chosen"] else replace(run, scores={}) for run in runs]


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
    return Run(path.name, path, method, rank, alpha, recipe, manifest, tuple(rows), tuple(events), scores, validation)


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


def checked(adapter: TypeAdapter[T], value: Any, path: Path) -> T:
    """The typed content of a file; what does not fit is the file's fault, and named."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise broken_run(path, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def broken_run(path: Path, why: str) -> UserError:
    """The error of a file that Stiefel did not write like that."""
    return UserError(f"{path} is not what a run writes", why, "restore the file, or train the run again")
