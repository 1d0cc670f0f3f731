"""Regenerate docs/recipe.md, every key of a recipe and of a grid: `python -m scripts.recipe`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scripts.readme import replace_block
from scripts.tasks import as_table
from stiefel.recipe import Key, grid_keys, recipe_keys, sections

PAGE = Path(__file__).parents[1] / "docs" / "recipe.md"


def cell(text: str) -> str:
    """A text within a table."""
    return text.replace("|", r"\|")


def rows(keys: Iterable[Key], section: str = "") -> str:
    """Keys as a table, by their names within a section."""
    return as_table(
        ("key", "takes", "default", "what it is", "an example"),
        [
            (
                f"`{key.name.removeprefix(f'{section}.')}`",
                cell(key.kind),
                f"`{cell(key.default)}`" if key.default else "–",
                cell(" ".join([key.meaning, *(f"*{note[0].upper()}{note[1:]}.*" for note in key.notes)])),
                f"`{cell(key.example)}`",
            )
            for key in keys
        ],
    )


def recipe_tables() -> str:
    """Every table of a recipe with its keys."""
    keys = recipe_keys()
    parts = []
    for section, words in sections().items():
        inner = [key for key in keys if key.name.startswith(f"{section}.")]
        about = f"{words[0].upper()}{words[1:]}\n\n" if words else ""
        parts.append(f"### [{section}]\n\n{about}{rows(inner, section)}")
    return "\n".join(parts)


def page() -> str:
    """docs/recipe.md as it should be."""
    text = replace_block(PAGE.read_text(), "recipe", recipe_tables())
    return replace_block(text, "grid", rows(grid_keys()))


if __name__ == "__main__":
    PAGE.write_text(page())
