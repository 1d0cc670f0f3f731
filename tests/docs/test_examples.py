"""The scripts in examples/ run as they stand."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

import stiefel
from stiefel.model.weights import load_model
from stiefel.nano import DEMO_GRID
from stiefel.recipe import Recipe, load_grid, load_recipe, read_toml

pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory' argument")  # the Trainer's default, without a GPU

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "trl_script.py"
GRIDS = [DEMO_GRID, *sorted((ROOT / "recipes").rglob("*.toml"))]
STEPS = "2"


def start(script: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Run the script in this process; what it saved."""
    monkeypatch.setattr(sys, "argv", [str(script), str(out), STEPS])
    runpy.run_path(str(script), run_name="__main__")
    return load_file(next(out.glob("*.safetensors")))


def test_the_trl_script_names_stiefel_twice_and_is_short() -> None:
    code = [line for line in SCRIPT.read_text().splitlines()[1:] if line.strip()]
    assert len(code) <= 30
    assert sum(bool(re.search(r"import .*\battach\b|= attach\(", line)) for line in code) == 2
    assert sum("stiefel" in line and "MODEL" not in line for line in code) == 1  # the import; attach is the other
    assert "__file__" not in SCRIPT.read_text(), "a wheel's copy lies elsewhere"


def test_without_the_two_lines_it_is_a_plain_trl_script(tmp_path, monkeypatch) -> None:
    lines = SCRIPT.read_text().splitlines()
    plain = [line for line in lines if "= attach(" not in line]
    plain = ["from trl import GRPOTrainer" if line.startswith("from stiefel import") else line for line in plain]
    script = tmp_path / "examples" / "plain.py"
    script.parent.mkdir()
    script.write_text("\n".join(plain))
    assert "stiefel import" not in script.read_text()
    assert start(script, tmp_path / "out", monkeypatch)


def test_started_twice_it_saves_the_same_adapter(tmp_path, monkeypatch) -> None:
    """Once in a process of its own, once here, where random numbers were drawn before: the seed decides alone."""
    torch.rand(7)
    torch.set_num_threads(2)
    here = start(SCRIPT, tmp_path / "here", monkeypatch)
    assert torch.get_num_threads() == 1  # a second one would wait on the first, at several times the processor's time
    environment = {**os.environ, "PYTHONPATH": str(Path(stiefel.__file__).parents[1])}
    environment.pop("OMP_NUM_THREADS", None)
    command = [sys.executable, str(SCRIPT), str(tmp_path / "there"), STEPS]
    subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True, timeout=240)
    there = load_file(tmp_path / "there" / "adapter_model.safetensors")
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)
    assert any(tensor.any() for name, tensor in here.items() if "lora_B" in name)  # it learned
    PeftModel.from_pretrained(load_model("nano"), str(tmp_path / "there"))  # a standard adapter


def recipes_of(path: Path) -> list[Recipe]:
    """Of a recipe or a grid, with each of its profiles, or without where it has none."""
    tables = read_toml(path)
    own = tables.get("profile", {})
    names = [*own] if isinstance(own, dict) and own else [""]
    if "axes" not in tables:
        return [load_recipe(path, profile=name) for name in names]
    return [recipe for name in names for recipe in load_grid(path, profile=name).runs.values()]


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_what_trains_nano_takes_one_thread(path: Path) -> None:
    """The demo and every recipe: on all cores a run of nano takes several times the processor's time, and no less."""
    assert {recipe.run.threads for recipe in recipes_of(path) if recipe.model.path == "nano"} <= {1}
