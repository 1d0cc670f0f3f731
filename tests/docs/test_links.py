"""Every link between the pages, and from a page to a file, leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links, name_of

OUTSIDE = re.compile(r"[a-z]+:")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_and_anchor_resolves(page: Path) -> None:
    broken = []
    for line, target in links(page):
        if OUTSIDE.match(target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_file() or not file.is_relative_to(ROOT):
            broken.append(f"line {line}: {target}: no such file")
        elif anchor and anchor not in anchors(file):
            broken.append(f"line {line}: {target}: no such heading")
    assert broken == []


def test_every_page_stands_in_the_table_of_contents() -> None:
    index = ROOT / "docs" / "index.md"
    there = {(index.parent / target).resolve() for _, target in links(index)}
    assert [name_of(page) for page in PAGES if page.parent.name != "methods" and page not in {index, *there}] == []


@pytest.mark.parametrize("name", ["docs/evaluation.md", "CHANGELOG.md", "examples/trl_script.py", "docs/index.md"])
def test_the_readme_leads_there(name: str) -> None:
    assert name in {target.partition("#")[0] for _, target in links(ROOT / "README.md")}
