"""A server that is killed in the middle of a run: one message and a checkpoint, and the run goes on with another."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stiefel.run.run import train
from tests.vllm.server_recipes import BY_BATCH, figures, recipe, rows
from tests.vllm.servers import for_training, kill_group, running, serving

pytestmark = pytest.mark.timeout(600)  # servers start
ROLLOUTS = 8
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def command(address: str, out: Path, *more: str) -> list[str]:
    """`stiefel train` of the run at a server."""
    place = out.parent / "recipe.toml"
    place.write_text(wanted(address).to_toml())
    return [sys.executable, "-m", "stiefel", "train", str(place), "--out", str(out), *more]


def wanted(address: str) -> Any:
    return recipe(address, rollouts=ROLLOUTS, save_every=1)


def test_a_run_whose_server_is_killed_ends_in_one_message_and_goes_on_with_a_new_one(
    policy_server: str, tmp_path: Path
) -> None:
    train(wanted(policy_server), tmp_path / "whole")
    out = tmp_path / "run"
    with running(for_training()) as (address, server):
        child = subprocess.Popen(command(address, out), stderr=subprocess.PIPE, text=True, env=ONE_THREAD)
        deadline = time.monotonic() + 240
        while not (out / "metrics.jsonl").is_file() or len(rows(out)) < 2:
            assert child.poll() is None, child.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        kill_group(server)
        told = child.communicate(timeout=200)[1]
    assert child.returncode == 2, told
    assert "Traceback" not in told
    assert told.count("error: ") == 1
    assert "the engine failed in the middle of a rollout" in told
    assert "--resume" in told
    assert list((out / "checkpoints").glob("checkpoint-*")), "nothing to go on from"
    assert len(rows(out)) < ROLLOUTS
    with serving(for_training()) as address:  # on another port: where it is, is no part of the experiment
        again = subprocess.run(
            command(address, out, "--resume"), capture_output=True, text=True, check=False, env=ONE_THREAD
        )
    assert again.returncode == 0, again.stderr
    assert "going on from its last checkpoint" in again.stderr
    whole = tmp_path / "whole"
    assert figures(out) == figures(whole)
    for one, other in zip(rows(out), rows(whole), strict=True):
        assert all(one[key] < 1e-4 and other[key] < 1e-4 for key in BY_BATCH)
    for name in ("samples.jsonl", "syncs.jsonl", "eval.json", "adapter/adapter_model.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
