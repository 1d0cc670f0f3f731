"""A preflight of nano: `python -m scripts.preflight` measures it and writes its tables into docs/preflight.md."""

from __future__ import annotations

from pathlib import Path

from scripts.readme import replace_block
from stiefel.foresight import Preflight, preflight
from stiefel.foresight.table import kind_rows, method_rows, title
from stiefel.recipe.recipe import load_recipe

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "preflight.md"
RECIPE = Path("recipes") / "nano" / "dapo.toml"
METHODS = ("lora", "pissa", "milora", "olora", "rlpo", "rlmo", "geora", "full")


def markdown(rows: list[list[str]]) -> str:
    """A heading and its rows."""
    heading, *body = rows
    marks = ["---", *("---:" for _ in heading[1:])]
    return "".join(f"| {' | '.join(row)} |\n" for row in (heading, marks, *body))


def block(found: Preflight) -> str:
    """What the page quotes: the command, both tables, the reading."""
    said = "".join(f"- {line}\n" for line in (*found.notes, *found.reading))
    command = f"$ stiefel preflight {RECIPE} --methods {','.join(METHODS)}"
    return "\n".join(
        [
            f"```console\n{command}\n{title(found)}\n```\n",
            markdown(method_rows(found)),
            markdown(kind_rows(found)),
            said,
        ]
    )


def written() -> str:
    """docs/preflight.md as it should be."""
    found = preflight(load_recipe(ROOT / RECIPE), METHODS)
    return replace_block(PAGE.read_text(), "measured", block(found))


if __name__ == "__main__":
    from stiefel.quiet import quiet

    quiet()
    PAGE.write_text(written())
