"""The study of twelve methods: its printed shares of trained parameters follow from its recipe's targets."""

from __future__ import annotations

import re
import shlex
from itertools import combinations
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen2Config

from stiefel.methods import compose
from stiefel.model import select_targets
from stiefel.recipe.recipe import load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "peft12" / "main.toml"
PRINTED = {"lora": (1.55, 2), "miss": (0.99, 2), "vera": (0.0029, 4)}  # percent, and the digits after the point
EVERYTHING = {"lora": "2.08", "miss": "1.16", "vera": "0.0367"}
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    """DeepSeek-R1-Distill-Qwen-1.5B's shapes, Qwen2.5-1.5B's with a head of its own, without weights."""
    config = Qwen2Config(
        hidden_size=1536, num_hidden_layers=28, intermediate_size=8960, num_attention_heads=12, num_key_value_heads=2,
        vocab_size=151936, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def share(model: PreTrainedModel, method: str, targets: str | list[str], rank: int = 32) -> tuple[int, float]:
    """Trained parameters, and their percentage of the base's."""
    shapes = {target.name: target.shape for target in select_targets(model, targets).targets}
    trained = sum(compose(method).main.trains(name, shape, rank, {}) for name, shape in shapes.items())
    return trained, 100 * trained / sum(p.numel() for p in model.parameters())


def changes_for(method: str) -> list[str]:
    """The commands of the header that choose a method."""
    if method == "lora":
        return []
    (line,) = [line for line in RECIPE.read_text().splitlines() if f"--set adapter.method={method} " in line]
    return [word for word in shlex.split(line[1:]) if word != "--set"]


@pytest.mark.parametrize("method", PRINTED)
def test_the_recipes_targets_give_the_share_that_the_study_prints(model: PreTrainedModel, method: str) -> None:
    adapter = load_recipe(RECIPE, changes_for(method), "paper").adapter
    assert (adapter.method, adapter.rank) == (method, 32)
    trained, percent = share(model, method, adapter.targets)
    printed, digits = PRINTED[method]
    assert round(percent, digits) == printed
    assert f"{trained:,}" in RECIPE.read_text(), "the header says how many"
    _, everything = share(model, method, "all-linear")
    assert f"{everything:.3g}" == EVERYTHING[method]
    assert f"{EVERYTHING[method]}%" in RECIPE.read_text()


@pytest.mark.parametrize(("method", "sets"), [("lora", 3), ("miss", 6), ("vera", 6)])
def test_the_header_says_how_far_a_share_decides_the_targets(model: PreTrainedModel, method: str, sets: int) -> None:
    """Every set of projections with the printed share trains as many parameters as the pinned one."""
    printed, digits = PRINTED[method]
    every = [list(chosen) for n in range(1, 8) for chosen in combinations(PROJECTIONS, n)]
    shapes = {one: share(model, method, [one]) for one in PROJECTIONS}
    fitting = [chosen for chosen in every if round(sum(shapes[one][1] for one in chosen), digits) == printed]
    assert len(fitting) == sets
    assert {sum(shapes[one][0] for one in chosen) for chosen in fitting} == {
        share(model, method, load_recipe(RECIPE, changes_for(method), "paper").adapter.targets)[0]
    }
    if method == "lora":
        assert all({"q_proj", "k_proj", "v_proj", "o_proj"} < set(chosen) for chosen in fitting)


def test_a_tied_head_gives_none_of_the_shares(model: PreTrainedModel) -> None:
    """The study counts the checkpoint that it trains, whose embeddings are not tied."""
    tied = sum(p.numel() for p in model.parameters()) - 151936 * 1536
    trained, _ = share(model, "vera", ["q_proj", "v_proj"])
    assert trained == 51_968
    assert round(100 * trained / tied, 4) != PRINTED["vera"][0]


def test_every_command_of_the_header_names_targets_or_says_why_not() -> None:
    text = RECIPE.read_text()
    assert re.search(r"theirs are\n# LoRA's here, which is ours", text)
    assert load_recipe(RECIPE, ["adapter.method=ia3", "adapter.targets=all-linear"], "paper").adapter.targets
