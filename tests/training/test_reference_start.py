"""`algorithm.reference`: the base, or the adapter that a run starts from, each exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

import stiefel
from stiefel.artifacts import read_jsonl
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from stiefel.training.settings import grpo_config
from tests.run.test_resume import CLOCK

IDS = torch.tensor([[1, 5, 9, 7, 3, 8, 2, 6]])
SIZES = {"prompts": 2, "completions": 4, "max_completion_tokens": 8}


def distinct_tokens(completions: list[str], **columns: Any) -> list[float]:
    return [len(set(completion)) / 8 for completion in completions]


def trained(model: Any, out: Path, **settings: Any) -> Any:
    torch.set_num_threads(1)
    recipe = make_recipe(
        {
            "optim": {"rollouts": 1, "updates_per_rollout": 2, "lr": 5e-3},
            "rollout": SIZES,
            "algorithm": {"beta": 0.01},
            "run": {"threads": 1, "save_every": 0},
        }
    )
    rows = Dataset.from_list([{"prompt": f"{n}+{n}?"} for n in range(11, 15)])
    config, tokenizer = grpo_config(recipe, out), load_tokenizer("nano")
    trainer = stiefel.GRPOTrainer(
        model, distinct_tokens, config, rows, processing_class=tokenizer, kl_every=1, **settings
    )
    trainer.train()
    return trainer


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(input_ids=IDS).logits


@pytest.mark.parametrize("method", ["lora", "pissa", "rlpo+dora", "rlpo+lora_fa", "adalora", "ia3", "full"])
def test_either_reference_is_exact_for_a_run_from_a_trained_adapter(method: str, tmp_path: Path) -> None:
    without = {} if method in ("ia3", "full") else {"r": 4, "alpha": 8}
    first = trained(stiefel.attach(load_model("nano"), method, **without), tmp_path / "first")
    stiefel.save(first.model, tmp_path / "adapter")
    start, base = logits(stiefel.load(load_model("nano"), tmp_path / "adapter")), logits(load_model("nano"))
    assert not torch.equal(start, base)
    for reference, expected in (("start", start), ("base", base)):
        again = stiefel.load(load_model("nano"), tmp_path / "adapter")
        trainer = trained(again, tmp_path / reference, reference=reference)
        policy = logits(trainer.model)
        assert not torch.equal(policy, start)
        with trainer.base_policy.applied():
            assert torch.equal(logits(trainer.model), expected)
        assert torch.equal(logits(trainer.model), policy)
        told = trainer.state.log_history[0]
        assert (told["kl"] == told["kl_base"] == 0.0) == (reference == "start")


def test_another_word_for_the_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)reference = 'begin' is not known.*one of: base, start"):
        trained(stiefel.attach(load_model("nano"), "lora", r=4, alpha=8), tmp_path, reference="begin")


def test_a_recipe_names_it_and_a_resumed_run_keeps_to_the_start(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "optim": {"rollouts": 4, "lr": 5e-3},
        "rollout": SIZES,
        "run": {"threads": 1, "kl_every": 1, "save_every": 1},
    }
    train(make_recipe({**settings, "adapter": {"method": "pissa"}}), tmp_path / "first")
    settings["adapter"] = {"path": str(tmp_path / "first" / "adapter")}
    rows = {}
    for reference in ("start", "base"):
        recipe = make_recipe({**settings, "algorithm": {"beta": 0.01, "reference": reference}})
        train(recipe, tmp_path / reference)
        rows[reference] = read_jsonl(tmp_path / reference / "metrics.jsonl")
    assert rows["start"][0]["kl_base"] == 0.0
    assert rows["base"][0]["kl_base"] > 0.0
    assert rows["base"][0]["kl_reference"] > rows["start"][0]["kl_reference"]
    began = make_recipe({**settings, "algorithm": {"beta": 0.01, "reference": "start"}})

    def stop(row: dict[str, Any]) -> None:
        if row["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(began, tmp_path / "again", on_row=stop)
    train(began, tmp_path / "again", resume=True)
    found = read_jsonl(tmp_path / "again" / "metrics.jsonl")
    assert [{k: row[k] for k in row.keys() - CLOCK} for row in found] == [
        {k: row[k] for k in row.keys() - CLOCK} for row in rows["start"]
    ]
