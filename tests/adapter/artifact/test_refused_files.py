"""Another base, a changed file, a taken place: one message, and nothing half-done."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import stiefel.adapter.saved
from stiefel import UserError, attach, load, save
from stiefel.methods import find_method

ANCHORS, FACTORS, CERTIFICATE, CONFIG = (
    "anchors.safetensors",
    "adapter_model.safetensors",
    "stiefel.json",
    "adapter_config.json",
)


def refuse(model, directory):
    with pytest.raises(UserError):
        load(model, directory)


def one_bit_of_a_target(make_model):
    model = make_model()
    weight = model.model.layers[1].mlp.up_proj.weight.data
    weight.view(torch.int32)[3, 5] ^= 1
    return model


OTHER_BASES = {
    "one bit of a target": one_bit_of_a_target,
    "another type": lambda make_model: make_model(torch.bfloat16),
    "other shapes": lambda make_model: make_model(hidden_size=40),
    "one layer fewer": lambda make_model: make_model(num_hidden_layers=1),
}


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
@pytest.mark.parametrize("base", OTHER_BASES)
def test_another_base_is_refused(base, method, saved_adapter, make_model):
    refuse(OTHER_BASES[base](make_model), saved_adapter(method).directory)


def state_of(model):
    return (
        {name: (type(module), module.training) for name, module in model.named_modules()},
        {name: p.requires_grad for name, p in model.named_parameters()},
    )


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
@pytest.mark.parametrize("base", OTHER_BASES)
def test_a_base_that_was_refused_is_left_as_it_was(base, saved_adapter, make_model):
    model = OTHER_BASES[base](make_model)
    before = state_of(model)
    with pytest.raises(Exception):  # noqa: B017 - whatever is raised
        load(model, saved_adapter(find_method("pissa")).directory)
    assert state_of(model) == before


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_a_deeper_base_with_the_same_first_layers_is_refused(method, make_model, tmp_path):
    """PEFT names targets by their last words in models of many layers, so that it would adapt the further ones too."""
    shallow, deep = make_model(num_hidden_layers=4), make_model(num_hidden_layers=5)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    save(attach(shallow, method.name, r=4), tmp_path / "adapter")
    refuse(deep, tmp_path / "adapter")


@pytest.fixture
def copied(saved_adapter, tmp_path):
    shutil.copytree(saved_adapter(find_method("pissa")).directory, tmp_path / "adapter")
    return tmp_path / "adapter"


def change_tensors(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def swap(tensors):
    first, second = (key for key in sorted(tensors) if key.endswith("q_proj.A"))
    tensors[first], tensors[second] = tensors[second], tensors[first]


def flip_high_bit(tensors):
    tensors[min(tensors)].view(torch.int32)[0, 0] ^= 1 << 20


def flip_lowest_bit_of_the_smallest_entry(tensors):
    anchor = tensors[min(key for key in tensors if key.endswith(".A"))]
    anchor.view(torch.int32).view(-1)[anchor.abs().argmin()] ^= 1


def drop(tensors):
    tensors.pop(min(tensors))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-9])


CHANGES = {
    "anchors swapped": lambda d: change_tensors(d / ANCHORS, swap),
    "a high bit of an anchor": lambda d: change_tensors(d / ANCHORS, flip_high_bit),
    "the lowest bit of a small anchor": lambda d: change_tensors(d / ANCHORS, flip_lowest_bit_of_the_smallest_entry),
    "an anchor missing": lambda d: change_tensors(d / ANCHORS, drop),
    "anchors missing": lambda d: (d / ANCHORS).unlink(),
    "anchors cut off": lambda d: truncate(d / ANCHORS),
    "factors cut off": lambda d: truncate(d / FACTORS),
    "factors missing": lambda d: (d / FACTORS).unlink(),
    "a frozen factor changed": lambda d: change_tensors(
        d / FACTORS, lambda t: t[max(key for key in t if "lora_B" in key)][:, 4:].mul_(1.5)
    ),
    "certificate empty": lambda d: (d / CERTIFICATE).write_text("{}"),
    "certificate a list": lambda d: (d / CERTIFICATE).write_text("[]"),
    "certificate cut off": lambda d: truncate(d / CERTIFICATE),
    "certificate missing": lambda d: (d / CERTIFICATE).unlink(),
    "certificate that denies the anchors": lambda d: (d / CERTIFICATE).write_text(
        json.dumps({**json.loads((d / CERTIFICATE).read_text()), "anchored": False})
    ),
    "config cut off": lambda d: truncate(d / CONFIG),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_directory_is_refused(change, copied, make_model):
    CHANGES[change](copied)
    refuse(make_model(), copied)


@pytest.mark.parametrize("change", ["anchors swapped", "anchors missing", "factors cut off"])
def test_a_base_is_left_as_it_was_by_a_changed_directory(change, copied, make_model):
    CHANGES[change](copied)
    model = make_model()
    before = state_of(model)
    with pytest.raises(Exception):  # noqa: B017 - whatever is raised
        load(model, copied)
    assert state_of(model) == before


def test_a_directory_that_is_not_there_is_refused(make_model, tmp_path):
    refuse(make_model(), tmp_path / "nothing")


def test_existing_output_is_refused_and_kept(make_model, tmp_path):
    adapted = attach(make_model(), "rlpo", r=4)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "precious").write_text("mine")
    with pytest.raises(UserError):
        save(adapted, tmp_path / "adapter")
    assert [path.name for path in tmp_path.rglob("*")] == ["adapter", "precious"]


@pytest.mark.parametrize("writer", ["save_file", "write_json"])
def test_a_failure_while_writing_leaves_nothing_behind(writer, make_model, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    adapted = attach(make_model(), "pissa", r=4)
    monkeypatch.setattr(stiefel.adapter.saved, writer, full)
    with pytest.raises(OSError, match="No space"):
        save(adapted, tmp_path / "new" / "adapter")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "new" / "adapter").exists()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_model_that_stiefel_did_not_adapt_is_not_saved(make_model, tmp_path):
    with pytest.raises(UserError):
        save(make_model(), tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


def test_factors_that_are_no_longer_float32_are_not_saved_as_if_they_were(make_model, take_steps, tmp_path):
    """`model.to(bfloat16)` rounds the factors and the anchors; the directory must not promise what it cannot hold."""
    adapted = attach(make_model(torch.bfloat16), "pissa", r=4).to(torch.bfloat16)
    take_steps(adapted)
    with pytest.raises(UserError):
        save(adapted, tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []
