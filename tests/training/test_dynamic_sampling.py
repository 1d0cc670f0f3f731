"""Groups without a difference are replaced before anything else is computed of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset

import stiefel
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.training.dynamic_sampling import Group, PromptCursor
from stiefel.training.settings import grpo_config

PROMPTS = [f"{a}+{b}?" for a in range(10, 20) for b in range(3)]
RECIPE = {
    "optim": {"rollouts": 2, "updates_per_rollout": 2, "lr": 1e-3},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 8},
    "run": {"threads": 1, "save_every": 0},
}


def always_mixed(completions: list[str], **columns: Any) -> list[float]:
    return [float(number % 2) for number in range(len(completions))]


def never_mixed(completions: list[str], **columns: Any) -> list[float]:
    return [1.0] * len(completions)


def every_other_group(prompts: list[str], completions: list[str], **columns: Any) -> list[float]:
    """Groups of prompts with an even first number are all correct."""
    return [float(int(p[1]) % 2 == 0 or number % 2) for number, p in enumerate(prompts)]


def shape(completions: list[str], **columns: Any) -> list[float]:
    """A shaping reward that tells apart what correctness does not."""
    return [-0.01 * number for number in range(len(completions))]


def trainer_of(kind: type, rewards: Any, out: Path, tables: dict[str, Any] = RECIPE, **kwargs: Any) -> Any:
    torch.set_num_threads(1)
    return kind(
        stiefel.attach(load_model("nano"), "rlpo", r=4, alpha=8),
        rewards,
        grpo_config(make_recipe(tables), out),
        Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS]),
        processing_class=load_tokenizer("nano"),
        **kwargs,
    )


def logs(trainer: Any) -> list[dict[str, float]]:
    return [row for row in trainer.state.log_history if "grad_norm" in row]


class Counting(stiefel.GRPOTrainer):
    """Counts sequences that pass through the model for their log-probabilities before the loss."""

    scored = 0

    def _get_per_token_logps_and_entropies(self, model: Any, ids: Any, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            self.scored += len(ids)
        return super()._get_per_token_logps_and_entropies(model, ids, *args, **kwargs)


class Outside(stiefel.GRPOTrainer):
    """Counts sequences that pass through the model while it does not generate."""

    passed, generating = 0, False

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        self.generating = True
        result = super()._generate_single_turn(*args, **kwargs)
        self.generating = False
        return result

    def count(self, module: Any, arguments: Any, named: dict[str, Any], output: Any) -> None:
        self.passed += 0 if self.generating else len(named["input_ids"])


def test_t3_trl_trains_on_groups_without_a_difference(tmp_path: Path) -> None:
    theirs = trainer_of(trl.GRPOTrainer, every_other_group, tmp_path)
    theirs.train()
    assert max(row.get("frac_reward_zero_std", 0) for row in logs(theirs)) >= 0.25, "upstream mended it"


def test_t3_no_group_without_a_difference_is_trained_on(tmp_path: Path) -> None:
    ours = trainer_of(Counting, every_other_group, tmp_path, max_gen_batches=10)
    ours.train()
    fractions = [row["frac_reward_zero_std"] for row in logs(ours) if "frac_reward_zero_std" in row]
    assert fractions == [0.0, 0.0]
    sampled = sum(row.get("sampled_groups", 0) for row in logs(ours))
    assert sampled > 8  # more than the two rollouts hold
    assert ours.sampled_completions == 4 * sampled
    # two rollouts of 16 completions, once each for the old log-probabilities: none of what was dropped
    assert ours.scored == 2 * 16
    # every second group of what was sampled is all correct, the others are half right
    assert 0.5 < logs(ours)[0]["reward"] < 1.0


class Tokens(stiefel.GRPOTrainer):
    """Counts what is generated, as it is generated."""

    generated = 0

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._generate_single_turn(*args, **kwargs)
        self.generated += sum(map(len, result[0]))
        return result


@pytest.mark.parametrize("batches", [0, 10])
def test_the_tokens_of_dropped_groups_are_counted(batches: int, tmp_path: Path) -> None:
    """Of which `tokens_per_second` is made: the machine made them, whatever became of them."""
    ours = trainer_of(Tokens, every_other_group, tmp_path, max_gen_batches=batches)
    ours.train()
    assert ours.sampled_tokens == ours.generated > 0


@pytest.mark.parametrize("batches", [0, 10])
def test_t3_dropped_groups_cost_no_forward_pass_of_any_kind(batches: int, tmp_path: Path) -> None:
    """Sequences through the model outside of generation are as many where groups are dropped as where none is."""
    settings = {**RECIPE, "algorithm": {"beta": 0.1}}
    ours = trainer_of(Outside, every_other_group, tmp_path, settings, max_gen_batches=batches, kl_every=1)
    ours.model.get_base_model().register_forward_hook(ours.count, with_kwargs=True)
    ours.train()
    if batches:
        assert ours.sampled_completions > 2 * 16
    # each of a rollout's 16 completions: old log-probabilities (which serve kl_base too), reference, base, loss
    assert ours.passed == 2 * 16 * 4


def test_t3_correctness_decides_and_not_the_shaped_reward(tmp_path: Path) -> None:
    ours = trainer_of(stiefel.GRPOTrainer, [every_other_group, shape], tmp_path, max_gen_batches=10)
    ours.train()
    assert sum(row.get("sampled_groups", 0) for row in logs(ours)) > 8


def test_mixed_groups_are_trained_on_as_they_come(tmp_path: Path) -> None:
    """Where nothing is dropped, dynamic sampling changes nothing, to the bit."""
    made = []
    for batches in (0, 3):
        made.append(trainer_of(stiefel.GRPOTrainer, always_mixed, tmp_path, max_gen_batches=batches))
        made[-1].train()  # the constructor seeds
    plain, dynamic = made
    weights = [dict(trainer.model.named_parameters()) for trainer in (plain, dynamic)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    keys = ("loss", "grad_norm", "entropy", "reward", "kl_rollout", "completions/mean_length")
    for one, other in zip(logs(plain), logs(dynamic), strict=True):
        assert [one.get(key) for key in keys] == [other.get(key) for key in keys]


def test_what_only_fills_the_rollout_takes_no_part_in_the_loss(tmp_path: Path) -> None:
    ours = trainer_of(stiefel.GRPOTrainer, [never_mixed, shape], tmp_path, max_gen_batches=2)
    before = {name: p.detach().clone() for name, p in ours.model.named_parameters() if p.requires_grad}
    ours.args.weight_decay = 0.0
    ours.train()
    assert [row["frac_reward_zero_std"] for row in logs(ours) if "frac_reward_zero_std" in row] == [1.0, 1.0]
    assert [row["sampled_groups"] for row in logs(ours) if "sampled_groups" in row] == [8.0, 8.0]
    assert [row["grad_norm"] for row in logs(ours)] == [0.0] * 4
    after = dict(ours.model.named_parameters())
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_replacements_are_every_row_once_a_pass_in_a_seeded_order() -> None:
    cursor, again, other = PromptCursor(7, 0), PromptCursor(7, 0), PromptCursor(7, 1)
    first = cursor.take(21)
    assert [Counter(first[start : start + 7]) for start in (0, 7, 14)] == [Counter(range(7))] * 3
    assert first[:7] != first[7:14]
    assert again.take(5) + again.take(16) == first
    assert other.take(21) != first
    resumed = PromptCursor(7, 0, taken=10)
    assert resumed.take(11) == first[10:]


@pytest.mark.parametrize(
    ("correct", "mixed"),
    [([1, 1, 1], False), ([0, 0, 0], False), ([0, 1, 1], True), ([-1, -1, 1], True), ([float("nan"), 1, 1], False)],
)
def test_a_group_is_mixed_where_known_correctness_differs(correct: list[float], mixed: bool) -> None:
    rewards = torch.tensor([[value, shaped] for shaped, value in enumerate(correct)])
    assert Group([], [], rewards).mixed is mixed
