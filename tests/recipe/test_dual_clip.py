"""The dual clip bounds the ratio where the advantage is negative, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stiefel.errors import UserError
from stiefel.recipe.recipe import make_recipe


@pytest.mark.parametrize(
    "algorithm",
    [
        {"name": "dapo", "dual_clip": 1.1},
        {"name": "dapo", "dual_clip": 1.2799},
        {"name": "dapo", "dual_clip": 1.0},
        {"name": "dapo", "dual_clip": 0.5},
        {"name": "dapo", "clip_high": 12.0},  # above the usual dual clip
        {"name": "grpo", "dual_clip": 1.19},
        {"name": "dr_grpo", "clip_high": 0.5, "dual_clip": 1.4},
    ],
)
def test_a_dual_clip_that_would_clip_good_completions_too_is_refused(algorithm: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"is below 1 \+ clip_high") as error:
        make_recipe({"algorithm": algorithm})
    assert "0 for no bound" in error.value.instead


@pytest.mark.parametrize(
    "algorithm",
    [
        {"name": "dapo"},
        {"name": "dapo", "dual_clip": 1.28},
        {"name": "dapo", "dual_clip": 0.0},
        {"name": "grpo", "dual_clip": 1.2},
        {"name": "dr_grpo", "clip_high": 0.5, "dual_clip": 1.5},
        {"name": "sft"},
    ],
)
def test_one_from_one_plus_clip_high_on_and_none_at_all_are_taken(algorithm: dict[str, Any]) -> None:
    recipe = make_recipe({"algorithm": algorithm})
    high, bound = recipe.algorithm.clip_high, recipe.algorithm.dual_clip
    if bound:  # TRL's min(min(ρ, δ)Â, clip(ρ)Â): of a positive Â nothing changes
        ratio = torch.linspace(0.5, 3, 1001, dtype=torch.float64)
        clipped = ratio.clamp(1 - recipe.algorithm.clip_low, 1 + high)
        assert torch.equal(torch.minimum(ratio.clamp(max=bound), clipped), torch.minimum(ratio, clipped))
