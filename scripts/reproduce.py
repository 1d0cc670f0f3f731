"""Regenerate the table of docs/reproduce.md: `python -m scripts.reproduce`."""

from __future__ import annotations

from pathlib import Path

from scripts.readme import replace_block
from scripts.tasks import as_table
from stiefel.recipe import profile_names
from stiefel.reproduction import Entry, entries, find_work

PAGE = Path(__file__).parents[1] / "docs" / "reproduce.md"


def names() -> str:
    """Every name, what it reproduces, its profiles with the runs of each, and the time of nano."""
    rows = [(f"`{entry.name}`", entry.what.rstrip("."), profiles(entry), entry.time) for entry in entries().values()]
    return as_table(("name", "what it reproduces", "profiles (runs)", "nano"), rows)


def profiles(entry: Entry) -> str:
    """`nano (2), paper (15)`."""
    path = find_work(entry.name, "nano").path
    return ", ".join(f"{name} ({len(find_work(entry.name, name).runs)})" for name in profile_names(path, own=True))


def page() -> str:
    """docs/reproduce.md as it should be."""
    return replace_block(PAGE.read_text(), "names", names())


def write() -> None:
    """docs/reproduce.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
