"""The site is built without a warning, begins on the README, and asks nothing of the network."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import stiefel
from tests.docs.pages import ROOT, links

pytest.importorskip("sphinx", reason="the docs extra is not installed")


class Page(HTMLParser):
    """The links of a page, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if tag == "a" and name == "href" and value:
                self.links.append(value)
            if value and (name == "src" or (tag == "link" and name == "href")):
                self.loaded.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, by the command of `make site`."""
    out = tmp_path_factory.mktemp("site")
    (command,) = re.findall(r"^\t\$\(BIN\)/python (-m sphinx .*) site$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    built = subprocess.run([sys.executable, *command.split(), str(out)], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page of the site."""
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}


def test_it_begins_on_the_readme_beside_every_page(site: Path, pages: dict[Path, Page]) -> None:
    index = pages[site / "index.html"]
    assert index.links == pages[site / "README.html"].links
    listed = [target for _, target in links(ROOT / "docs" / "index.md") if target.endswith(".md")]  # others are files
    assert len(listed) > 30
    wanted = {target.replace(".md", ".html") for target in listed}
    beside = {link.partition("#")[0] for link in index.links}
    assert {f"docs/{one}".replace("docs/../", "") for one in wanted} <= beside | {"README.html"}


def test_every_link_and_anchor_resolves(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = (path.parent / target).resolve() if target else path
            if not file.is_file():
                broken.append(f"{path.name}: {link}")
            elif anchor and file in pages and anchor not in pages[file].anchors:
                broken.append(f"{path.name}: {link}: no such anchor")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    assert {one for page in pages.values() for one in page.loaded if re.match(r"([a-z]+:)?//", one)} == set()


def test_every_public_name_stands_in_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    there = pages[site / "docs" / "api.html"].anchors
    assert {name for name in stiefel.__all__ if f"stiefel.{name}" not in there} == set()


def test_a_sentence_in_a_table_has_room_which_a_figure_beside_it_does_not_take(site: Path) -> None:
    cells = re.findall(r"<td[^>]*>(?:(?!</td>).)*</td>", (site / "docs" / "numbers.html").read_text(), re.DOTALL)
    long = [cell for cell in cells if re.match(r'<td class="[^"]*\blong\b', cell)]
    assert any("eight small runs" in cell for cell in long)
    assert len(long) < len(cells)
    sheet = (ROOT / "docs" / "static" / "site.css").read_text()
    assert all(re.search(rf"^td\.{kind} {{ min-width: ", sheet, re.MULTILINE) for kind in ("long", "longer"))
