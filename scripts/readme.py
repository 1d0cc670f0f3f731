"""Regenerate what README.md and docs/{rewards,geometry,cluster}.md quote: `python -m scripts.readme [COMPARISON]`.

A comparison is a finished demo, whose table and figure are then kept.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from scripts.geometry import cost_table
from scripts.grades import grade_table
from scripts.laboratory_sentences import study_sentences
from scripts.readme_tables import (
    grid_sentence,
    init_table,
    solver_table,
    step_table,
    survival_sentence,
    survival_table,
)
from scripts.results import results
from stiefel.methods.table import as_markdown

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
REWARDS = ROOT / "docs" / "rewards.md"
GEOMETRY = ROOT / "docs" / "geometry.md"
CLUSTER = ROOT / "docs" / "cluster.md"
DEMO = ROOT / "docs" / "demo"


def replace_block(text: str, name: str, content: str) -> str:
    """Put `content` between <!-- name --> and <!-- /name -->."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    assert pattern.search(text), f"there is no block {name}"
    return pattern.sub(lambda match: f"{match[1]}{content}{match[2]}", text)


def readme() -> str:
    """README.md as it should be, from the method records and the kept results of the demo."""
    text = replace_block(README.read_text(), "methods", as_markdown())
    text = replace_block(text, "solvers", solver_table())
    text = replace_block(text, "init", init_table())
    text = replace_block(text, "step", step_table())
    text = replace_block(text, "survival", survival_sentence())
    text = replace_block(text, "study", study_sentences(results("laboratory")))
    return replace_block(text, "demo", demo_table())


SHOWN = (
    "method",
    "learning rate",
    "reward, first → last",
    "KL to base",
    "nano-arithmetic, before → after [95%]",
    "kept: nano-reverse",
    "kept: nano-sort",
)


def demo_table() -> str:
    """The columns of the demo's table that a page has room for; its report has all of them."""
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")]
        for line in (DEMO / "table.md").read_text().splitlines()
    ]
    places = [rows[0].index(name) for name in SHOWN]
    return "".join(f"| {' | '.join(row[place] for place in places)} |\n" for row in rows)


def rewards_page() -> str:
    """docs/rewards.md as it should be, from the kept result of the graders."""
    return replace_block(REWARDS.read_text(), "grades", grade_table())


def geometry_page() -> str:
    """docs/geometry.md as it should be, from the kept result of what looking costs."""
    return replace_block(GEOMETRY.read_text(), "cost", cost_table())


def cluster_page() -> str:
    """docs/cluster.md as it should be, from the kept result of what an engine plays."""
    return replace_block(replace_block(CLUSTER.read_text(), "survival", survival_table()), "grid", grid_sentence())


def keep(comparison: Path) -> None:
    """Keep a demo's table and figure under docs/."""
    from stiefel.report import write_figure

    DEMO.mkdir(parents=True, exist_ok=True)
    for name in ("table.md", "table.json"):
        shutil.copy(comparison / name, DEMO / name)
    write_figure(comparison, DEMO / "reward")


def write() -> None:
    """README.md, docs/rewards.md, docs/geometry.md and docs/cluster.md."""
    README.write_text(readme())
    REWARDS.write_text(rewards_page())
    GEOMETRY.write_text(geometry_page())
    CLUSTER.write_text(cluster_page())


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        keep(Path(argument))
    write()
