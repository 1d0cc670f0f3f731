"""Runs → one HTML file that asks nothing of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ..artifacts import RECIPE, writable, write_text
from ..errors import UserError
from . import theme, words
from .answers import answers
from .cells import cells
from .charts import CHOSEN, charts
from .evidence import Evidence, read_evidence
from .falls import fall_warnings
from .figures import write_figures
from .figures.drawing import Section as Name
from .figures.views import Section, sections
from .files import write_table
from .groups import rate
from .inspections import Progress
from .overview import Overview, failures, overview
from .runs import Run, is_run, read_runs
from .series import ordered, series_of, styles

PAGE, TEMPLATE = "report.html", "page.html.j2"
OF_RUN: tuple[Name, ...] = ("weights", "training")
OF_COMPARISON: tuple[Name, ...] = ("ranking", "pairs", "rates", "trade-offs", *OF_RUN)
FEW = 3  # notes on single runs that a comparison's page shows unasked


def write_report(
    directory: Path, out: Path | None = None, *, figures: bool = False, say: Progress = lambda line: None
) -> Path:
    """Write the page of a run or a comparison, by default as `directory/report.html`, and return its path.

    For a comparison, table.json, .md, .tex and .csv are written into `directory` besides, and with `figures` every
    chart as PNG and PDF into `directory/figures`. What training did to the weights is measured against the recipe's
    model and kept in each run's directory; of models whose matrices have min(m, n) > 512 only with `figures`. Raises
    UserError where there is nothing to report, or where a file is broken.
    """
    runs = read_runs(directory)
    page = out if out is not None else directory / PAGE
    if page.is_dir():
        raise UserError(f"{page} is a directory", "the page is one file", f"give --out {page / PAGE}")
    writable(page.parent).mkdir(parents=True, exist_ok=True)
    comparison = not is_run(directory)
    evidence = read_evidence(runs, say, large=figures, comparison=directory if comparison else None)
    write_text(page, html(evidence, comparison=comparison))
    if comparison:
        write_table(evidence.table, directory, failures(evidence))
    if figures:
        write_figures(evidence, directory, say, (*(OF_COMPARISON if comparison else OF_RUN), "curves"))
    return page


def html(evidence: Evidence, *, comparison: bool = False) -> str:
    """The whole page, with what is said of a comparison; the same runs give the same bytes."""
    runs, series = evidence.runs, evidence.series
    drawn = charts(runs)
    specs = [spec(chart) for _, _, chart in drawn]
    found = sections(evidence, OF_COMPARISON if comparison else OF_RUN, first=len(specs))
    specs += [spec(panel.chart) for one in found.values() for view in one.views for panel in view.panels]
    groups = len({run.group for run in runs})
    said = overview(evidence) if comparison else None
    fell = [] if comparison else [line for run in runs for line in fall_warnings(run)]  # which has a table of them
    shown = [
        (caption(run, series[run.name].label), kept)
        for run in in_order(runs)
        if run.manifest.status != "running" and ((kept := answers(run)).questions or kept.excerpts)
    ]
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            title=words.title(runs),
            overview=said,
            contents=contents(said, found, answered=bool(shown)),
            sentence=words.sentence(runs),
            caution=words.caution(runs),
            reading=words.reading(runs),
            fell=[line.removeprefix("warning: ") for line in fell],
            notes=words.notes(runs, evidence.table),
            few=FEW,
            definitions=words.DEFINITIONS,
            columns=3 if groups % 3 == 0 else 2,
            charts=[(metric, group) for metric, group, _ in drawn],
            sections=found,
            specs=specs,
            legend=[(one.label, style) for one, style in styles(ordered(series.values())).items()],
            chosen=CHOSEN,
            light=theme.LIGHT,
            dark=theme.DARK,
            table=cells(evidence.table),
            answers=shown,
            recipes=[
                (caption(run, series[run.name].label), (run.path / RECIPE).read_text("utf-8")) for run in in_order(runs)
            ],
            versions=list(dict.fromkeys(tuple(run.manifest.versions.items()) for run in runs)),
            library=library(),
        )
    )


def contents(said: Overview | None, found: Mapping[Name, Section], *, answered: bool) -> list[tuple[str, str]]:
    """(anchor, name) of the parts that a page has, in their order; `said` is None for a run's page."""
    parts = [
        ("ranking", "Ranking", said is not None and said.order is not None),
        ("every-pair", "Every two methods", said is not None and said.pairs is not None),
        ("rates", "Learning rates", said is not None and bool(found["rates"].views)),
        ("fair", "Was it fair?", said is not None and bool(said.fairness)),
        ("training", "Training", True),
        ("falls", "Falls", said is not None),
        ("costs-of-it", "What it cost", said is not None),
        ("table", "Table", True),
        *((f"{name}-figures", found[name].title, True) for name in OF_RUN),
        ("completions", "Completions", answered),
        ("method", "Method, to paste", said is not None),
        ("definitions", "Definitions", True),
        ("settings", "Settings", True),
    ]
    return [(anchor, name) for anchor, name, there in parts if there]


def spec(chart: alt.LayerChart) -> dict[str, Any]:
    """A chart as Vega-Lite, without the address of its schema, which nothing on the page needs."""
    return {key: value for key, value in chart.to_dict(validate=False).items() if key != "$schema"}


def caption(run: Run, label: str) -> str:
    """How one run is called on the page."""
    return f"{label}, learning rate {rate(run.lr)}, seed {run.seed}"


def in_order(runs: Sequence[Run]) -> list[Run]:
    """By group, as those of a learning rate, then by series as in the table, then by seed."""
    series = series_of(runs)
    places = ordered(series.values())
    return sorted(runs, key=lambda run: (run.group, places.index(series[run.name]), run.seed))


def environment() -> Environment:
    """Everything is escaped; a name that the template misspells is an error."""
    loader = FunctionLoader(lambda name: files(__package__).joinpath(name).read_text("utf-8"))
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@cache
def library() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script, at the version that Altair writes for."""
    major, minor, _ = alt.SCHEMA_VERSION.removeprefix("v").split(".")
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed", f"{major}.{minor}")
    assert "</script" not in script, "the script would end early inside the page"
    return Markup(script)  # a library's own code, not input
