"""What verl cannot do is refused by name, with the reason and what can."""

from __future__ import annotations

import pytest

from stiefel.errors import UserError
from stiefel.recipe import load_recipe
from stiefel.verl.able import UNABLE
from stiefel.verl.launching import checked
from tests.verl.recipes import RECIPES, launched

METHODS = {
    "dora": "lora+dora",
    "lora_plus": "rlpo+lora_plus",
    "lora_fa": "rlpo+lora_fa",
    **{name: name for name in ("adalora", "miss", "vera", "ia3", "ln_tuning", "sparse")},
}


def test_every_part_that_verl_is_unable_of_is_tried_here() -> None:
    assert METHODS.keys() == UNABLE.keys()


@pytest.mark.parametrize("part", METHODS)
def test_a_method_whose_policy_never_reaches_verls_rollouts(part: str) -> None:
    with pytest.raises(UserError, match="cannot be trained on verl") as refused:
        checked(launched("nano-dapo", f"adapter.method={METHODS[part]}"))
    assert refused.value.why == UNABLE[part]
    assert refused.value.instead == "run it on TRL: stiefel train"


@pytest.mark.parametrize(
    ("changes", "what", "instead"),
    [
        (["rollout.engine=hf", "rollout.vllm_memory=0.3"], "rollout.engine = 'hf'", "--set rollout.engine=vllm"),
        (["rollout.vllm_mode=server"], "rollout.vllm_mode = 'server'", "vllm_mode=colocate"),
        (["rollout.sync=merged"], "rollout.sync = 'merged'", "leave it out"),
        (["rollout.importance_correction=token_mask"], "importance_correction = 'token_mask'", "token_truncate"),
        (["rollout.max_prompt_tokens=0"], "rollout.max_prompt_tokens = 0", "a number of tokens"),
        (["model.dtype=float16"], "model.dtype = 'float16'", "model.dtype=bfloat16"),
        (["model.attention=sdpa"], "cluster.remove_padding = True", "cluster.remove_padding=false"),
        (["cluster.gpus=0"], "cluster.gpus = 0", "--set cluster.gpus=8"),
        (["adapter.method=full"], "optim.weight_decay_on = 'delta'", 'weight_decay_on="factors"'),
    ],
)
def test_a_value_that_verl_cannot_honour(changes: list[str], what: str, instead: str) -> None:
    with pytest.raises(UserError) as refused:
        checked(launched("nano-dapo", *changes))
    assert what in refused.value.what
    assert instead in refused.value.instead


@pytest.mark.parametrize(
    ("changes", "what", "fits"),
    [
        (["cluster.gpus=3"], "3 GPUs do not divide an optimizer step's 32 completions", "1, 2, 4, 8, 16, 32"),
        (["cluster.nodes=5"], "5 GPUs do not divide", "one of 1, 2, 4"),
        (["optim.updates_per_rollout=16"], "does not divide rollout.prompts = 8", "1, 2, 4, 8"),
        (["rollout.vllm_tensor_parallel=2"], "does not divide cluster.gpus = 1", "one of 1"),
        (
            ["rollout.vllm_tensor_parallel=3", "cluster.gpus=8"],
            "does not divide cluster.gpus = 8",
            "one of 1, 2, 4, 8",
        ),
        (["optim.micro_batch=16", "cluster.gpus=4"], "does not divide a GPU's 8 completions", "one of 1, 2, 4, 8"),
        (["cluster.dynamic_batch=200"], "cluster.dynamic_batch = 200 is less than a sequence", "256 or more"),
    ],
)
def test_a_batch_that_does_not_divide_names_what_fits(changes: list[str], what: str, fits: str) -> None:
    with pytest.raises(UserError) as refused:
        checked(launched("nano-dapo", *changes))
    assert what in refused.value.what
    assert fits in refused.value.instead


@pytest.mark.parametrize(
    ("method", "rank", "served"), [("rlpo", 512, True), ("rlpo", 513, False), ("pissa", 257, False)]
)
def test_a_rank_above_those_that_vllm_serves_counts_an_anchored_adapter_twice(
    method: str, rank: int, served: bool
) -> None:
    recipe = launched("rlpo", f"adapter.method={method}", f"adapter.rank={rank}")
    if served:
        checked(recipe)
        return
    with pytest.raises(UserError, match=f"factors of rank {rank * (2 if method == 'pissa' else 1)}"):
        checked(recipe)


def test_supervised_training_is_not_verls() -> None:
    with pytest.raises(UserError, match="sft"):
        checked(load_recipe(RECIPES / "nano/sft.toml", ["cluster.gpus=1"]))
