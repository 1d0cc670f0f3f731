"""PEFT's other adapters: what they leave out, round or unfreeze, shown on PEFT first and then not to be ours."""

from __future__ import annotations

import pytest
import torch
import trl
from peft import AdaLoraConfig, IA3Config, LNTuningConfig, LoraConfig, MissConfig, VeraConfig, get_peft_model

from stiefel import GRPOTrainer, attach
from stiefel.adapter.attached import lora_layers, trainable_parameters
from stiefel.training.adalora import orthogonality, ranks
from stiefel.training.optimizers import make_optimizer

from .conftest import logged

NARROW = {  # PEFT's own choice of targets on Qwen3, and our settings for all of them
    "miss": (lambda: MissConfig(r=4, task_type="CAUSAL_LM"), {"r": 4}),
    "vera": (lambda: VeraConfig(r=4, task_type="CAUSAL_LM"), {"r": 4}),
    "ia3": (lambda: IA3Config(task_type="CAUSAL_LM"), {}),
    "ln_tuning": (lambda: LNTuningConfig(task_type="CAUSAL_LM"), {}),
}


@pytest.mark.filterwarnings("ignore:Unsupported layer type")
@pytest.mark.parametrize("name", NARROW)
def test_p11_default_targets_are_narrow(name, make_model):
    config, settings = NARROW[name]
    theirs = trainable_parameters_of(get_peft_model(make_model(), config()))
    ours = trainable_parameters(attach(make_model(), name, **settings))
    assert theirs < 0.7 * ours, "upstream mended it"


def trainable_parameters_of(model) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_every_norm_is_tuned_those_of_queries_and_keys_too(make_model):
    model = attach(make_model(), "ln_tuning")
    norms = {name for name, module in make_model().named_modules() if type(module).__name__ == "Qwen3RMSNorm"}
    free = [name.removeprefix("base_model.model.") for name, p in model.named_parameters() if p.requires_grad]
    tuned = {name.split(".ln_tuning_layers")[0] for name in free}
    assert tuned == norms
    assert len(norms) == 2 * 4 + 1


def test_p10_lora_fa_s_a_cannot_be_unfrozen(make_model, take_steps):
    model = attach(make_model(), "random_orthonormal+lora_fa", r=4)
    before = {name: layer.lora_A["default"].weight.clone() for name, layer in lora_layers(model)}
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    for _ in range(3):
        model.set_adapter("default")
        with model.disable_adapter():
            pass
        take_steps(model, 1, make_optimizer(model, lr=0.01, weight_decay=0.1))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == trainable
    assert all(".lora_B." in name for name in trainable)
    assert all(torch.equal(layer.lora_A["default"].weight, before[name]) for name, layer in lora_layers(model))


def test_dora_s_magnitude_is_rounded_in_bfloat16(make_model, logits):
    model = make_model(torch.bfloat16)
    base = logits(model)
    theirs = get_peft_model(
        make_model(torch.bfloat16), LoraConfig(r=4, use_dora=True, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    assert not torch.equal(logits(theirs), base), "upstream mended it"
    for name in ("dora", "pissa+dora"):
        assert torch.equal(logits(attach(make_model(torch.bfloat16), name, r=4)), base)


def test_adalora_s_divisor_trains_in_bfloat16(make_model):
    config = AdaLoraConfig(init_r=6, target_r=4, total_step=10, target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = get_peft_model(make_model(torch.bfloat16), config)
    assert all(layer.ranknum["default"].requires_grad for _, layer in lora_layers(theirs)), "upstream mended it"
    ours = attach(make_model(torch.bfloat16), "adalora", r=4)
    assert not any(layer.ranknum["default"].requires_grad for _, layer in lora_layers(ours))


@pytest.mark.filterwarnings("ignore:Unsupported layer type")
def test_norms_train_in_bfloat16(make_model):
    config = LNTuningConfig(target_modules=["input_layernorm"], task_type="CAUSAL_LM")
    theirs = get_peft_model(make_model(torch.bfloat16), config)
    assert {p.dtype for p in theirs.parameters() if p.requires_grad} == {torch.bfloat16}, "upstream mended it"
    ours = attach(make_model(torch.bfloat16), "ln_tuning")
    assert {p.dtype for p in ours.parameters() if p.requires_grad} == {torch.float32}


MATRICES = 14


def test_t4_trl_never_cuts_a_rank_and_ours_falls_to_the_budget(train, make_model):
    config = AdaLoraConfig(init_r=6, target_r=4, total_step=4, target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = train(trl.GRPOTrainer, get_peft_model(make_model(), config), beta=0.0, lr=0.01).model
    assert sum(ranks(theirs).values()) == 6 * MATRICES, "upstream mended it"
    ours = train(GRPOTrainer, attach(make_model(), "adalora", r=4), beta=0.0, lr=0.01).model
    assert sum(ranks(ours).values()) == 4 * MATRICES


@pytest.mark.parametrize("micro_batch", [0, 2], ids=["whole", "in pieces"])
def test_t4_the_orthogonality_term_is_in_our_loss_and_not_in_trls(micro_batch, train, make_model):
    """Once an update, however it is cut into pieces; at a rate of zero it is the start's at every update."""
    losses, terms = {}, {}
    for kind in (trl.GRPOTrainer, GRPOTrainer):
        for weight in (0.5, 1.0):
            model = attach(make_model(), "adalora", r=4, orth_reg_weight=weight)
            terms[weight] = orthogonality(model).item()
            losses[kind, weight] = logged(train(kind, model, beta=0.0, lr=0.0, micro_batch=micro_batch), "loss")
    assert terms[0.5] > 0.1
    assert losses[trl.GRPOTrainer, 1.0] == losses[trl.GRPOTrainer, 0.5], "upstream mended it"
    for plain, half, whole in zip(
        losses[trl.GRPOTrainer, 0.5], losses[GRPOTrainer, 0.5], losses[GRPOTrainer, 1.0], strict=True
    ):
        for term, found in ((terms[0.5], half), (terms[1.0], whole)):
            assert found - plain == pytest.approx(term, abs=1e-6 * (1 + term))  # sums in float32
