"""CITATION.cff and the forms for issues are what those who read them take."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

import stiefel
from stiefel.cli import main
from stiefel.cli.cite import AUTHORS, LICENSE, TITLE

ROOT = Path(__file__).parents[2]
FORMS = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]


def test_the_citation_says_what_the_package_says() -> None:
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert said["cff-version"] == "1.2.0"
    assert said["version"] == stiefel.__version__
    assert said["license"] == project["license"]
    assert said["authors"] == project["authors"]
    assert {"message", "title", "type"} <= said.keys()


def test_the_entry_that_is_printed_is_the_pages_and_says_what_the_citation_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cite"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert f"```bibtex\n{printed}```" in (ROOT / "docs" / "cite.md").read_text()
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert [said["title"], *(one["name"] for one in said["authors"]), said["license"]] == [TITLE, AUTHORS, LICENSE]
    assert f"version = {{{stiefel.__version__}}}," in printed


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_can_be_shown(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert form["name"]
    assert form["description"]
    names = [field["id"] for field in form["body"]]
    assert len(set(names)) == len(names)
    for field in form["body"]:
        assert field["type"] in ("textarea", "input", "checkboxes")
        assert field["attributes"]["label"]
    assert {path.stem for path in FORMS} == {"bug", "question", "method"}
