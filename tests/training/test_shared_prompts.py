"""`rollout.share_prompts`: a prompt is computed once for all its completions, and nothing else is another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import MistralConfig, MistralForCausalLM

import stiefel
from stiefel.artifacts import read_jsonl
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from stiefel.training.settings import grpo_config
from stiefel.training.shared_prompts import decoder, prompt_cache, shared_prefill
from tests.run.kills import killed_run
from tests.run.test_resume import CLOCK

from .test_cap import distinct_tokens, trained

# sums of float32 in another order: eps·√(tokens·layers) ≈ 1.2e-7·√(600·28), as of the recorded traces
RELATIVE = 1.5e-5
PROMPTS, COMPLETIONS = 2, 4  # of `trained`
SIZES = {"prompts": 4, "completions": 4, "max_completion_tokens": 8}
SHORT: dict[str, Any] = {
    "optim": {"rollouts": 4, "lr": 1e-3, "kl_cap": 1e-3},
    "rollout": {**SIZES, "share_prompts": True},
    "run": {"threads": 1, "save_every": 1},
}


class Both(stiefel.GRPOTrainer):
    """Scores everything TRL's way too, and holds the two against each other."""

    checked = 0

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        shared = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        self._share_prompts = False
        plain = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        self._share_prompts = True
        for one, other in zip(shared, plain, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, rtol=RELATIVE, atol=10 * RELATIVE)
        if shared[0].requires_grad:
            trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
            pairs = [
                torch.autograd.grad(result[0].sum() + result[1].sum(), trained, retain_graph=True, allow_unused=True)
                for result in (shared, plain)
            ]
            for one, other in zip(*pairs, strict=True):
                assert (one - other).norm() <= 10 * RELATIVE * other.norm()
            self.checked += 1
        return shared


@pytest.mark.parametrize("method", ["lora", "pissa", "rlpo+dora", "ia3", "adalora", "full"])
def test_log_probabilities_entropies_and_gradients_are_those_of_whole_passes(method: str, tmp_path: Path) -> None:
    """Of the policy, of the base, of updates in pieces, with prompts of several lengths."""
    trainer = trained(method, tmp_path, kind=Both, kl_every=1, micro_batch=4, lr=1e-3, share_prompts=True)
    assert trainer.checked == 2 * 2 * (PROMPTS * COMPLETIONS // 2 // 4)
    assert "kl_base" in {name for row in trainer.state.log_history for name in row}


def test_a_prompt_is_passed_once(make_model: Any) -> None:
    """P(p − 1) tokens, and of every completion its own and the prompt's last."""
    model = stiefel.attach(make_model(), "lora", r=4)
    passed: list[int] = []
    decoder(model).embed_tokens.register_forward_hook(lambda module, given, out: passed.append(given[0].numel()))
    ids = torch.arange(4, 14).view(2, 5).repeat_interleave(4, 0)[torch.randperm(8)]
    prompt_cache(decoder(model), ids[:, :-1], torch.ones_like(ids)[:, :-1])
    assert passed == [2 * 4]
    passed.clear()
    with shared_prefill(model):
        model.generate(ids, do_sample=True, max_new_tokens=3, pad_token_id=0, eos_token_id=None)
    assert passed == [2 * 4, 8, 8, 8]


def test_the_same_completions_are_drawn(make_model: Any) -> None:
    """From prompts of several lengths, padded on the left."""
    model = make_model()
    ids = torch.arange(4, 19).view(3, 5).repeat(3, 1)
    mask = torch.ones_like(ids)
    mask[::3, :2] = 0
    ids[::3, :2] = 0
    drawn = []
    for block in (shared_prefill(model), shared_prefill(model), None):
        torch.manual_seed(0)
        settings = {"do_sample": True, "max_new_tokens": 6, "pad_token_id": 0, "attention_mask": mask}
        if block is None:
            drawn.append(model.generate(ids, **settings))
            continue
        with block:
            drawn.append(model.generate(ids, **settings))
    assert drawn[0].equal(drawn[1])
    assert drawn[0].equal(drawn[2])
    assert not model._forward_pre_hooks


def test_a_run_is_the_one_without_it_and_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    began = time.perf_counter()
    train(make_recipe(SHORT), tmp_path / "shared")
    seconds = 0.6 * (time.perf_counter() - began)
    train(make_recipe({**SHORT, "rollout": SIZES}), tmp_path / "plain")
    shared, plain = (read_jsonl(tmp_path / name / "metrics.jsonl") for name in ("shared", "plain"))
    for one, other in zip(shared, plain, strict=True):
        for key in ("reward", "kl_base", "entropy", "completion_length"):
            assert (key in one) == (key in other)
            assert one.get(key, 0.0) == pytest.approx(other.get(key, 0.0), rel=1e-3, abs=1e-6), key
    samples = [read_jsonl(tmp_path / name / "samples.jsonl") for name in ("shared", "plain")]
    assert samples[0][:16] == samples[1][:16]
    killed_run(make_recipe(SHORT), tmp_path / "killed", kills=1, seconds=seconds)
    again = read_jsonl(tmp_path / "killed" / "metrics.jsonl")
    assert [{key: row[key] for key in row.keys() - CLOCK} for row in again] == [
        {key: row[key] for key in row.keys() - CLOCK} for row in shared
    ]


@pytest.mark.parametrize(
    ("attached", "settings", "why"),
    [
        ({"dropout": 0.1}, {}, "each completion draws its own"),
        ({}, {"activation_checkpointing": True}, "it keeps no keys and values"),
    ],
)
def test_what_would_make_it_another_function_is_refused(
    attached: dict[str, Any], settings: dict[str, Any], why: str, tmp_path: Path
) -> None:
    recipe = make_recipe({"optim": settings, "rollout": SIZES})
    with pytest.raises(UserError, match=why):
        stiefel.GRPOTrainer(
            stiefel.attach(load_model("nano"), "lora", r=4, **attached),
            distinct_tokens,
            grpo_config(recipe, tmp_path),
            Dataset.from_list([{"prompt": "1+1?"}]),
            processing_class=load_tokenizer("nano"),
            share_prompts=True,
        )


def test_a_model_that_forgets_tokens_is_refused() -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    model = MistralForCausalLM(MistralConfig(vocab_size=32, num_hidden_layers=1, sliding_window=4, **sizes))
    ids = torch.arange(10).view(2, 5)
    with pytest.raises(UserError, match="a sliding window"):
        prompt_cache(decoder(model), ids, torch.ones_like(ids))
