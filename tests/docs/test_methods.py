"""The methods' pages are what the records and the kept runs say."""

from __future__ import annotations

import pytest

from scripts import choose, collapsed, laboratory, log, step, which
from scripts.methods import FOLDER, failures, grouped, pages, rows_of, told
from stiefel.methods import METHODS


def test_the_pages_are_fresh() -> None:
    assert [path.name for path, text in pages().items() if path.read_text() != text] == [], "run `make docs`"


@pytest.mark.parametrize("made", [choose, collapsed, laboratory, log, step, which], ids=lambda made: made.PAGE.stem)
def test_a_page_of_kept_results_is_fresh(made) -> None:
    assert made.PAGE.read_text() == made.page(), "run `make docs`"


def test_there_is_a_page_a_method_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == {method.name for method in METHODS}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_page_has_definition_options_and_citation(method) -> None:
    text = (FOLDER / f"{method.name}.md").read_text()
    assert method.definition in text
    assert method.paper.bibtex() in text
    assert all(f"| `{name}` |" in text for name in method.options)


def row(**changes: str) -> dict[str, str]:
    """A kept run that kept everything."""
    kept = {"status": "finished", "arithmetic_before": "0.5", "arithmetic": "0.7", "kl_cap": "0.0", "kl_cap_rows": ""}
    skills = {f"{skill}{when}": "1.0" for skill in ("reverse", "sort") for when in ("", "_before")}
    return {**kept, **skills, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"arithmetic": "0.4"}, ["ended below the base on its own task"]),
        ({"sort": "0.9"}, ["lost 0.10 of nano-sort"]),
        ({"sort": "0.91"}, []),
        ({"status": "diverged", "arithmetic": "", "reverse": "", "sort": ""}, ["diverged"]),
    ],
)
def test_a_failure_is_told_by_its_rule(changes: dict[str, str], said: list[str]) -> None:
    assert list(failures(row(**changes))) == said


def test_of_several_runs_the_most_that_one_lost_is_told() -> None:
    runs = [row(), row(sort="0.7", reverse="0.9"), row(sort="0.85"), row(arithmetic="0.4")]
    assert told(runs) == "below the base on its own task; lost 0.10 reverse, 0.30 sort"
    assert told([row()]) == "no"


def test_runs_that_differ_in_their_seed_alone_are_one_row() -> None:
    runs = [row(lr="0.001", seed="0"), row(lr="0.001", seed="1"), row(lr="0.003", seed="0")]
    assert [len(group) for group in grouped(runs).values()] == [2, 1]


def test_the_kept_runs_are_read() -> None:
    assert {one["seed"] for one in rows_of("nano", "lora")} >= {"0"}
