"""Ten rollouts of a real pretrained model through a real vLLM; where `make smollm2` has put it, as CI does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from tests.smollm2 import PLACE, SKIP, left_out, require

pytestmark = [SKIP] if left_out() else []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_ten_rollouts_of_a_real_model(dtype: str, tmp_path: Path) -> None:
    require()
    data = tmp_path / "sums.jsonl"
    pairs = [(a, b) for a in range(2, 10) for b in range(2, 10)]
    data.write_text("".join(json.dumps({"prompt": f"{a}+{b}=?", "answer": str(a + b)}) + "\n" for a, b in pairs))
    recipe = {
        "model": {"path": str(PLACE), "dtype": dtype},
        "adapter": {"method": "pissa", "rank": 4, "alpha": 8, "targets": r"model\.layers\.(0|29)\..*_proj"},
        "task": {"name": "sums", "data": str(data), "chat": True, "reward": "tests.real.reward:distinct"},
        "rollout": {"engine": "vllm", "prompts": 2, "completions": 4, "max_completion_tokens": 8},
        "optim": {"rollouts": 10 if dtype == "float32" else 3, "updates_per_rollout": 1, "lr": 1e-4},
        "run": {"threads": 2, "save_every": 0, "kl_every": 100},
        "eval": {"tasks": []},
    }
    train(make_recipe(recipe), tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == recipe["optim"]["rollouts"]
    if dtype == "float32":
        assert all(row["engine_mismatch"] < 1e-4 for row in rows)
        assert all(row["sync_survival"] == 1.0 for row in rows[1:])
    else:
        assert all(row["engine_mismatch"] < 0.1 for row in rows), "two bfloat16s, by other kernels"
        assert all(row["sync_survival"] > 0.995 and row["sync_error"] < 0.01 for row in rows[1:])
