"""One step from end to end: vLLM writes a rollout, verl's engine updates on it and sends the policy, vLLM plays it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import stiefel

from .engines import log_probs, make_engine, nano, padded, update
from .played import OTHER

ROOT = Path(__file__).parents[2]
EPS = torch.finfo(torch.float32).eps
LONGEST, LAYERS = 384, 4  # nano's longest sum, and how many blocks pass its rounding on
PROMPTS = [[4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19]] * 2
LENGTH = 6


def play(question: dict[str, Any], place: Path) -> dict[str, Any]:
    """What vLLM writes, in a process of its own."""
    torch.save({"tokens": PROMPTS, "sample": LENGTH, "dtype": "float32", **question}, place / "asked.pt")
    alone = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    words = [sys.executable, "-W", "ignore", "-m", "tests.verl.played", nano(), "8"]
    done = subprocess.run(
        [*words, str(place / "asked.pt"), str(place / "told.pt")], cwd=ROOT, env=alone, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return torch.load(place / "told.pt", weights_only=True)


def batch(told: dict[str, Any]) -> Any:
    """A rollout as verl's engine takes it, scored by whoever wrote it."""
    ids = torch.tensor([prompt + written for prompt, written in zip(PROMPTS, told["completions"], strict=True)])
    advantages = torch.linspace(-1, 1, len(ids))[:, None].expand(-1, LENGTH)
    return padded(ids, torch.ones_like(ids), 4, old_log_probs=torch.tensor(told["scores"]), advantages=advantages)


def of_responses(engine: Any, data: Any) -> torch.Tensor:
    """The engine's log-probabilities of what was written."""
    return log_probs(engine, data).view(len(PROMPTS), -1)[:, 3:-1]  # each stands where the token before it does


@pytest.mark.skipif(not OTHER.is_dir(), reason="needs vLLM's CPU build beside verl: make venv-vllm")
@pytest.mark.parametrize("method", ["pissa", "rlpo"])
def test_vllm_plays_what_verls_engine_trained(method: str, tmp_path: Path):
    stiefel.prepare("nano", method, tmp_path / "adapter", r=4, alpha=8)
    engine = make_engine(tmp_path / "adapter", lr=1e-3)
    tensors, config = engine.get_per_tensor_param(base_sync_done=True)
    first = play({"payload": dict(tensors), "config": plain(config)}, tmp_path)
    assert first["completions"] == play({}, tmp_path)["completions"]  # the start is the base, sent or not
    data = batch(first)
    scores = torch.tensor(first["scores"])
    assert (of_responses(engine, data) - scores).abs().max() <= bound(scores)
    for _ in range(3):
        update(engine, data)
    tensors, config = engine.get_per_tensor_param(base_sync_done=True)
    second = play({"payload": dict(tensors), "config": plain(config)}, tmp_path)
    data, scores = batch(second), torch.tensor(second["scores"])
    error = (of_responses(engine, data) - scores).abs().max()
    moved = (of_responses(make_engine(None), data) - scores).abs().max()
    assert error <= bound(scores)
    assert moved > 1000 * bound(scores)


def plain(config: dict[str, Any]) -> dict[str, Any]:
    """PEFT's settings as verl sends them, in types that JSON has."""
    words = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    found: dict[str, Any] = json.loads(json.dumps(words, default=str))
    return {**found, "peft_type": "LORA", "task_type": "CAUSAL_LM"}


def bound(scores: torch.Tensor) -> torch.Tensor:
    """Rounding of sums in another order, block after block, in units of a log-probability's size."""
    return LONGEST * LAYERS * EPS * (1 + scores.abs().max())
