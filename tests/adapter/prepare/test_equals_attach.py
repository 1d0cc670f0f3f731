"""The streamed start is the one of `attach` and `save`, to the bit, and loads wherever theirs does."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from stiefel import attach, load, save
from stiefel.adapter.streamed import prepare
from stiefel.adapter.verified import verify
from stiefel.artifacts import read_json, write_json
from stiefel.methods import STARTS
from stiefel.nano import NANO_PATH

from .conftest import FAMILIES, built, certificate_of, targets_of

MODELS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FORMS = {"single": {}, "shards": {"max_shard_size": "10KB"}}
SOME = ["rlpo", "rlmo", "pissa", "geora", "lora"]


def loaded(directory, dtype):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).eval()


def require_same(streamed, in_memory):
    """Byte for byte, but for what a directory is named after and how long it took."""
    assert certificate_of(streamed) == certificate_of(in_memory)
    names = {path.name for path in streamed.iterdir()} - {"README.md"}
    assert names == {path.name for path in in_memory.iterdir()} - {"README.md"}
    for name in names - {"stiefel.json", "adapter_config.json"}:
        assert (streamed / name).read_bytes() == (in_memory / name).read_bytes(), name
    one, other = (read_json(directory / "adapter_config.json") for directory in (streamed, in_memory))
    assert one.keys() == other.keys()
    differing = {key for key in one if sorted_lists(one[key]) != sorted_lists(other[key])}
    assert differing <= {"base_model_name_or_path"}


def sorted_lists(value):
    """PEFT keeps sets."""
    return sorted(value) if isinstance(value, list) else value


def test_every_method_on_nano(method, tmp_path):
    prepare("nano", method.name, tmp_path / "streamed", r=4, alpha=8, seed=5, cache=False)
    save(
        attach(loaded(NANO_PATH, torch.float32), method.name, r=4, alpha=8, seed=5, cache=False), tmp_path / "in_memory"
    )
    require_same(tmp_path / "streamed", tmp_path / "in_memory")


@pytest.mark.filterwarnings("ignore:.all-linear. leaves out:UserWarning")  # granite-moe's experts, as it should
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", MODELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_architecture_and_type(family, dtype, form, checkpoint, tmp_path):
    directory = checkpoint(family, MODELS[dtype], **FORMS[form])
    for name in ("geora", "rlmo"):
        prepare(str(directory), name, tmp_path / name, r=3, alpha=6, target_modules=targets_of(family), cache=False)
        model = loaded(directory, MODELS[dtype])
        save(
            attach(model, name, r=3, alpha=6, target_modules=targets_of(family), cache=False),
            tmp_path / f"{name} in memory",
        )
        require_same(tmp_path / name, tmp_path / f"{name} in memory")


@pytest.mark.parametrize("name", [method.name for method in STARTS if method.options])
def test_options_and_scaling(name, checkpoint, tmp_path):
    directory = checkpoint()
    options = {"sigma": "divided" if "geora" in name else "undivided"}
    how = {"r": 4, "alpha": 4, "target_modules": ["q_proj", "down_proj"], "seed": 9, "cache": False}
    prepare(str(directory), name, tmp_path / "streamed", options=options, **how)
    save(attach(loaded(directory, torch.float32), name, **how, **options), tmp_path / "in_memory")
    require_same(tmp_path / "streamed", tmp_path / "in_memory")


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_files_changes_nothing(form, checkpoint, tmp_path):
    prepare(str(checkpoint("llama", **FORMS[form])), "pissa", tmp_path / "streamed", r=4, cache=False)
    save(attach(copy.deepcopy(built("llama", torch.float32)), "pissa", r=4, cache=False), tmp_path / "in_memory")
    assert certificate_of(tmp_path / "streamed")["files"] == certificate_of(tmp_path / "in_memory")["files"]


@pytest.mark.parametrize("seen", MODELS)
@pytest.mark.parametrize("name", SOME)
def test_a_bfloat16_checkpoint_loads_in_both_types(name, seen, checkpoint, logits, tmp_path):
    """A bfloat16 matrix has the same values, and so the same fingerprint, as float32."""
    directory = checkpoint("llama", torch.bfloat16)
    prepare(str(directory), name, tmp_path / "adapter", r=4, alpha=8, cache=False)
    base = logits(loaded(directory, MODELS[seen]))
    assert torch.equal(logits(load(loaded(directory, MODELS[seen]), tmp_path / "adapter")), base)
    plain = PeftModel.from_pretrained(loaded(directory, MODELS[seen]), tmp_path / "adapter")
    assert torch.equal(logits(plain), base)


@pytest.mark.filterwarnings("ignore:.all-linear. leaves out:UserWarning")  # granite-moe's experts, as it should
@pytest.mark.parametrize("family", FAMILIES)
def test_every_architecture_is_saved_and_loaded_again(family, checkpoint, logits, take_steps, tmp_path):
    directory = checkpoint(family)
    adapted = attach(
        loaded(directory, torch.float32), "pissa", r=3, alpha=6, target_modules=targets_of(family), cache=False
    )
    take_steps(adapted, 1)
    save(adapted, tmp_path / "adapter")
    again = load(loaded(directory, torch.float32), tmp_path / "adapter")
    assert torch.equal(logits(again), logits(adapted))
    assert all(check.holds for check in verify(tmp_path / "adapter", str(directory)))
    path = tmp_path / "adapter" / "adapter_config.json"
    config = read_json(path)
    assert config["target_parameters"] is None
    write_json(path, config | {"target_parameters": []})  # as PEFT has it of a mixture of experts
    load(loaded(directory, torch.float32), tmp_path / "adapter")


@pytest.mark.filterwarnings("ignore:.all-linear. leaves out:UserWarning")  # granite-moe's experts, as it should
@pytest.mark.parametrize("family", FAMILIES)
def test_every_architecture_loads(family, checkpoint, logits, take_steps, tmp_path):
    directory = checkpoint(family)
    prepare(str(directory), "pissa", tmp_path / "adapter", r=3, alpha=6, target_modules=targets_of(family), cache=False)
    base = logits(loaded(directory, torch.float32))
    adapted = load(loaded(directory, torch.float32), tmp_path / "adapter")
    assert torch.equal(logits(adapted), base)
    assert torch.equal(logits(PeftModel.from_pretrained(loaded(directory, torch.float32), tmp_path / "adapter")), base)
    take_steps(adapted, 1)
    assert not torch.equal(logits(adapted), base), "it must be able to learn"


def test_another_type_of_loading_is_another_base(checkpoint, logits, tmp_path):
    """A float32 checkpoint that is loaded in bfloat16: `dtype` says so."""
    directory = checkpoint()
    prepare(str(directory), "pissa", tmp_path / "streamed", r=4, dtype="bfloat16", cache=False)
    save(attach(loaded(directory, torch.bfloat16), "pissa", r=4, cache=False), tmp_path / "in_memory")
    require_same(tmp_path / "streamed", tmp_path / "in_memory")
    load(loaded(directory, torch.bfloat16), tmp_path / "streamed")


def test_warm_is_cold(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("stiefel.spectrum.triplets.SMALL", {"energy": 1, "product": 1, "mask": 1})
    monkeypatch.setenv("STIEFEL_CACHE", str(tmp_path / "spectra"))
    directory = checkpoint()
    for name in ("cold", "warm"):
        prepare(str(directory), "geora", tmp_path / name, r=4)
    prepare(str(directory), "geora", tmp_path / "without", r=4, cache=False)
    assert list((tmp_path / "spectra").iterdir())
    require_same(tmp_path / "cold", tmp_path / "warm")
    require_same(tmp_path / "cold", tmp_path / "without")


def test_progress_names_every_layer_once_and_in_order(checkpoint, tmp_path):
    seen = []
    prepare(str(checkpoint()), "lora", tmp_path / "out", r=2, progress=lambda *step: seen.append(step))
    layers = json.loads((tmp_path / "out" / "stiefel.json").read_text())["layers"]
    assert seen == [(layer["name"], number, 14) for number, layer in enumerate(layers, start=1)]
