"""A broken entry is solved again, a directory that cannot be used costs time alone."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import stiefel.spectrum.cache
from stiefel.spectrum.cache import SpectrumCache


def rewrite(path, change, keep_words=True):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        words = file.metadata()
    tensors = load_file(path)
    change(tensors, words)
    save_file(tensors, path, words if keep_words else None)


def flip(path, place, bit=0):
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


def swap_for_a_directory(path):
    path.unlink()
    path.mkdir()
    (path / "something").write_text("")


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated in the numbers": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "truncated in the header": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "garbage": lambda path: path.write_bytes(os.urandom(4096)),
    "text": lambda path: path.write_text("<html>"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "lowest bit of the last number": lambda path: flip(path, -4),
    "sign of the last number": lambda path: flip(path, -1, 7),
    "no metadata": lambda path: rewrite(path, lambda tensors, words: None, keep_words=False),
    "no norm": lambda path: rewrite(path, lambda tensors, words: words.pop("norm")),
    "no check": lambda path: rewrite(path, lambda tensors, words: words.pop("check")),
    "another norm": lambda path: rewrite(path, lambda tensors, words: words.update(norm="17.0")),
    "another solver": lambda path: rewrite(path, lambda tensors, words: words.update(solver="none")),
    "another residual": lambda path: rewrite(path, lambda tensors, words: words.update(residual="0.5")),
    "a word for a norm": lambda path: rewrite(path, lambda tensors, words: words.update(norm="large")),
    "a factor missing": lambda path: rewrite(path, lambda tensors, words: tensors.pop("Vh")),
    "a factor reshaped": lambda path: rewrite(
        path, lambda tensors, words: tensors.update(Vh=tensors["Vh"].reshape(-1, 6))
    ),
    "a factor of another type": lambda path: rewrite(
        path, lambda tensors, words: tensors.update(S=tensors["S"].double())
    ),
    "a directory": swap_for_a_directory,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_broken_entry_is_solved_again(damage, W, cache, spectrum_of, solves, same):
    first = spectrum_of(W, cache).top(6)
    count = len(solves)
    (path,) = cache.entries()
    DAMAGE[damage](path)
    assert same(spectrum_of(W, cache).top(6), first)
    assert len(solves) == 2 * count, "it must not be read"
    assert same(spectrum_of(W, cache).top(6), first)
    assert len(solves) == 2 * count, "it must be whole again"
    assert [path.is_file() for path in cache.entries()] == [True]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_broken_entry_can_be_cleared(damage, W, cache, spectrum_of):
    spectrum_of(W, cache).top(6)
    DAMAGE[damage](cache.entries()[0])
    assert cache.clear() == 1
    assert not list(cache.directory.iterdir())


@pytest.mark.parametrize("place", ["a file", "below a file", "below a broken link"])
def test_a_place_that_is_no_directory_costs_time_alone(place, W, spectrum_of, tmp_path, same):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "at all")
    directory = {"a file": "file", "below a file": "file/spectra", "below a broken link": "link/spectra"}[place]
    cache = SpectrumCache(tmp_path / directory)
    expected = spectrum_of(W, None).top(6)
    for _ in range(2):
        assert same(spectrum_of(W, cache).top(6), expected)
    assert (tmp_path / "file").read_text() == "mine"
    assert cache.clear() == 0


def refuse(*args, **kwargs):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.fixture
def read_only(monkeypatch):
    """As the kernel answers where the directory is another user's, which a test run by root cannot have."""

    def make() -> None:
        monkeypatch.setattr(os, "utime", refuse)
        monkeypatch.setattr(shutil, "rmtree", refuse)
        monkeypatch.setattr(stiefel.spectrum.cache.tempfile, "TemporaryDirectory", refuse)
        for name in ("unlink", "mkdir", "replace"):
            monkeypatch.setattr(Path, name, refuse)

    return make


def test_a_read_only_directory_is_read(W, cache, spectrum_of, solves, same, read_only):
    first = spectrum_of(W, cache).top(6)
    count = len(solves)
    read_only()
    assert same(spectrum_of(W, cache).top(6), first)
    assert len(solves) == count


@pytest.mark.parametrize("damage", ["empty", "garbage", "lowest bit of the last number", "a directory"])
def test_a_broken_entry_that_cannot_be_removed(damage, W, cache, spectrum_of, same, read_only):
    first = spectrum_of(W, cache).top(6)
    DAMAGE[damage](cache.entries()[0])
    read_only()
    assert same(spectrum_of(W, cache).top(6), first)


def test_nothing_is_kept_where_nothing_can_be_written(W, cache, spectrum_of, solves, same, read_only):
    read_only()
    first = spectrum_of(W, cache).top(6)
    count = len(solves)
    assert same(spectrum_of(W, cache).top(6), first)
    assert len(solves) == 2 * count
    assert not cache.directory.exists()


def test_a_full_disk_costs_the_entry_alone(W, cache, spectrum_of, same, monkeypatch):
    def full(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stiefel.spectrum.cache, "save_file", full)
    assert same(spectrum_of(W, cache).top(6), spectrum_of(W, None).top(6))
    assert not list(cache.directory.iterdir())


def test_an_interrupted_write_leaves_no_entry(W, cache, spectrum_of, monkeypatch):
    def interrupted(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(stiefel.spectrum.cache, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spectrum_of(W, cache).top(6)
    assert not list(cache.directory.iterdir())


def test_an_unsolvable_matrix_leaves_no_entry(cache, spectrum_of):
    from stiefel import UserError

    with pytest.raises(UserError):
        spectrum_of(torch.zeros(200, 160), cache).top(6)
    assert not cache.entries()
