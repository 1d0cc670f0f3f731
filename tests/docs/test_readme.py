"""What the README says is what the code and the kept results say."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from scripts import real
from scripts.readme import CLUSTER, GEOMETRY, README, REWARDS, ROOT, cluster_page, geometry_page, readme, rewards_page
from scripts.readme_tables import init_table, solver_table
from scripts.results import results
from stiefel.cli import VERBS, cli
from stiefel.recipe import load_recipe, read_toml
from stiefel.recipe.grid import load_grid
from tests.architecture.test_imports import ROOMS

PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
COMMANDS = [
    line for page in PAGES for line in re.findall(r"^\$ stiefel ([^#>\n]*)", page.read_text(), flags=re.MULTILINE)
]
MADE = (Path("recipe.toml"), Path("grid.toml"))  # by `stiefel new`, on the pages that name them
RECIPES = [*sorted((ROOT / "recipes").rglob("*.toml")), ROOT / "src" / "stiefel" / "nano" / "demo.toml"]


def test_the_generated_blocks_are_fresh() -> None:
    assert README.read_text() == readme(), "run `make docs`"
    assert REWARDS.read_text() == rewards_page(), "run `make docs`"
    assert GEOMETRY.read_text() == geometry_page(), "run `make docs`"
    assert CLUSTER.read_text() == cluster_page(), "run `make docs`"
    assert real.PAGE.read_text() == real.page(), "run `make docs`"


def test_a_ratio_of_a_start_is_over_what_its_row_names() -> None:
    """GeoRA's own direct way needs two SVDs: what it is over one, as the other starts are, is another row."""
    command = results("init")["command"]
    direct, net = command["direct_seconds"], command["net_seconds"]
    rows = {cells[1].strip(): cells[2] for line in init_table().splitlines() if len(cells := line.split("|")) == 5}
    (one,) = (row for name, row in rows.items() if "one full SVD" in name)
    (two,) = (row for name, row in rows.items() if "two full SVDs and two sorts" in name)
    assert one.strip() == ", ".join(f"{method}: {direct['one'] / seconds:.1f}" for method, seconds in net.items())
    assert float(two) == pytest.approx(direct["two"] / net["geora"], abs=0.05)
    assert direct["two"] > direct["one"]
    seconds = results("init")["solvers"]["seconds"]
    (cells,) = (line.split("|") for line in solver_table().splitlines() if line.startswith("| GeoRA"))
    over = [float(cell.strip(" ×")) for cell in cells[2:4]]
    assert over == [pytest.approx(seconds[svd] / seconds["geora"], abs=0.05) for svd in ("svd", "svd_tall")]


def test_the_tree_is_the_folder() -> None:
    tree = re.search(r"## The tree\n\n.*?```\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert tree is not None
    top, *lines = tree.group(1).splitlines()
    home = ROOT / top
    named = {name for line in lines for name in re.findall(r"(?:^|\s)(\w+/|\w+\.py)(?=\s)", line)}
    there = {f"{path.name}/" for path in home.iterdir() if path.is_dir() and path.name != "__pycache__"}
    there |= {path.name for path in home.glob("*.py") if not path.name.startswith("__")}
    assert named == there
    assert re.findall(r"^  (\w+)/", tree.group(1), flags=re.MULTILINE) == list(ROOMS), "in the order of imports"


def test_the_page_on_the_architecture_has_every_room_in_the_order_of_imports() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| `([\w.]+)` \| (.*) \|$", (ROOT / "docs/architecture.md").read_text(), flags=re.MULTILINE
    )
    assert [room for room, *_ in rows] == list(ROOMS)
    assert [file for room, file, _ in rows if not (ROOT / "src/stiefel" / room / file).is_file()] == []
    called = re.findall(r"`stiefel (\w+)", " ".join(verbs for *_, verbs in rows))
    assert set(called) == {verb.name for verb in VERBS}


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_and_the_pages_parses(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    verb, *arguments = shlex.split(line)
    command = cli.commands[verb]
    context = command.make_context(verb, list(arguments), **cli.context_settings)
    for name in ("recipe", "grid"):
        if name in context.params and context.params[name] not in MADE:
            assert context.params[name].is_file()
    assert isinstance(context, click.Context)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_and_grid_parses(path) -> None:
    tables = read_toml(path)
    if "axes" in tables:
        own = tables.get("profile", "")
        for profile in own if isinstance(own, dict) else [""]:
            assert load_grid(path, profile=profile).runs
    else:
        assert load_recipe(path)


def test_pissa_at_the_larger_rate_ends_below_where_it_began_and_no_other_run_of_the_demo_does() -> None:
    rows = json.loads((ROOT / "docs" / "demo" / "table.json").read_text())
    below = [(row["method"], row["lr"]) for row in rows if row["last_reward"]["mean"] < row["first_reward"]["mean"]]
    assert below == [("pissa", 1e-3)]
