"""The streaming writer's files are those of safetensors, and a full disk is said to be one."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stiefel import UserError
from stiefel.artifacts import whole_directory
from stiefel.model.tensorfile import PT, TensorFile, read_header, read_tensor


def tensors_of(shapes):
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write(path, tensors, metadata=PT):
    with TensorFile(path, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, metadata) as file:
        for name, tensor in tensors.items():
            file.write(name, tensor)


ADAPTER = {
    f"base_model.model.model.layers.{layer}.{module}.lora_{side}.weight": shape
    for layer in range(12)  # so that "10" goes before "2", as safetensors sorts
    for module in ("self_attn.q_proj", "mlp.up_proj")
    for side, shape in (("A", (4, 32)), ("B", (48, 4)))
}


@pytest.mark.parametrize("metadata", [PT, {}], ids=["format", "no metadata"])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_bytes_are_those_of_save_file_in_any_order(metadata, backwards, tmp_path):
    tensors = tensors_of(ADAPTER)
    save_file(tensors, tmp_path / "theirs", dict(metadata) or None)
    write(tmp_path / "ours", dict(reversed(tensors.items())) if backwards else tensors, metadata)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@settings(max_examples=40, deadline=None)
@given(
    shapes=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
            lambda name: name != "__metadata__"
        ),
        st.lists(st.integers(0, 5), max_size=3).map(tuple),
        max_size=6,
    )
)
def test_any_names_and_shapes_come_back(shapes, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "file"
    tensors = tensors_of(shapes)
    write(path, tensors)
    loaded = load_file(path)
    assert loaded.keys() == tensors.keys()
    entries = read_header(path)
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor)
        assert torch.equal(read_tensor(entries[name]), tensor)


def test_the_header_is_aligned_and_names_the_format(tmp_path):
    for length in range(1, 9):
        write(tmp_path / "file", {"x" * length: torch.ones(3)})
        assert int.from_bytes((tmp_path / "file").read_bytes()[:8], "little") % 8 == 0
        with safe_open(tmp_path / "file", "pt") as file:
            assert file.metadata() == {"format": "pt"}


def test_views_and_parameters_are_written_as_their_values(tmp_path):
    tensors = tensors_of({"a": (6, 4)})
    write(tmp_path / "file", {"t": tensors["a"].T, "s": tensors["a"][::2], "p": torch.nn.Parameter(tensors["a"])})
    loaded = load_file(tmp_path / "file")
    assert torch.equal(loaded["t"], tensors["a"].T)
    assert torch.equal(loaded["s"], tensors["a"][::2])
    assert torch.equal(loaded["p"], tensors["a"])


WRONG = {
    "unknown": lambda file: file.write("b", torch.ones(2)),
    "twice": lambda file: (file.write("a", torch.ones(2)), file.write("a", torch.ones(2))),
    "shape": lambda file: file.write("a", torch.ones(1, 2)),
    "type": lambda file: file.write("a", torch.ones(2, dtype=torch.bfloat16)),
    "incomplete": lambda file: None,
}


@pytest.mark.parametrize("case", WRONG)
def test_what_was_not_announced_is_our_own_mistake(case, tmp_path):
    with pytest.raises(AssertionError), TensorFile(tmp_path / "file", {"a": (2,)}) as file:
        WRONG[case](file)


def fill(path, then):
    """Write one of two tensors into a directory, then something else."""
    with whole_directory(path) as building, TensorFile(building / "file", {"a": (2,), "b": (2,)}) as file:
        file.write("a", torch.ones(2))
        then(file)


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_failure_of_the_work_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fill(tmp_path / "out", lambda file: 1 / 0)
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
    file = TensorFile(tmp_path / "file", {"a": (100, 100)})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000))
    with pytest.raises(UserError, match=r"it needs 40\d\d\d bytes, and 10000 are free"):
        file.__enter__()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk():
    file = TensorFile(Path("/dev/full"), {"a": (2,)})
    with pytest.raises(UserError, match=os.strerror(errno.ENOSPC)):
        file.__enter__()


def test_a_disk_that_is_full_in_the_middle(tmp_path):
    class FullFile:
        seek = write = staticmethod(full)

    def switch(file):
        file.file = FullFile()
        file.write("b", torch.ones(2))

    with pytest.raises(UserError, match=os.strerror(errno.ENOSPC)):
        fill(tmp_path / "out", switch)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_at_the_end(tmp_path, monkeypatch):
    def last(file):
        file.write("b", torch.ones(2))
        monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(UserError, match=os.strerror(errno.ENOSPC)):
        fill(tmp_path / "out", last)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken(tmp_path):
    (tmp_path / "file").mkdir()
    file = TensorFile(tmp_path / "file", {"a": (2,)})
    with pytest.raises(UserError, match=os.strerror(errno.EISDIR)):
        file.__enter__()
