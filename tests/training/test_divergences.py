"""What is measured of rollouts that another engine made, against a forward pass of the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

import stiefel
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.training.kl import kl_of_new_from_rollout
from stiefel.training.noise import drops_out
from stiefel.training.settings import grpo_config

COMPLETION = ">41"
ENGINE = -0.5  # what the engine says of every token


def distinct_tokens(completions: list[str], **columns: Any) -> list[float]:
    return [float(number) for number in range(len(completions))]


@pytest.mark.parametrize("updates", [1, 2])
def test_the_engines_mismatch_is_the_mean_distance_of_the_two_log_probabilities(
    updates: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one update a rollout TRL computes no log-probabilities of its own before the loss."""
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")  # rollout_func is TRL's way to bring an engine along
    torch.set_num_threads(1)
    recipe = make_recipe(
        {
            "optim": {"rollouts": 1, "updates_per_rollout": updates},
            "rollout": {"prompts": 1, "completions": 4, "max_completion_tokens": 8},
            "run": {"threads": 1, "save_every": 0},
        }
    )
    tokenizer = load_tokenizer("nano")
    ids = [*tokenizer(COMPLETION, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]

    def engine(prompts: list[str], trainer: Any) -> dict[str, Any]:
        return {
            "prompt_ids": tokenizer(prompts)["input_ids"],
            "completion_ids": [ids for _ in prompts],
            "logprobs": [[ENGINE] * len(ids) for _ in prompts],
        }

    trainer = stiefel.GRPOTrainer(
        stiefel.attach(load_model("nano"), "rlpo", r=4, alpha=8),
        distinct_tokens,
        grpo_config(recipe, tmp_path),
        Dataset.from_list([{"prompt": "12+34-5?"}] * 4),
        processing_class=tokenizer,
        rollout_func=engine,
    )
    trainer.train()
    prompt = tokenizer("12+34-5?")["input_ids"]
    with torch.no_grad():
        logits = load_model("nano")(torch.tensor([prompt + ids])).logits[0].double()
    logps = logits.log_softmax(-1)[range(len(prompt) - 1, len(prompt) + len(ids) - 1), ids]
    expected = float((logps - ENGINE).abs().mean())
    assert trainer.state.log_history[0]["engine_mismatch"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("where", ["a module of the adapter", "attention, by the config alone", "the embedding"])
def test_dropout_is_no_distance_from_the_base(where: str, tmp_path: Path) -> None:
    """TRL's own log-probabilities of a rollout, which would save a pass, have the dropout of training in them."""
    torch.set_num_threads(1)
    model = load_model("nano")
    if where.startswith("attention"):
        for layer in model.model.layers:
            layer.self_attn.attention_dropout = model.config.attention_dropout = 0.5
    recipe = make_recipe(
        {
            "optim": {"rollouts": 1, "updates_per_rollout": 2},
            "rollout": {"prompts": 1, "completions": 4, "max_completion_tokens": 8},
            "run": {"threads": 1, "save_every": 0},
        }
    )
    config = grpo_config(recipe, tmp_path)
    config.neftune_noise_alpha = 5.0 if where == "the embedding" else None
    trainer = stiefel.GRPOTrainer(
        stiefel.attach(model, "rlpo", r=4, alpha=8, dropout=0.5 if where.startswith("a module") else 0.0),
        distinct_tokens,
        config,
        Dataset.from_list([{"prompt": "12+34-5?"}] * 4),
        processing_class=load_tokenizer("nano"),
        kl_every=1,
    )
    trainer.train()
    assert trainer.state.log_history[0]["kl_base"] == 0.0
    assert trainer.model.training


class Referred(stiefel.GRPOTrainer):
    """Keeps the rollout that the loss is computed on."""

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        self.output = super()._generate_and_score_completions(inputs)
        return self.output


def test_the_reference_in_the_loss_has_no_dropout(tmp_path: Path) -> None:
    """TRL evaluates a reference model, but scores an adapter's base in the mode that the adapter trains in."""
    torch.set_num_threads(1)
    model = load_model("nano")
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = model.config.attention_dropout = 0.5
    recipe = make_recipe(
        {
            "algorithm": {"name": "grpo"},
            "optim": {"rollouts": 1, "updates_per_rollout": 1},
            "rollout": {"prompts": 1, "completions": 4, "max_completion_tokens": 8},
            "run": {"threads": 1, "save_every": 0},
        }
    )
    trainer = Referred(
        stiefel.attach(model, "rlpo", r=4, alpha=8),
        distinct_tokens,
        grpo_config(recipe, tmp_path),
        Dataset.from_list([{"prompt": "12+34-5?"}] * 4),
        processing_class=load_tokenizer("nano"),
    )
    trainer.train()
    reference = trainer.output["ref_per_token_logps"]
    expected = trainer._score(trainer.base_policy, trainer.output)
    assert torch.equal(reference, expected)
    assert trainer.model.training


def test_a_model_that_draws_nothing_while_it_trains_is_told_from_one_that_does(make_model: Any) -> None:
    assert not drops_out(make_model())
    assert drops_out(make_model(attention_dropout=0.1))
    assert drops_out(make_model(router_jitter_noise=0.1))
    assert not drops_out(stiefel.attach(make_model(), "lora", r=4))
    assert drops_out(stiefel.attach(make_model(), "lora", r=4, dropout=0.1))


def test_a_layers_own_dropout_is_found_where_the_config_holds_another_or_a_whole_number(make_model: Any) -> None:
    """As DBRX's `ffn_config.moe_jitter_eps`; MPT's `attn_config.attn_pdrop` is a whole number."""
    for settings in ({"moe_jitter_eps": 0.01}, {"attn_pdrop": 1}):
        model = make_model()
        model.config.inner_config = settings
        assert drops_out(model)
    model = make_model()
    model.config.inner_config = {"attn_pdrop": 0, "moe_jitter_eps": None, 3: "a key that is no text"}
    assert not drops_out(model)


class Pieces(stiefel.GRPOTrainer):
    """Keeps each piece's divergence and its number of tokens."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.seen: list[tuple[float, int]] = []
        super().__init__(*args, **kwargs)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        mask = inputs["completion_mask"]
        terms = kl_of_new_from_rollout(self._logps, inputs["old_per_token_logps"])
        self.seen.append((float((terms * mask).sum()), int(mask.sum())))
        return loss


def test_kl_rollout_is_a_mean_over_tokens_however_a_mini_batch_is_cut_into_pieces(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = make_recipe(
        {
            "optim": {"rollouts": 1, "updates_per_rollout": 2, "micro_batch": 2, "lr": 1e-2},
            "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 32},
            "run": {"threads": 1, "save_every": 0},
        }
    )
    trainer = Pieces(
        stiefel.attach(load_model("nano"), "rlpo", r=4, alpha=8),
        distinct_tokens,
        grpo_config(recipe, tmp_path),
        Dataset.from_list([{"prompt": prompt} for prompt in ("12+34-5?", "1+2?", "rabcd?", "77-8?")]),
        processing_class=load_tokenizer("nano"),
    )
    trainer.train()
    assert len(trainer.seen) == 8  # two updates of four pieces; the last update's are measured
    sums, counts = zip(*trainer.seen[4:], strict=True)
    assert len(set(counts)) > 1
    logged = [log["kl_rollout"] for log in trainer.state.log_history if "kl_rollout" in log]
    assert logged == [pytest.approx(sum(sums) / sum(counts), rel=1e-12)]
    means = [total / count for total, count in trainer.seen[4:]]
    assert sum(means) / 4 != pytest.approx(logged[0], rel=1e-3)
