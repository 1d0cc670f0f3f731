"""What `inspect` cannot measure is named, with what to do instead; nothing is measured wrongly in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LNTuningConfig, LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file

import stiefel
from stiefel import UserError
from stiefel.geometry import inspect

LORA = {"r": 4, "target_modules": ["q_proj", "up_proj"], "task_type": "CAUSAL_LM"}


@pytest.fixture(scope="module")
def base(make_model, tmp_path_factory) -> str:
    directory = tmp_path_factory.mktemp("model") / "base"
    make_model().save_pretrained(directory)
    return str(directory)


@pytest.fixture
def saved(make_model, tmp_path):
    """saved(config): an adapter as PEFT writes it."""

    def save(config: Any) -> Path:
        get_peft_model(make_model(), config).save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    return save


def change_config(directory: Path, **changes: Any) -> None:
    path = directory / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_adapters_without_a_change_per_matrix_say_which_figures_exist(saved, base) -> None:
    ia3 = IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM")
    with pytest.raises(UserError, match=r"type IA3[\s\S]*diag\(l\)·W − W[\s\S]*merge it"):
        inspect(saved(ia3), base)


def test_norms_have_no_directions(saved, base) -> None:
    with pytest.warns(UserWarning, match="Unsupported layer type"):  # PEFT's words for every norm but LayerNorm
        adapter = saved(LNTuningConfig(target_modules=["norm"], task_type="CAUSAL_LM"))
    with pytest.raises(UserError, match=r"type LN_TUNING[\s\S]*share of entries that changed"):
        inspect(adapter, base)


def test_prompts_change_no_weight_and_are_not_told_to_merge(saved, base) -> None:
    adapter = saved(PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"))
    with pytest.raises(UserError, match="PROMPT_TUNING") as error:
        inspect(adapter, base)
    assert "changes no weight: none of the figures exists for it" in str(error.value)
    assert "merge" not in str(error.value)


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora"])
def test_a_start_that_changed_the_base_is_not_measured_as_if_it_had_not(start, saved, base) -> None:
    with pytest.raises(UserError, match="needs A₀ and B₀"):
        inspect(saved(LoraConfig(init_lora_weights=start, **LORA)), base)


def test_another_base_by_shape_and_by_name(saved, make_model, tmp_path) -> None:
    adapter = saved(LoraConfig(**LORA))
    make_model(intermediate_size=56).save_pretrained(tmp_path / "wider")
    with pytest.raises(UserError, match=r"does not fit this base[\s\S]*up_proj is \(56, 32\)"):
        inspect(adapter, str(tmp_path / "wider"))
    make_model(num_hidden_layers=1).save_pretrained(tmp_path / "shallow")
    with pytest.raises(UserError, match=r"does not fit this base[\s\S]*model\.layers\.1"):
        inspect(adapter, str(tmp_path / "shallow"))


def test_another_base_by_its_numbers_where_a_certificate_tells(make_model, base, tmp_path) -> None:
    other = make_model()
    with torch.no_grad():
        other.model.layers[1].mlp.up_proj.weight[0, 0] += 1.0
    stiefel.save(stiefel.attach(other, "rlpo", r=4), tmp_path / "adapter")
    with pytest.raises(UserError, match=r"up_proj is not the matrix that it was made for"):
        inspect(tmp_path / "adapter", base)


def test_a_checkpoint_of_another_model(make_model, base, tmp_path) -> None:
    make_model(intermediate_size=56).save_pretrained(tmp_path / "wider")
    with pytest.raises(UserError, match="does not fit this base"):
        inspect(tmp_path / "wider", base)
    make_model(num_hidden_layers=1).save_pretrained(tmp_path / "shallow")
    with pytest.raises(UserError, match="14 linear layers, not 7"):
        inspect(tmp_path / "shallow", base)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("kasa_config", {"beta": 1e-4}), ("use_bdlora", {"nblocks": 2}), ("layer_replication", [[0, 1], [0, 1]])],
)
def test_a_lora_whose_change_is_not_the_product_is_not_measured_as_one(setting, value, saved, base) -> None:
    adapter = saved(LoraConfig(**LORA))
    change_config(adapter, **{setting: value})
    with pytest.raises(UserError, match=rf"is a LoRA with {setting}[\s\S]*not s·BA"):
        inspect(adapter, base)


@pytest.mark.parametrize("factor", ["lora_A", "lora_B"])
def test_a_factor_without_the_other(factor, saved, base) -> None:
    adapter = saved(LoraConfig(**LORA))
    tensors = load_file(adapter / "adapter_model.safetensors")
    del tensors[f"base_model.model.model.layers.0.mlp.up_proj.{factor}.weight"]
    save_file(tensors, adapter / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=rf"holds no \S*up_proj\.{factor}\.weight"):
        inspect(adapter, base)


def test_another_base_of_the_same_shapes_is_told_by_its_name(saved, base) -> None:
    adapter = saved(LoraConfig(**LORA))
    change_config(adapter, base_model_name_or_path="someone/else")
    found = inspect(adapter, base)
    assert "names someone/else as its base" in found.reading[-1]
    assert found.summary["named_base"] == "someone/else"
    change_config(adapter, base_model_name_or_path="someone/base")
    assert not any("as its base" in line for line in inspect(adapter, base).reading)


def test_factors_that_are_not_numbers(saved, base) -> None:
    adapter = saved(LoraConfig(**LORA))
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    next(iter(tensors.values()))[0, 0] = torch.nan
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(UserError, match="not finite"):
        inspect(adapter, base)


def test_a_checkpoint_that_is_not_numbers(make_model, base, tmp_path) -> None:
    model = make_model()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = torch.inf
    model.save_pretrained(tmp_path / "broken")
    with pytest.raises(UserError, match=r"up_proj holds values that are not finite"):
        inspect(tmp_path / "broken", base)


def test_missing_files_and_directories(saved, base, tmp_path) -> None:
    with pytest.raises(UserError, match=r"no directory .*nowhere"):
        inspect(tmp_path / "nowhere", base)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="nothing to inspect"):
        inspect(tmp_path / "empty", base)
    (tmp_path / "empty" / "manifest.json").write_text('{"status": "running"}')
    with pytest.raises(UserError, match="holds no adapter yet"):
        inspect(tmp_path / "empty", base)
    adapter = saved(LoraConfig(**LORA))
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no adapter_model"):
        inspect(adapter, base)


def test_what_a_run_left_instead_of_an_adapter(base, tmp_path) -> None:
    (tmp_path / "comparison" / "runs").mkdir(parents=True)
    with pytest.raises(UserError, match=r"is a comparison[\s\S]*one of its runs"):
        inspect(tmp_path / "comparison", base)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text('{"status": "diverged", "reason": "no probabilities in rollout 4"}')
    with pytest.raises(UserError, match=r"no probabilities in rollout 4[\s\S]*smaller optim\.lr"):
        inspect(tmp_path / "run", base)


def test_a_config_that_is_none(saved, base) -> None:
    adapter = saved(LoraConfig(**LORA))
    change_config(adapter, lora_alpha="much")
    with pytest.raises(UserError, match="lora_alpha"):
        inspect(adapter, base)


def test_factors_of_no_matrix(saved, base) -> None:
    adapter = saved(LoraConfig(**LORA))
    save_file({"base_model.model.x": torch.zeros(1)}, adapter / "adapter_model.safetensors")
    with pytest.raises(UserError, match="no LoRA factors"):
        inspect(adapter, base)


def test_an_adapter_on_an_embedding(saved, base) -> None:
    adapter = saved(LoraConfig(**LORA))
    tensors = load_file(adapter / "adapter_model.safetensors")
    name = "base_model.model.model.embed_tokens.lora"
    tensors |= {f"{name}_A.weight": torch.zeros(4, 29), f"{name}_B.weight": torch.zeros(32, 4)}
    save_file(tensors, adapter / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="embed_tokens is a Embedding"):
        inspect(adapter, base)


def test_what_is_left_out_is_named(make_model, base, tmp_path) -> None:
    config = LoraConfig(modules_to_save=["lm_head"], **LORA)
    get_peft_model(make_model(), config).save_pretrained(tmp_path / "adapter")
    found = inspect(tmp_path / "adapter", base)
    assert any("lm_head" in name for name in found.left_out)
    assert "lm_head" in found.reading[-1]


@pytest.mark.parametrize(
    ("settings", "words"), [({"rank": 0}, "rank = 0"), ({"rank": 99}, "rank 99"), ({"also": ("tale",)}, "tail")]
)
def test_wrong_wishes(settings, words, saved, base) -> None:
    with pytest.raises(UserError, match=words):
        inspect(saved(LoraConfig(**LORA)), base, **settings)
