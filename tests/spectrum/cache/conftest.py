"""A cache in a directory of its own, a matrix whose spectrum is cached, and a count of what is solved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import stiefel.spectrum.triplets
from stiefel.model.weights import fingerprint
from stiefel.spectrum.cache import SpectrumCache
from stiefel.spectrum.triplets import Spectrum


@pytest.fixture
def cache(tmp_path: Path) -> SpectrumCache:
    return SpectrumCache(tmp_path / "spectra")


@pytest.fixture(scope="session")
def W() -> Tensor:
    """(200, 160): above the size from which a spectrum is worth its file."""
    return torch.randn(200, 160, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="session")
def spectrum_of() -> Callable[..., Spectrum]:
    """spectrum_of(W, cache, solver, converge): as a layer makes it."""

    def make(W: Tensor, cache: SpectrumCache | None, solver="auto", converge="energy") -> Spectrum:
        return Spectrum("layer", tuple(W.shape), lambda: W, lambda: fingerprint(W), solver, converge, cache)

    return make


@pytest.fixture
def solves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the solvers, in the order in which they are called from now on."""
    called: list[str] = []

    def counted(name: str) -> None:
        original = vars(stiefel.spectrum.triplets)[name]

        def call(*args: object, **options: object) -> object:
            called.append(name)
            return original(*args, **options)

        monkeypatch.setattr(stiefel.spectrum.triplets, name, call)

    for name in ("top_triplets", "product_triplets", "bottom_triplets", "exact_svd"):
        counted(name)
    return called


@pytest.fixture(scope="session")
def same() -> Callable[..., bool]:
    """same(one, other): the same bits."""
    return lambda one, other: all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
