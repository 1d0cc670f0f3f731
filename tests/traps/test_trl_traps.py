"""TRL's traps: each is shown on TRL's own trainer first, then shown not to be ours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import trl
from huggingface_hub.utils import _telemetry
from peft import PeftModel
from trl.rewards import accuracy_reward, accuracy_rewards

from stiefel import GRPOTrainer, UserError, attach
from stiefel.adapter.attached import base_policy
from stiefel.methods import STARTS
from stiefel.recipe.recipe import make_recipe
from stiefel.rewards import GRADERS
from stiefel.training.settings import grpo_config

from ..contract.conftest import NAMES, attach_any
from .conftest import logged, lora_config, peft_start, relative_change

UPDATES = 4


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_t1_the_reference_of_a_start_that_moves_the_base_is_wrong(init, train, make_model):
    theirs = train(trl.GRPOTrainer, make_model(), beta=0.1, lr=0.0, peft_config=lora_config(init))
    assert len(logged(theirs, "kl")) == UPDATES
    assert min(logged(theirs, "kl")) > 1e-4, "upstream mended it"


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((method.name, torch.float32) for method in STARTS), *((name, torch.bfloat16) for name in NAMES)],
    ids=str,
)
def test_t1_every_divergence_of_ours_is_exactly_zero_at_rate_zero(name, dtype, train, make_model):
    ours = train(GRPOTrainer, attach_any(make_model(dtype), name), beta=0.1, lr=0.0, kl_every=1)
    assert logged(ours, "kl") == [0.0] * UPDATES
    for key, count in {"kl_base": 2, "kl_base_k1": 2, "kl_rollout": 2}.items():
        assert logged(ours, key) == [0.0] * count, key


def test_t1_the_reference_stays_the_base_while_the_policy_moves(method, train, make_model, logits):
    """With lr > 0 the logged KL to the reference is the KL to the base; both are measured, by two ways."""
    model = make_model()
    base = logits(model)
    ours = train(GRPOTrainer, attach(model, method.name, r=4, alpha=8), beta=0.1, lr=0.01, kl_every=1)
    assert logged(ours, "kl")[0] == 0.0
    assert logged(ours, "kl")[-1] > 0.0
    with base_policy(ours.model):
        assert torch.equal(logits(ours.model), base)


def test_t2_the_constructor_changes_the_policy(train, make_model, logits):
    theirs = peft_start(make_model(), "pissa")
    before = logits(theirs)
    changed = train(trl.GRPOTrainer, theirs, beta=0.1, lr=0.0, fit=False)
    assert relative_change(logits(changed.model), before) > 0.01, "upstream mended it"


@pytest.mark.parametrize("name", NAMES)
def test_t2_our_constructor_does_not_change_a_bit(name, train, make_model, logits):
    ours = attach_any(make_model(), name)
    before = logits(ours)
    made = train(GRPOTrainer, ours, beta=0.1, lr=0.0, fit=False)
    assert torch.equal(logits(made.model), before)
    assert not isinstance(made.model, PeftModel) or list(made.model.peft_config) == ["default"]
    assert made.beta == made.args.beta == 0.1


def test_a_model_whose_disabled_adapter_is_not_its_base_is_refused(train, make_model):
    """The reference would be PEFT's residual, as in T1, and the logged KL would be wrong in silence."""
    with pytest.raises(UserError):
        train(GRPOTrainer, peft_start(make_model(), "pissa"), beta=0.1, lr=0.0, fit=False)
    with pytest.raises(UserError):
        train(GRPOTrainer, make_model(), beta=0.1, lr=0.0, fit=False, peft_config=lora_config("pissa"))


def test_a_model_without_an_adapter_is_refused_before_anything_is_generated(train, make_model):
    with pytest.raises(UserError):
        train(GRPOTrainer, make_model(), beta=0.1, lr=0.0, fit=False)


@pytest.mark.parametrize("name", ["pissa", "milora"])
def test_p10_anchors_are_bit_identical_through_a_training_run(name, train, make_model, logits):
    ours = attach(make_model(), name, r=4, alpha=8)
    anchors = {key: value.clone() for key, value in ours.named_buffers() if key.endswith("anchor")}
    weights = {key: p.detach().clone() for key, p in ours.named_parameters() if not p.requires_grad}
    before = logits(ours)
    ours.set_adapter("default")
    trained = train(GRPOTrainer, ours, beta=0.1, lr=0.01, kl_every=1, weight_decay_on="factors").model
    assert not torch.equal(logits(trained), before)
    state = {**dict(trained.named_buffers()), **dict(trained.named_parameters())}
    assert all(torch.equal(state[key], value) for key, value in {**anchors, **weights}.items())


def test_t10_the_constructor_sends_telemetry(train, make_model, monkeypatch):
    monkeypatch.delenv("CI", raising=False)  # TRL sends nothing there
    sent: list[str] = []
    monkeypatch.setattr(_telemetry, "_start_telemetry_thread", lambda: sent.append("started"))
    monkeypatch.setattr(_telemetry._TELEMETRY_QUEUE, "put", lambda entry: sent.append(str(entry)))
    monkeypatch.setattr(_telemetry.constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(_telemetry.constants, "is_offline_mode", lambda: False)
    train(trl.GRPOTrainer, attach(make_model(), "lora", r=4), beta=0.0, lr=0.0, fit=False)
    assert sent, "upstream mended it"
    sent.clear()
    train(GRPOTrainer, attach(make_model(), "lora", r=4), beta=0.0, lr=0.0, fit=False)
    assert sent == []


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")  # TRL's own default
def test_t10_trl_chooses_what_a_recipe_should():
    """Each of these changes what is trained, and none was asked for."""
    theirs = trl.GRPOConfig(output_dir="unused", use_cpu=True)
    ours = grpo_config(make_recipe({}), Path("unused"))
    assert theirs.bf16, "upstream mended it"
    assert theirs.use_bias_correction_kl, "upstream mended it"
    assert theirs.vllm_importance_sampling_correction, "upstream mended it"
    assert theirs.vllm_importance_sampling_mode == "sequence_mask", "upstream mended it"
    for key in ("bf16", "use_bias_correction_kl", "vllm_importance_sampling_correction"):
        assert vars(ours)[key] is False
    assert theirs.activation_checkpointing, "upstream mended it"
    assert not ours.activation_checkpointing
    corrected = make_recipe({"rollout": {"engine": "vllm", "importance_correction": "token_truncate"}})
    assert grpo_config(corrected, Path("unused")).vllm_importance_sampling_mode == "token_truncate"


def test_t11_generation_that_would_cast_the_adapters_is_refused(make_model, tmp_path):
    recipe = make_recipe({})
    args = grpo_config(recipe, tmp_path)
    assert not args.use_transformers_continuous_batching
    args.use_transformers_continuous_batching = True
    with pytest.raises(UserError, match="float32 factors"):
        GRPOTrainer(attach(make_model(), "lora", r=4), lambda completions, **columns: [0.0] * len(completions), args)


def test_t12_the_accuracy_reward_has_no_timeout_off_the_main_thread_and_skips_what_it_cannot_read(monkeypatch):
    """An answer that never ends to be parsed would stop the run there; ours is given up in a process of its own."""
    completion = [[{"role": "assistant", "content": r"\boxed{7}"}]]
    limits = []

    def noting(*args, parsing_timeout, **kwargs):
        limits.append(parsing_timeout)
        return parse(*args, parsing_timeout=parsing_timeout, **kwargs)

    parse = accuracy_rewards.parse
    monkeypatch.setattr(accuracy_rewards, "parse", noting)
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(accuracy_reward, completion, ["7"]).result() == [1.0]
        assert limits == [None, None], "upstream mended it"
        assert threads.submit(GRADERS["math"], "9**9**9**9**9", "7").result().score == 0.0  # in its time, or out of it
    assert accuracy_reward(completion, [""]) == [None], "upstream mended it"
    grade = GRADERS["math"](r"\boxed{7}", "")
    assert grade.score is None
    assert grade.reason  # and it is counted: `unreadable_fraction`
