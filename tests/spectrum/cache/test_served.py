"""What the cache serves is what was solved, to the bit, and nothing that was solved for another question."""

from __future__ import annotations

import os

import pytest
import torch

import stiefel.spectrum.cache
from stiefel import attach
from stiefel.spectrum.cache import SpectrumCache, default_directory

SIDES = ["top", "bottom"]


def ask(spectrum, side, r):
    return spectrum.top(r) if side == "top" else spectrum.bottom(r)


@pytest.mark.parametrize("solver", ["auto", "exact", "fast"])
@pytest.mark.parametrize("side", SIDES)
def test_warm_is_cold_to_the_bit(side, solver, W, cache, spectrum_of, solves, same):
    cold = spectrum_of(W, cache, solver)
    first = ask(cold, side, 12)
    count = len(solves)
    assert count > 0
    warm = spectrum_of(W, cache, solver)
    warm.matrix = lambda: pytest.fail("the matrix was needed")
    assert same(ask(warm, side, 12), first)
    assert len(solves) == count
    known, again = cold.solved[side], warm.solved[side]
    assert (known.norm, known.solver, known.residual) == (again.norm, again.solver, again.residual)
    assert known.angle == again.angle


@pytest.mark.parametrize("solver", ["auto", "exact"])
@pytest.mark.parametrize("converge", ["energy", "product", "mask"])
@pytest.mark.parametrize("side", SIDES)
def test_every_history_gives_the_same_bytes(side, converge, solver, W, cache, spectrum_of, same):
    """A start is a function of the weights and the settings alone, whatever else was asked of them before."""
    ranks = (5, 9, 5, 3, 9)
    cold = {r: spectrum_of(W, None, solver, converge) for r in ranks}
    fresh = {r: ask(spectrum, side, r) for r, spectrum in cold.items()}
    for r in ranks:
        warm = spectrum_of(W, cache, solver, converge)
        assert same(ask(warm, side, r), fresh[r])
        assert vars(warm.solved[side]).keys() == vars(cold[r].solved[side]).keys()
        for name, value in vars(cold[r].solved[side]).items():
            assert name == "triplets" or vars(warm.solved[side])[name] == value
    assert len(cache.entries()) == 3, "one a rank"


@pytest.mark.parametrize("side", SIDES)
def test_what_was_solved_whole_does_not_change_what_is_kept(side, W, cache, spectrum_of, same):
    """As `inspect` asks: all triplets first, which must not be served to a start that would not have asked for them."""
    fresh = ask(spectrum_of(W, None), side, 6)
    curious = spectrum_of(W, cache)
    assert len(curious.full.S) == 160
    assert same(ask(curious, side, 6), fresh)
    assert same(ask(spectrum_of(W, cache), side, 6), fresh)


@pytest.mark.parametrize("side", SIDES)
def test_every_rank_is_solved_once(side, W, cache, spectrum_of, solves):
    for r, solved in ((5, True), (5, False), (9, True), (5, False), (9, False)):
        count = len(solves)
        assert len(ask(spectrum_of(W, cache), side, r).S) == r
        assert (len(solves) > count) == solved


def test_questions_are_told_apart(W, cache, spectrum_of, solves, monkeypatch):
    other = W.clone()
    other.view(torch.int32)[0, 0] ^= 1
    questions = [
        (matrix, side, solver, converge)
        for matrix in (W, other, W.T.contiguous(), torch.cat([W, W]))
        for side in SIDES
        for solver in ("auto", "exact")
        for converge in ("energy",)
    ]
    for number, (matrix, side, solver, converge) in enumerate(questions, start=1):
        count = len(solves)
        ask(spectrum_of(matrix, cache, solver, converge), side, 6)
        assert len(solves) > count
        assert len(cache.entries()) == number
    monkeypatch.setattr(stiefel.spectrum.cache, "VERSION", "another")
    count = len(solves)
    ask(spectrum_of(W, cache), "top", 6)
    assert len(solves) > count


def test_a_converged_product_is_another_question(W, cache, spectrum_of, solves):
    spectrum_of(W, cache).top(4)
    count = len(solves)
    spectrum_of(W, cache, converge="product").top(4)
    assert len(solves) > count
    assert len(cache.entries()) == 2


def test_two_bases_of_the_same_values_share_an_entry(W, cache, spectrum_of, solves, same):
    """A bfloat16 checkpoint, loaded as such or as float32."""
    rounded = W.to(torch.bfloat16)
    first = spectrum_of(rounded.float(), cache).top(6)
    count = len(solves)
    spectrum = spectrum_of(W, cache)
    spectrum.digest = lambda: stiefel.model.weights.fingerprint(rounded)
    assert same(spectrum.top(6), first)
    assert len(solves) == count


def test_matrices_that_are_quicker_to_solve_are_not_kept(W, cache, spectrum_of):
    spectrum_of(W[:, :128].contiguous(), cache).top(6)
    assert not cache.entries()


def test_the_place_is_the_one_that_the_environment_names(tmp_path, monkeypatch, make_model):
    place = tmp_path / "named"
    monkeypatch.setenv("STIEFEL_CACHE", str(place))
    assert default_directory() == place
    sizes = {"hidden_size": 160, "intermediate_size": 200, "head_dim": 80, "num_hidden_layers": 1}
    attach(make_model(**sizes), "rlpo", r=4, cache=False)
    assert not place.exists()
    attach(make_model(**sizes), "rlpo", r=4)
    assert SpectrumCache().entries()
    assert {path.parent for path in SpectrumCache().entries()} == {place}


def test_the_place_is_the_users_cache_where_none_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("STIEFEL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_directory().is_relative_to(tmp_path)
    assert not list(tmp_path.iterdir()), "asking where it is makes nothing"


def test_clear_removes_every_entry_and_nothing_else(W, cache, spectrum_of):
    for r, side in ((4, "top"), (4, "bottom")):
        ask(spectrum_of(W, cache), side, r)
    (cache.directory / "notes.txt").write_text("mine")
    assert cache.clear() == 2
    assert os.listdir(cache.directory) == ["notes.txt"]  # noqa: PTH208
    assert cache.clear() == 0


def test_a_cache_that_was_never_used_is_empty(cache):
    assert cache.entries() == []
    assert cache.clear() == 0
    assert not cache.directory.exists()
