"""What cannot be made is named with a way out, and no part of it is left behind."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import stiefel.adapter.streamed
import stiefel.model.tensorfile
from stiefel import UserError
from stiefel.adapter.streamed import prepare
from stiefel.methods import STARTS, Composition

from .conftest import LAYER


def leftovers(out):
    """Everything beside the base, hidden files too."""
    return sorted(name for name in os.listdir(out.parent) if name != "base")  # noqa: PTH208


def refused(directory, out, *words, method="pissa", **settings):
    settings = {"r": 4, "alpha": 8, "cache": False, **settings}
    with pytest.raises(UserError) as error:
        prepare(str(directory), method, out, **settings)
    for word in words:
        assert word in str(error.value)
    assert all((error.value.what, error.value.why, error.value.instead))
    assert leftovers(out) == []


@pytest.fixture
def out(tmp_path):
    return tmp_path / "adapter"


def shard_of(directory):
    places = json.loads((directory / "model.safetensors.index.json").read_text())["weight_map"]
    return directory / places[f"{LAYER}.weight"]


def test_a_missing_shard(checkpoint, out):
    directory = checkpoint(max_shard_size="20KB")
    shard = shard_of(directory)
    shard.unlink()
    refused(directory, out, shard.name, "missing", "download")


def test_a_truncated_shard(checkpoint, out):
    directory = checkpoint(max_shard_size="20KB")
    shard = shard_of(directory)
    shard.write_bytes(shard.read_bytes()[:-9])
    refused(directory, out, shard.name, "broken", "again")


@pytest.mark.parametrize("header", [b"", b"\xff" * 8, (2).to_bytes(8, "little") + b"[]", b"<html>not found</html>"])
def test_a_wrong_header(header, checkpoint, out):
    directory = checkpoint()
    (directory / "model.safetensors").write_bytes(header)
    refused(directory, out, "model.safetensors", "broken", "again")


def test_a_shard_that_shrinks_while_it_is_read(checkpoint, out):
    directory = checkpoint(max_shard_size="20KB")
    shard = shard_of(directory)

    def cut(name, number, count):
        if number == 3:
            shard.write_bytes(shard.read_bytes()[:100])

    refused(directory, out, shard.name, "ends before the end of", progress=cut)


def test_pickles_only(checkpoint, out):
    directory = checkpoint()
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    refused(directory, out, "pytorch_model.bin", "pickle", "save_pretrained")


NEED_W = ["rlpo", "rlmo", "pissa", "olora_tail", "geora", "geora_random", "lora"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("method", NEED_W)
def test_weights_that_are_not_finite(value, method, changed, out):
    directory = changed(lambda W: W[2, 3].fill_(value))
    refused(directory, out, LAYER, "not finite", "repair", method=method)


@pytest.mark.parametrize("method", [m.name for m in STARTS if m.needs])
def test_a_matrix_of_zeros(method, changed, out):
    refused(changed(lambda W: W.zero_()), out, LAYER, "zero", "leave this layer out", method=method)


@pytest.mark.parametrize("method", [m.name for m in STARTS if not m.needs])
def test_starts_that_do_not_look_at_it_stand_a_matrix_of_zeros(method, changed, out):
    certificate = prepare(str(changed(lambda W: W.zero_())), method, out, r=4, cache=False)
    layer = next(layer for layer in certificate.layers if layer.name == LAYER)
    assert (layer.norm, layer.captured_energy, layer.start_error) == (0, 0, 0)


@pytest.mark.parametrize("method", ["rlpo", "rlmo", "milora", "olora"])
@pytest.mark.parametrize("solver", ["auto", "exact", "fast"])
def test_a_rank_that_a_matrix_does_not_have(method, solver, changed, out):
    directory = changed(lambda W: W[3:].zero_())
    refused(directory, out, LAYER, "(48, 32)", "only 3 positive", "at most 3", method=method, solver=solver)


def test_a_rank_larger_than_a_matrix(checkpoint, out):
    refused(checkpoint(), out, "k_proj", "(16, 32)", "rank 17", "at most 16", r=17)


SETTINGS = {
    "rho 0": ({"method": "geora", "options": {"rho": 0}}, ["rho", "above 0 and below 1"]),
    "rho 1": ({"method": "geora", "options": {"rho": "1"}}, ["rho", "above 0 and below 1"]),
    "rho -1": ({"method": "geora", "options": {"rho": -1.0}}, ["rho", "above 0 and below 1"]),
    "rho nan": ({"method": "geora", "options": {"rho": "nan"}}, ["rho", "above 0 and below 1"]),
    "rho of a method without": ({"method": "rlpo", "options": {"rho": 0.2}}, ["rlpo", "no option 'rho'"]),
    "sigma": ({"options": {"sigma": "half"}}, ["sigma", "divided"]),
    "alpha 0": ({"alpha": 0}, ["alpha = 0", "at least 1"]),
    "alpha -2": ({"alpha": -2}, ["alpha = -2", "at least 1"]),
    "rank 0": ({"r": 0}, ["rank r = 0", "at least 1"]),
    "rank 2.5": ({"r": 2.5}, ["rank r = 2.5", "give a whole number"]),
    "no targets": ({"target_modules": []}, ["select no layer", "all-linear"]),
    "targets that match nothing": ({"target_modules": ["qproj"]}, ["qproj", "q_proj"]),
    "a pattern that matches nothing": ({"target_modules": "none"}, ["none", "all-linear"]),
    "solver": ({"solver": "quick"}, ["quick", "exact"]),
    "method": ({"method": "pisa"}, ["pisa", "pissa"]),
    "type": ({"dtype": "int8"}, ["int8", "bfloat16"]),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_no_adapter_has(case, checkpoint, out):
    settings, words = SETTINGS[case]
    refused(checkpoint(), out, *words, **settings)


def test_a_tied_head(checkpoint, out):
    refused(checkpoint("qwen3-tied"), out, "lm_head", "embedding", "leave it out", target_modules=["lm_head"])


def test_a_place_that_is_taken(checkpoint, tmp_path):
    out = tmp_path / "adapter"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    for force, words in ((False, "already exists"), (True, "not written by Stiefel")):
        with pytest.raises(UserError, match=words):
            prepare(str(checkpoint()), "lora", out, r=2, force=force)
        assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    assert leftovers(out) == ["adapter"]


def test_force_replaces_an_adapter_by_an_adapter(checkpoint, out):
    directory = str(checkpoint())
    prepare(directory, "pissa", out, r=2, cache=False)
    prepare(directory, "lora", out, r=2, force=True)
    assert not (out / "anchors.safetensors").exists()
    assert json.loads((out / "stiefel.json").read_text())["method"] == "lora"
    assert leftovers(out) == ["adapter"]


def test_a_replacement_that_fails_leaves_the_adapter_that_was_there(changed, out):
    directory = changed(lambda W: W[3:].zero_())
    prepare(str(directory), "lora", out, r=4, cache=False)
    before = (out / "stiefel.json").read_bytes()
    with pytest.raises(UserError, match="only 3 positive"):
        prepare(str(directory), "pissa", out, r=4, cache=False, force=True)
    assert (out / "stiefel.json").read_bytes() == before
    assert leftovers(out) == ["adapter"]


def test_a_disk_with_too_little_space(checkpoint, out, monkeypatch):
    monkeypatch.setattr(stiefel.model.tensorfile.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    refused(checkpoint(), out, "adapter_model.safetensors", "10 are free", "free some space")


class FullAfter(io.FileIO):
    """A file on a disk that fills up."""

    room = 0

    def write(self, data):
        if FullAfter.room < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        FullAfter.room -= len(data)
        return super().write(data)


@pytest.mark.parametrize("room", [0, 5_000, 20_000, 40_000])
def test_a_disk_that_fills_up(room, checkpoint, out, monkeypatch):
    original = stiefel.model.tensorfile.Path.open
    monkeypatch.setattr(FullAfter, "room", room)

    def opened(path, mode="r", **how):
        return FullAfter(path, "wb") if mode == "wb" else original(path, mode, **how)

    directory = checkpoint()
    monkeypatch.setattr(stiefel.model.tensorfile.Path, "open", opened)
    refused(directory, out, "safetensors", "No space left on device", "free some space")


@pytest.mark.parametrize("method", ["lora", "pissa"])
def test_a_flush_that_fails(method, checkpoint, out, monkeypatch):
    def failing(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    directory = checkpoint()
    monkeypatch.setattr(stiefel.model.tensorfile.os, "fsync", failing)
    refused(directory, out, "safetensors", "Input/output error", method=method)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
def test_an_interruption_inside_a_method(error, checkpoint, out, monkeypatch):
    record = next(method for method in STARTS if method.name == "pissa")
    calls = []

    def interrupted(layer):
        calls.append(layer.name)
        if len(calls) == 5:
            raise error
        return record.factors(layer)

    broken = Composition(dataclasses.replace(record, factors=interrupted))
    monkeypatch.setattr(stiefel.adapter.streamed, "compose", lambda name: broken)
    with pytest.raises(error):
        prepare(str(checkpoint()), "pissa", out, r=4, cache=False)
    assert leftovers(out) == []


def test_an_interruption_in_the_last_moment(checkpoint, out, monkeypatch):
    def interrupted(path, value):
        raise KeyboardInterrupt

    monkeypatch.setattr(stiefel.adapter.streamed, "write_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(str(checkpoint()), "pissa", out, r=4, cache=False)
    assert leftovers(out) == []


def test_the_base_is_left_as_it_was(checkpoint, out):
    directory = checkpoint(max_shard_size="20KB")
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    prepare(str(directory), "geora", out, r=4, cache=False)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_a_matrix_that_is_not_a_target_may_be_anything(checkpoint, out):
    directory = checkpoint()
    tensors = load_file(directory / "model.safetensors")
    tensors["lm_head.weight"].fill_(float("nan"))
    tensors["model.norm.weight"] = torch.zeros(32, dtype=torch.int8)
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    prepare(str(directory), "rlpo", out, r=4, cache=False)
