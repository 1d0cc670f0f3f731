"""Regenerate what docs/verl.md quotes, the RLPO paper's script and what each key becomes: `python -m scripts.verl`."""

from __future__ import annotations

from pathlib import Path

from scripts.readme import replace_block
from stiefel.recipe import load_recipe
from stiefel.verl import HONOURED, REFUSED, SAID, planned

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "verl.md"
RECIPE = "recipes/rlpo/main.toml"


def paper() -> str:
    """The dry run of the RLPO paper's recipe."""
    script = planned(load_recipe(ROOT / RECIPE, profile="paper"), f"stiefel launch verl {RECIPE} --profile paper", None)
    return f"```bash\n{script}```\n"


def keys() -> str:
    """Every key of a recipe, and what verl makes of it."""
    lines = ["| key | on verl |", "|---|---|"]
    lines += [f"| `{key}` | {what.replace('|', chr(92) + '|')} |" for key, what in HONOURED.items()]
    lines += [f"| `{key}` | nothing, and the script says so: {what} |" for key, what in SAID.items()]
    lines += [f"| `{key}` | refused but for its default: {why} |" for key, (why, _) in REFUSED.items()]
    return "\n".join(lines) + "\n"


def page() -> str:
    """docs/verl.md as it should be."""
    return replace_block(replace_block(PAGE.read_text(), "paper", paper()), "keys", keys())


def write() -> None:
    """docs/verl.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
