"""The losses that our trainer steps on are those of the papers, computed again in float64 by other code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trl
from datasets import Dataset

from stiefel import GRPOTrainer, attach
from stiefel.nano.tokenizer import build_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.training.settings import grpo_config

from ..oracles.losses import Batch, Settings, advantages, loss

ALGORITHMS = ("dapo", "grpo", "dr_grpo")
LONGEST, GROUP, UPDATES = 10, 4, 2
EPS = float(np.finfo(np.float32).eps)
# (settings of [algorithm], what the oracle is told)
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "asymmetric": {"clip_low": 0.1, "clip_high": 0.5},
    "dual clip": {"dual_clip": 2.0},
    "no dual clip": {"dual_clip": 0.0},
    "KL": {"beta": 0.3},
    "entropy": {"entropy": 0.05},
    "everything": {"clip_low": 0.3, "clip_high": 0.35, "dual_clip": 1.5, "beta": 0.1, "entropy": 0.02},
}


class Recording(trl.GRPOTrainer):
    """Keeps what each loss was made of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.seen: list[tuple[Batch, float]] = []
        self.rollouts: list[torch.Tensor] = []
        self.policy: list[tuple[Any, Any]] = []
        super().__init__(*args, **kwargs)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if result[1] is not None:  # the loss asks for entropies, the other passes do not
            self.policy.append((result[0].detach(), result[1].detach()))
        return result

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        self.rollouts.append(output["advantages"].clone())
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        value = super()._compute_loss(model, inputs)
        logps, entropy = self.policy[-1]
        wide = {
            "new": logps,
            "old": inputs["old_per_token_logps"],
            "entropy": entropy,
            "mask": inputs["completion_mask"],
        }
        wide["reference"] = inputs.get("ref_per_token_logps", logps)
        arrays = {key: tensor.double().numpy() for key, tensor in wide.items()}
        advantage = inputs["advantages"].double().numpy()
        batch = Batch(advantages=advantage, rollout_tokens=int(inputs["num_items_in_batch"]), **arrays)
        self.seen.append((batch, value.item()))
        return value


class Recorder(Recording, GRPOTrainer):
    """Our trainer."""


class Rewards:
    """Rewards with a spread, remembered."""

    __name__ = "correct"

    def __init__(self) -> None:
        self.given: list[list[float]] = []

    def __call__(self, completions: list[str], **columns: Any) -> list[float]:
        self.given.append([len(set(completion)) / 7 for completion in completions])
        return self.given[-1]


@pytest.fixture
def make_trainer(make_model: Any, tmp_path: Path) -> Any:
    """make_trainer(algorithm settings, lr): two rollouts of two updates of eight completions."""

    def make(
        algorithm: dict[str, Any], lr: float = 0.0, kind: type[Recording] = Recorder
    ) -> tuple[Recording, Rewards, Settings]:
        recipe = make_recipe(
            {
                "algorithm": algorithm,
                "optim": {"lr": lr, "rollouts": 2, "updates_per_rollout": UPDATES},
                "rollout": {"prompts": 4, "completions": GROUP, "max_completion_tokens": LONGEST},
            }
        )
        rewards = Rewards()
        rows = Dataset.from_list([{"prompt": prompt} for prompt in ("1+2?", "34-5?", "rabc?", "12+3?") * 2])
        model = attach(make_model(), "lora", r=4, alpha=8)
        trainer = kind(model, rewards, grpo_config(recipe, tmp_path), rows, processing_class=build_tokenizer())
        known = recipe.algorithm
        settings = Settings(
            known.clip_low, known.clip_high, known.dual_clip or None, known.beta, known.entropy, UPDATES, LONGEST
        )
        return trainer, rewards, settings

    return make


def bound(batch: Batch, settings: Settings, value: float) -> float:
    """What float32 may add to a loss: the exponents, the sum, the last division.

    A difference of log-probabilities is rounded by eps·|logp|, which its exponential passes on as a relative error; a
    sum of n terms adds n·eps of their absolute sum. The clipped loss is at most max(ratio, dual)·|A| in size.
    """
    n = batch.mask.size
    exponent = 2 * max(np.abs(batch.new).max(), np.abs(batch.old).max(), np.abs(batch.reference).max())
    ratio = np.exp(batch.new - batch.old)
    away = batch.reference - batch.new
    size = (ratio + 1) * np.abs(batch.advantages[:, None]) + settings.beta * (np.exp(away) + np.abs(away) + 1)
    size = size + settings.entropy * np.abs(batch.entropy)
    return EPS * (n + exponent + 16) * float((size * batch.mask).sum() / batch.mask.sum()) + EPS * abs(value)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_loss_on_random_tensors_is_the_papers(name: str, variant: str, make_trainer: Any) -> None:
    check_loss(name, *make_trainer({"name": name, **VARIANTS[variant]}))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_trls_own_loss_is_the_same(name: str, make_trainer: Any) -> None:
    check_loss(name, *make_trainer({"name": name, **VARIANTS["everything"]}, kind=Recording))


def check_loss(name: str, trainer: Recording, rewards: Rewards, settings: Settings) -> None:
    """The trainer's loss on random tensors against the oracle's."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1  # which the training loop sets
    generator = torch.Generator().manual_seed(7)
    lengths = torch.randint(1, LONGEST + 1, (8,), generator=generator)
    ids = torch.randint(3, 29, (8, 6 + LONGEST), generator=generator)
    mask = (torch.arange(LONGEST) < lengths[:, None]).int()
    inputs = {
        "prompt_ids": ids[:, :6],
        "prompt_mask": torch.ones(8, 6, dtype=torch.int),
        "completion_ids": ids[:, 6:],
        "completion_mask": mask,
        "advantages": torch.randn(8, generator=generator),
        "num_items_in_batch": torch.tensor(int(mask.sum()) + 37),  # the rollout's other mini-batch had 37
    }
    with torch.no_grad():
        every = torch.cat([inputs["prompt_mask"], mask], 1)
        now, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, every, LONGEST)
    # ratios from e⁻⁴ to e⁴: both clips and the dual clip are met, with either sign of the advantage
    inputs["old_per_token_logps"] = now + 1.5 * torch.randn(8, LONGEST, generator=generator)
    inputs["ref_per_token_logps"] = now + 0.5 * torch.randn(8, LONGEST, generator=generator)
    trainer._compute_loss(trainer.model, inputs)
    batch, value = trainer.seen[-1]
    ratio = np.exp(batch.new - batch.old)[batch.mask == 1]
    assert ratio.min() < 1 - settings.low
    assert ratio.max() > max(1 + settings.high, settings.dual or 0)
    expected = loss(name, batch, settings)
    assert abs(value - expected) <= bound(batch, settings, value)


def test_the_variants_and_the_algorithms_are_told_apart(make_trainer: Any) -> None:
    """A bound that every wrong loss met would prove nothing."""
    trainer, _, settings = make_trainer({"name": "dapo", **VARIANTS["everything"]}, lr=0.05)
    trainer.train()
    batch, value = trainer.seen[1]
    for name in ("grpo", "dr_grpo"):
        assert abs(loss(name, batch, settings) - value) > bound(batch, settings, value)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_losses_and_advantages_of_a_run_are_the_papers(name: str, make_trainer: Any) -> None:
    """Two rollouts of two updates at a rate that moves the policy, from rewards to the value that is differentiated."""
    trainer, rewards, settings = make_trainer({"name": name, **VARIANTS["everything"]}, lr=0.05)
    trainer.train()
    assert len(trainer.seen) == 2 * UPDATES
    assert any((batch.new != batch.old).any() for batch, _ in trainer.seen)
    for given, found in zip(rewards.given, trainer.rollouts, strict=True):
        expected = advantages(name, np.array(given, dtype=np.float32).astype(float), GROUP)
        # rewards of order 1 cancel to eps; the deviation, at least 1e-4 by definition, divides what is left
        smallest = np.array(given).reshape(-1, GROUP).std(1, ddof=1).min() + 1e-4
        scale = 1.0 if name == "dr_grpo" else smallest
        assert np.abs(found.double().numpy() - expected).max() <= 8 * EPS * (1 / scale) * (1 + np.abs(expected).max())
    for batch, value in trainer.seen:
        assert abs(value - loss(name, batch, settings)) <= bound(batch, settings, value)
