"""What a shell is offered where Tab is pressed, by click's own mechanism, and that it does not wait for torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from stiefel.cli import cli
from stiefel.cli.completing import method_names
from stiefel.methods import METHODS
from stiefel.tasks import TASKS

ROOT = Path(__file__).parents[2]


def offered(*words: str) -> list[str]:
    """What the last word may become."""
    *before, incomplete = words
    found = ShellComplete(cli, {}, "stiefel", "_STIEFEL_COMPLETE").get_completions(before, incomplete)
    return [item.value for item in found]


def test_the_names_that_are_read_are_those_of_the_tuple() -> None:
    assert method_names() == [method.name for method in METHODS]


def test_methods_one_by_one_with_plus_and_with_commas() -> None:
    assert offered("init", "nano", "--method", "rl") == ["rlpo", "rlmo"]
    assert offered("new", "recipe", "--method", "rlpo+lora_") == ["rlpo+lora_plus", "rlpo+lora_fa"]
    assert offered("preflight", "r.toml", "--methods", "lora,pis") == ["lora,pissa"]
    assert offered("cite", "mil") == ["milora"]


def test_tasks_algorithms_and_commands() -> None:
    names = [task.name for task in TASKS]
    assert offered("eval", "nano", "--task", "nano-") == [name for name in names if name.startswith("nano-")]
    assert offered("grade", "--task", "gsm") == ["gsm8k"]
    assert offered("new", "grid", "--algorithm", "d") == ["dapo", "dr_grpo"]
    assert "doctor" in offered("do")


def test_profiles_of_the_recipe_on_the_line(tmp_path: Path) -> None:
    recipe = str(ROOT / "recipes" / "rlpo" / "main.toml")
    assert {"nano", "paper"} <= set(offered("train", recipe, "--profile", ""))
    assert offered("train", recipe, "--profile", "pap") == ["paper"]
    (tmp_path / "grid.toml").write_text(f'recipe = "{recipe}"\n[axes]\n"run.seed" = [0]\n')
    assert "nano" in offered("compare", str(tmp_path / "grid.toml"), "--profile", "n")
    (tmp_path / "broken.toml").write_text("[")
    for path in ("", "nowhere.toml", str(tmp_path), str(tmp_path / "broken.toml")):
        assert offered("train", path, "--profile", "") == []


def test_keys_of_set_and_the_values_of_those_that_take_few() -> None:
    assert offered("train", "r.toml", "--set", "optim.kl") == [
        "optim.kl_cap=",
        "optim.kl_cap_rows=",
        "optim.kl_cap_total=",
    ]
    assert offered("train", "r.toml", "--set", "optim.schedule=") == [
        "optim.schedule=constant",
        "optim.schedule=cosine",
    ]
    assert offered("compare", "g.toml", "--set", "task.chat=t") == ["task.chat=true"]
    assert offered("train", "r.toml", "--set", "optim.lr=") == []
    assert offered("help", "optim.l") == ["optim.lr"]
    assert "axes" in offered("help", "ax")


@pytest.mark.parametrize("words", ["stiefel init nano --method rl", "stiefel train r.toml --set optim.l"])
def test_bash_is_answered_without_torch(words: str) -> None:
    code = "import sys\nfrom stiefel.cli import main\nsys.argv = ['stiefel']\ntry: main()\n"
    code += "finally: print('torch' in sys.modules, file=sys.stderr)"
    environment = {**os.environ, "_STIEFEL_COMPLETE": "bash_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("plain,")
    assert done.stderr.strip() == "False"
