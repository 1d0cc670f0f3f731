"""Our adapters in TRL's own trainer, which keeps a copy of the adapter as its reference; ours refused by its words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from trl.trainer.utils import use_adapter

from stiefel import GRPOTrainer, attach, load, save
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer

ROWS = Dataset.from_list([{"prompt": prompt} for prompt in ("12+34-5?", "1+2?", "rabcd?", "77-8?")])
IDS = torch.arange(3, 15)[None]


def settings(out: Path, **more: Any) -> trl.GRPOConfig:
    return trl.GRPOConfig(
        str(out),
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        report_to=[],
        num_generations=4,
        per_device_train_batch_size=8,
        max_completion_length=8,
        max_steps=2,
        learning_rate=1e-2,
        save_strategy="no",
        disable_tqdm=True,
        **more,
    )


def by_length(completions: list[str], **others: Any) -> list[float]:
    return [float(len(set(text))) for text in completions]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def moved(model: Any) -> Any:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("method", ["pissa", "milora", "pissa+dora", "rlpo+lora_fa", "rlpo"])
@pytest.mark.parametrize("trained", [False, True], ids=["new", "loaded"])
def test_trls_reference_is_the_adapter_as_it_was_given(method: str, trained: bool, tmp_path: Path) -> None:
    model = attach(load_model("nano"), method, r=4, alpha=8)
    if trained:
        save(moved(model), tmp_path / "adapter")
        model = load(load_model("nano"), tmp_path / "adapter")
    given = logits(model.eval())
    assert torch.equal(given, logits(load_model("nano"))) is not trained
    trainer = trl.GRPOTrainer(
        model, by_length, settings(tmp_path, beta=0.1), ROWS, processing_class=load_tokenizer("nano")
    )
    assert not [name for name, p in model.named_parameters() if ".ref." in name and p.requires_grad]
    seen = []
    kept = trainer._generate_and_score_completions

    def look(inputs: Any) -> Any:
        output = kept(inputs)
        seen.append(output["ref_per_token_logps"])
        return output

    trainer._generate_and_score_completions = look
    trainer.train()
    model.eval()
    assert seen
    assert all(torch.isfinite(logps).all() for logps in seen)
    with use_adapter(model, "ref"):
        assert torch.equal(logits(model), given)
    assert not torch.equal(logits(model), given)  # which trained, and did not take the reference along
    save(model, tmp_path / "saved")
    again = load(load_model("nano"), tmp_path / "saved").eval()
    assert torch.equal(logits(again), logits(model))


def test_another_adapter_beside_an_anchored_one_is_pefts_own() -> None:
    model = attach(load_model("nano"), "pissa", r=4, alpha=8)
    model.add_adapter("other", LoraConfig(r=3, target_modules=["q_proj"]))
    layer = next(module for name, module in model.named_modules() if name.endswith("layers.0.self_attn.q_proj"))
    assert type(layer.lora_A["other"]) is torch.nn.Linear


@pytest.mark.parametrize("method", ["rlpo", "pissa", "full"])
def test_an_adapter_that_is_frozen_is_refused_in_our_words(method: str, tmp_path: Path) -> None:
    sizes = {} if method == "full" else {"r": 4, "alpha": 8}
    save(attach(load_model("nano"), method, **sizes), tmp_path / "adapter")
    for beta in (0.0, 0.1):
        model = load(load_model("nano"), tmp_path / "adapter", trainable=False)
        with pytest.raises(UserError, match="nothing in this"):
            GRPOTrainer(model, by_length, settings(tmp_path, beta=beta), ROWS, processing_class=load_tokenizer("nano"))
    model = load(load_model("nano"), tmp_path / "adapter")
    GRPOTrainer(model, by_length, settings(tmp_path, beta=0.1), ROWS, processing_class=load_tokenizer("nano"))


def test_pefts_own_frozen_adapter_is_refused_alike(tmp_path: Path) -> None:
    get_peft_model(load_model("nano"), LoraConfig(r=4, target_modules=["q_proj"])).save_pretrained(tmp_path / "plain")
    frozen = PeftModel.from_pretrained(load_model("nano"), tmp_path / "plain")
    with pytest.raises(UserError, match="is_trainable=True"):
        GRPOTrainer(frozen, by_length, settings(tmp_path), ROWS, processing_class=load_tokenizer("nano"))
