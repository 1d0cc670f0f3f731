"""An update of verl's loss by verl's engine is the one that our trainer makes on TRL, of the same stored rollout."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from verl.utils import tensordict_utils as tu

import stiefel
from stiefel.adapter import lora_layers

from .engines import dapo, make_engine, padded
from .trl_update import PROMPT, ROWS, SETTINGS, stored

MAIN = Path(__file__).parents[2] / ".venv" / "bin" / "python"  # TRL's environment has another transformers
LONGEST = 384  # terms of the longest sum that an entry of a gradient is made of: nano's MLP
EPS = torch.finfo(torch.float32).eps


@pytest.mark.skipif(not MAIN.is_file(), reason="needs the main environment beside verl's")
@pytest.mark.parametrize(("method", "beta"), [("lora", 0.0), ("rlpo", 0.2), ("pissa", 0.0), ("geora", 0.2)])
def test_verls_update_is_trls(method: str, beta: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stiefel.prepare("nano", method, tmp_path / "adapter", r=4, alpha=8)
    words = [str(MAIN), "-m", "tests.verl.trl_update", str(tmp_path / "adapter"), str(tmp_path / "trl.pt"), str(beta)]
    alone = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    subprocess.run(words, check=True, cwd=Path(__file__).parents[2], env=alone)
    theirs = torch.load(tmp_path / "trl.pt", weights_only=True)
    assert 0.1 < theirs["clipped"] < 0.9
    (tmp_path / "verl.json").write_text(json.dumps({"weight_decay_on": SETTINGS["weight_decay_on"]}))
    monkeypatch.setenv("STIEFEL_VERL", str(tmp_path / "verl.json"))
    engine = make_engine(
        tmp_path / "adapter",
        lr=SETTINGS["lr"],
        weight_decay=SETTINGS["weight_decay"],
        clip_grad=0.5,
        override_optimizer_config={"eps": 1.0},
    )
    before = factors_of(engine)
    batch = stored()
    mask = batch["mask"][:, PROMPT:].float()
    data = padded(
        batch["ids"],
        batch["mask"],
        PROMPT,
        old_log_probs=theirs["old"] * mask,
        ref_log_prob=theirs["reference"] * mask,
        advantages=batch["advantages"][:, None] * mask,
    )
    tu.assign_non_tensor(data, global_batch_size=ROWS)
    with engine.train_mode():
        metrics = engine.train_batch(data, dapo(beta))["metrics"]
    after = factors_of(engine)
    # the gradients differ by float32's rounding of their sums, and AdamW's g/(|g| + 1) by no more than they do
    bound = LONGEST * EPS
    assert metrics["grad_norm"] == pytest.approx(theirs["norm"], rel=bound)
    moved = norm(after, before)
    assert moved > 0
    assert norm(after, theirs["factors"]) <= bound * moved


def factors_of(engine: Any) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """As `policy_factors` has them: the scaling is in B."""
    payload = {name: tensor.clone() for name, tensor in engine.get_per_tensor_param(base_sync_done=True)[0]}
    found = {}
    for name, layer in lora_layers(engine.module):
        A, B = (payload[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
        found[name] = A, layer.scaling["default"] * B
    return found


def norm(one: Any, other: Any) -> float:
    """Of the difference of all factors."""
    parts = [(a - b).double().flatten() for name in one for a, b in zip(one[name], other[name], strict=True)]
    return float(torch.cat(parts).norm())
