"""Every method trains, is saved, read back to equal logits, and goes on from a checkpoint to equal bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset

import stiefel
from stiefel.methods import METHODS, used_settings
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.training.checkpoints import checkpoints_in
from stiefel.training.settings import grpo_config

COMPOSED = ("rlpo+dora", "random_orthonormal+lora_fa", "rlmo+rslora+lora_plus", "pissa+dora", "olora+rslora")
EVERY = [*(method.name for method in METHODS), *COMPOSED]
RECIPE = {
    "optim": {"rollouts": 2, "updates_per_rollout": 2, "lr": 1e-2},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
    "algorithm": {"beta": 0.1},
    "run": {"threads": 1},
}
UPDATES = 4
IDS = torch.arange(3, 27).view(2, 12)


def distinct_tokens(completions: list[str], **columns: Any) -> list[float]:
    return [len(set(completion)) / 8 for completion in completions]


class KeepAll(stiefel.GRPOTrainer):
    """Every checkpoint stays."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        newest = checkpoints_in(Path(self.args.output_dir))[-1]
        newest.rename(newest.with_name(newest.name.replace("checkpoint", "kept")))


def trained(method: str, out: Path, resume: Path | None = None, kind: type = KeepAll) -> Any:
    torch.set_num_threads(1)
    config = grpo_config(make_recipe(RECIPE), out)
    config.save_strategy, config.save_steps = "steps", 1
    given = used_settings(method, rank=4, alpha=8, dropout=0.0, targets="all-linear")
    trainer = kind(
        stiefel.attach(load_model("nano"), method, **given),
        distinct_tokens,
        config,
        Dataset.from_list([{"prompt": f"{n}+{n}?"} for n in range(11, 23)]),
        processing_class=load_tokenizer("nano"),
        kl_every=1,
    )
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer


def weights(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(input_ids=IDS).logits


@pytest.mark.parametrize("method", EVERY)
def test_it_trains_is_read_back_and_resumes(method: str, tmp_path: Path) -> None:
    trainer = trained(method, tmp_path / "run")
    logs = [row for row in trainer.state.log_history if "grad_norm" in row]
    assert len(logs) == UPDATES
    assert logs[0]["kl"] == logs[0]["kl_base"] == 0.0  # T1: the reference is the base, which the start is
    assert logs[-1]["kl"] > 0.0
    base = logits(load_model("nano"))
    policy = logits(trainer.model)
    assert not torch.equal(policy, base)
    with trainer.base_policy.applied():
        assert torch.equal(logits(trainer.model), base)
    assert torch.equal(logits(trainer.model), policy)

    stiefel.save(trainer.model, tmp_path / "saved")
    assert torch.equal(logits(stiefel.load(load_model("nano"), tmp_path / "saved")), policy)

    # in the middle of the first rollout, so that the second is generated anew
    resumed = trained(method, tmp_path / "again", tmp_path / "run" / "kept-1", stiefel.GRPOTrainer)
    expected, found = weights(trainer), weights(resumed)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_t15_trl_cannot_train_the_weights_of_a_model_in_memory_against_a_reference(tmp_path: Path) -> None:
    model = load_model("nano")
    model.config._name_or_path = str(tmp_path / "nowhere")
    with pytest.raises(OSError, match="nowhere"):
        trl.GRPOTrainer(
            model,
            distinct_tokens,
            grpo_config(make_recipe(RECIPE), tmp_path),
            Dataset.from_list([{"prompt": "1+2?"}] * 4),
            processing_class=load_tokenizer("nano"),
        )
    ours = load_model("nano")
    ours.config._name_or_path = str(tmp_path / "nowhere")
    trainer = stiefel.GRPOTrainer(
        stiefel.attach(ours, "full"),
        distinct_tokens,
        grpo_config(make_recipe(RECIPE), tmp_path),
        Dataset.from_list([{"prompt": f"{n}+{n}?"} for n in range(11, 23)]),
        processing_class=load_tokenizer("nano"),
    )
    trainer.train()
    assert trainer.state.log_history[0]["kl"] == 0.0
