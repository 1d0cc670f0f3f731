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


def takes(kind: str) -> str:
    """What a key may be, its values as they are written."""
    before, listed, values = kind.partition("one of ")
    return f"{before}{listed}{', '.join(f'`{value}`' for value in values.split(', '))}" if listed else kind


def means(key: Key, said: str) -> str:
    """What a key is, where it is refused, and a line that sets it where its default and its values do not show one.

    `said` is what stands above the table, of all its keys.
    """
    notes = [f"*{note[0].upper()}{note[1:]}.*" for note in key.notes if f"{note}." != said]
    shown = key.example.endswith(f" = {key.default}") or key.choices
    example = [] if shown else [f"For example `{key.example}`."]
    return cell(" ".join([key.meaning, *notes, *example]))


def rows(keys: Iterable[Key], section: str = "", said: str = "") -> str:
    """Keys as a table, by their names within a section."""
    return as_table(
        ("key", "what it is", "takes", "default"),
        [
            (
                f"`{key.name.removeprefix(f'{section}.')}`",
                means(key, said),
                cell(takes(key.kind)),
                f"`{cell(key.default)}`" if key.default else "–",
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
        parts.append(f"### [{section}]\n\n{about}{rows(inner, section, words)}")
    return "\n".join(parts)


def page() -> str:
    """docs/recipe.md as it should be."""
    text = replace_block(PAGE.read_text(), "recipe", recipe_tables())
    return replace_block(text, "grid", rows(grid_keys()))


def write() -> None:
    """docs/recipe.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
