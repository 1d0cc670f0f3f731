"""A script that was written is started: the real check, and verl's own entry point as far as its settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from stiefel.verl.launching import launch
from tests.verl.recipes import launched, settings


def test_verls_entry_point_takes_the_script_and_shows_the_settings(tmp_path: Path) -> None:
    """`--cfg job` is Hydra's: show what the job would be given, and end."""
    recipe = launched("nano-dapo", "adapter.method=pissa", "adapter.rank=4", "adapter.alpha=8")
    out = launch(recipe, "…", tmp_path / "run" / "launch.sh", say=lambda line: None)
    path = tmp_path / "bin"
    path.mkdir()
    (path / "stiefel").write_text("#!/bin/sh\n")  # nothing was trained that could be exported
    (path / "stiefel").chmod(0o755)
    names = f"{path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    words = ["bash", str(out), "--cfg", "job"]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PATH": names})
    assert ended.returncode == 0, ended.stderr
    shown = yaml.safe_load(ended.stdout[ended.stdout.index("actor_rollout_ref:") :])
    model = shown["actor_rollout_ref"]["model"]
    assert (model["lora_rank"], model["lora_alpha"]) == (8, 16)
    assert model["lora_adapter_path"] == str(tmp_path / "run" / "adapter")
    assert model["external_lib"] == settings(recipe)["actor_rollout_ref.model.external_lib"]
    assert shown["trainer"]["total_training_steps"] == recipe.optim.rollouts
    assert shown["ray_kwargs"]["ray_init"]["runtime_env"]["env_vars"]["STIEFEL_VERL"] == str(tmp_path / "run/verl.json")
    assert not (tmp_path / "outputs").exists()
