"""The pages and what stands in them: headings, links and fenced blocks, by a CommonMark parser."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "methods").glob("*.md")),
]
PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line on which it begins, its language and what stands in it."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What is typed after a prompt, comments left out."""
        lines = [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]
        return [re.sub(r"\s+#.*", "", line) for line in lines]


@cache
def tokens(page: Path) -> list[Token]:
    """A page, parsed."""
    return PARSER.parse(page.read_text())


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page."""
    fences = [token for token in tokens(page) if token.type == "fence"]
    return [Block(page, token.map[0] + 1, token.info.strip(), token.content) for token in fences if token.map]


def links(page: Path) -> Iterator[tuple[int, str]]:
    """(line, target) of every link and image."""
    for token in tokens(page):
        for child in token.children or []:
            target = child.attrGet("href") if child.type == "link_open" else child.attrGet("src")
            if isinstance(target, str):
                yield token.map[0] + 1 if token.map else 0, target


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    found: Counter[str] = Counter()
    names = set()
    parsed = tokens(page)
    for heading, inline in pairwise(parsed):
        if heading.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return names


def name_of(page: Path) -> str:
    """docs/start.md."""
    return page.relative_to(ROOT).as_posix()
