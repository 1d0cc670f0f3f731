"""One thread for a step, torch's own number for pieces: never the user's setting changed, never other bits."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from stiefel.adapter.start import make_settings, start_of
from stiefel.methods import compose
from stiefel.spectrum.linalg import exact_svd
from stiefel.spectrum.threads import all_threads, each, one_thread
from stiefel.spectrum.triplets import LARGE, Spectrum

METHODS = ["rlpo", "rlmo", "pissa", "geora", "geora_tail", "random_orthonormal"]


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def W() -> torch.Tensor:
    """Large enough for every kind of piece: more than 2²¹ entries, and more columns than LAPACK takes at once."""
    generator = torch.Generator().manual_seed(0)
    decay = torch.arange(1, 1101) ** -0.5
    return torch.randn(2100, 1100, generator=generator) * decay


@pytest.fixture(scope="module")
def alone(W: torch.Tensor) -> dict[str, tuple]:
    """Every method's start on one thread."""
    torch.set_num_threads(1)
    return {method: figures(method, W) for method in METHODS}


def figures(method: str, W: torch.Tensor) -> tuple:
    factors, certificate = start_of("layer", W, make_settings(compose(method), 8, 16, 0, "auto", {}, cache=False))
    numbers = {name: value for name, value in vars(certificate).items() if name not in ("seconds", "peak_memory_bytes")}
    return factors.A, factors.B, numbers


@pytest.mark.parametrize("method", METHODS)
def test_a_start_has_the_same_bytes_on_any_number_of_threads(method, threads, W, alone):
    A, B, numbers = figures(method, W)
    assert torch.equal(A, alone[method][0])
    assert torch.equal(B, alone[method][1])
    assert numbers == alone[method][2]
    assert torch.get_num_threads() == threads


def test_one_thread_inside_and_as_before_after(threads):
    with one_thread():
        assert torch.get_num_threads() == 1
        with one_thread(), all_threads():
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads
    with all_threads():
        assert torch.get_num_threads() == threads


def test_an_error_leaves_the_setting_as_it_was(threads):
    for block in (one_thread, all_threads):
        with pytest.raises(ZeroDivisionError), one_thread(), block():
            raise ZeroDivisionError
        assert torch.get_num_threads() == threads


def test_pieces_come_in_order_and_on_that_many_threads(threads):
    gate = threading.Barrier(threads)  # which opens only if so many work at once
    with one_thread():
        found = each(lambda part: (part, gate.wait(60) >= 0, torch.get_num_threads()), range(6 * threads))
        names = set(each(lambda part: threading.current_thread().name, [1, 2, 3], pays=False))
    assert found == [(part, True, 1) for part in range(6 * threads)]
    assert names == {threading.current_thread().name}
    assert each(lambda part: part + 1, [1, 2]) == [2, 3], "outside a block too"


@pytest.mark.parametrize(("side", "expected"), [(LARGE, 1), (LARGE + 1, None)])
def test_lapack_gets_all_threads_for_what_is_large_alone(side, expected, threads, monkeypatch):
    seen = []

    def noted(W):
        seen.append(torch.get_num_threads())
        return exact_svd(W[:8, :8])

    monkeypatch.setattr("stiefel.spectrum.triplets.exact_svd", noted)
    spectrum = Spectrum("layer", (side, side), lambda: torch.eye(8), lambda: "none", "exact")
    assert len(spectrum.full.S) == 8
    assert seen == [expected or threads]
    assert torch.get_num_threads() == threads
