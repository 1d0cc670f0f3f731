"""What figures are drawn from: runs, what was measured of their weights while they trained, and afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..artifacts import ADAPTER, GEOMETRY, read_jsonl
from .checking import checked
from .failures import Failure, read_failures
from .inspections import Matrix, Progress, inspect_run, kept_inspection
from .pairs import Pair, pairs
from .ranking import Ranking, ranking
from .rate_rule import RateRule, read_rate_rule
from .runs import Run
from .series import Series, Style, ordered, series_of, styles
from .table import TableRow, table


class LiveMatrix(BaseModel):
    """What the figures need of one matrix in a row of geometry.jsonl; a factor A is not everywhere."""

    model_config = ConfigDict(frozen=True)

    name: str
    similarity_top: float | None = None
    similarity_bottom: float | None = None


class GeometryRow(BaseModel):
    """A row of geometry.jsonl."""

    model_config = ConfigDict(frozen=True)

    step: int
    layers: tuple[LiveMatrix, ...]


GEOMETRY_ROWS = TypeAdapter(tuple[GeometryRow, ...])


@dataclass(frozen=True)
class Evidence:
    """The runs of a directory with all that was measured of them, by the run's name."""

    runs: tuple[Run, ...]
    geometry: Mapping[str, tuple[GeometryRow, ...]]
    matrices: Mapping[str, tuple[Matrix, ...]]
    unmeasured: Mapping[str, str]  # why a run has no matrices
    rule: RateRule | None = None  # of a comparison, by which its methods got their rates
    failures: Mapping[str, Failure] = field(default_factory=dict)  # of a comparison, by the cell's name

    @cached_property
    def series(self) -> dict[str, Series]:
        """Run name → the line that it belongs to."""
        return series_of(self.runs)

    @cached_property
    def styles(self) -> dict[Series, Style]:
        """Of all lines together, so that each looks the same in every figure."""
        return styles(ordered(self.series.values()))

    @cached_property
    def table(self) -> list[TableRow]:
        """A row a method and group."""
        return table(self.runs)

    @cached_property
    def ranking(self) -> Ranking | str:
        """The order of the methods, each at its best rate, or why there is none."""
        return ranking(self.runs, self.rule)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The difference of every two of them."""
        return () if isinstance(self.ranking, str) else pairs(self.ranking)

    def of(self, *methods: str) -> list[Run]:
        """The runs of some methods, with rollouts in them."""
        return [run for run in self.runs if run.method in methods and run.rows]


def read_evidence(
    runs: Sequence[Run], say: Progress, *, large: bool = False, comparison: Path | None = None
) -> Evidence:
    """Read what is kept of every run; measure what is missing, of large models where `large` says so."""
    matrices: dict[str, tuple[Matrix, ...]] = {}
    unmeasured: dict[str, str] = {}
    for run in runs:
        found = measured(run, say, large=large)
        if isinstance(found, str):
            unmeasured[run.name] = found
        else:
            matrices[run.name] = found
    geometry = {run.name: geometry_rows(run.path) for run in runs}
    if comparison is None:
        return Evidence(tuple(runs), geometry, matrices, unmeasured)
    rule, failures = read_rate_rule(comparison), read_failures(comparison)
    return Evidence(tuple(runs), geometry, matrices, unmeasured, rule, failures)


def measured(run: Run, say: Progress, *, large: bool) -> tuple[Matrix, ...] | str:
    """The matrices of one run, or why there are none."""
    if not run.finished:
        return "the run is unfinished" if run.manifest.status == "running" else f"the run {run.manifest.status}"
    if not (run.path / ADAPTER).is_dir():
        return f"its directory holds no {ADAPTER}/"
    return kept_inspection(run) or inspect_run(run, say, large=large)


def geometry_rows(path: Path) -> tuple[GeometryRow, ...]:
    """The rows that a run wrote while it trained; none where run.geometry_every was 0."""
    file = path / GEOMETRY
    return checked(GEOMETRY_ROWS, read_jsonl(file), file) if file.is_file() else ()
