"""The recipe's types: what the products are computed in, and how attention is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stiefel.errors import UserError
from stiefel.recipe.recipe import make_recipe
from stiefel.run import load_pair, train

RUN: dict[str, Any] = {
    "adapter": {"method": "pissa", "rank": 4, "alpha": 8},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
    "optim": {"rollouts": 2, "updates_per_rollout": 2, "lr": 1e-4},
    "run": {"threads": 1, "save_every": 0, "kl_every": 1},
    "eval": {"limit": 4, "tasks": ["nano-arithmetic"]},
}


def rows(out: Path, **model: str) -> list[dict[str, Any]]:
    train(make_recipe({**RUN, "model": model}), out)
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_products_in_bfloat16_are_autocasts_and_the_factors_stay_float32(tmp_path: Path) -> None:
    seen: set[torch.dtype] = set()
    real = torch.nn.functional.linear

    def linear(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        y = real(x, *rest)
        seen.add(y.dtype)
        return y

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", linear)
        rounded = rows(tmp_path / "rounded", compute="bfloat16")
    assert seen == {torch.bfloat16}, "in rollouts, losses, divergences and measurements alike"
    exact = rows(tmp_path / "exact")
    assert 0.5 < rounded[0]["grad_norm"] / exact[0]["grad_norm"] < 2 or rounded[0]["reward"] != exact[0]["reward"]
    from safetensors.torch import load_file

    saved = load_file(tmp_path / "rounded" / "adapter" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    assert rounded[0]["kl_base"] == 0.0, "the start is the base, in this type too"


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_computed_as_the_recipe_says(attention: str) -> None:
    model, _ = load_pair(make_recipe({"model": {"attention": attention}}))
    assert model.config._attn_implementation == attention


def test_an_attention_that_is_not_installed_is_an_error_that_says_so() -> None:
    with pytest.raises(UserError, match="flash_attention_2"):
        load_pair(make_recipe({"model": {"attention": "flash_attention_2"}}))
