"""What a method sees of one target matrix, and what it makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..cache import SpectrumCache
from ..errors import UserError
from ..solver import Converge
from ..spectrum import Solver, Spectrum
from ..weights import fingerprint
from .option import Value


@dataclass(frozen=True)
class Factors:
    """The start of an adapter, float32: A₀ (r, in) and B₀ (out, r); B₀ ≠ 0 makes the adapter anchored."""

    A: Tensor
    B: Tensor
    statistics: Mapping[str, float] = field(default_factory=dict)  # what else is worth knowing of how they were made


@dataclass(frozen=True)
class Layer:
    """One target matrix as a method sees it: W (out, in), rank r, scaling s = alpha/r, and a seed of its own.

    `base` is W in the checkpoint's type; `W` is made of it when a method or the solver first needs the numbers, which
    a spectrum from the cache does not.
    """

    name: str
    base: Tensor
    rank: int
    scaling: float
    seed: int
    options: Mapping[str, Value]  # as `Method.resolve_options` returns them
    solver: Solver = "auto"
    cache: SpectrumCache | None = None
    spectra: dict[str, Spectrum] = field(default_factory=dict, init=False)  # by the name of their matrix

    def __post_init__(self) -> None:
        require_rank(self.name, self.shape, self.rank)

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in)."""
        out_features, in_features = self.base.shape
        return out_features, in_features

    @property
    def out_features(self) -> int:
        """m, the rows of W."""
        return self.shape[0]

    @property
    def in_features(self) -> int:
        """n, the columns of W."""
        return self.shape[1]

    @cached_property
    def W(self) -> Tensor:
        """The matrix in float32; raises UserError where a value is not finite."""
        W = self.base.detach().to(torch.float32)
        if not torch.isfinite(W).all():
            raise UserError(
                f"{self.name} holds values that are not finite",
                "neither its singular vectors nor its norm are defined",
                "repair the checkpoint, or leave this layer out of the targets",
            )
        return W

    @cached_property
    def digest(self) -> str:
        """The fingerprint of the matrix."""
        return fingerprint(self.base)

    @cached_property
    def spectrum(self) -> Spectrum:
        """W's singular triplets."""
        found = Spectrum(self.name, self.shape, lambda: self.W, lambda: self.digest, self.solver, cache=self.cache)
        self.spectra["W"] = found
        return found

    def derived_spectrum(self, label: str, W: Tensor, converge: Converge = "product") -> Spectrum:
        """The spectrum of a matrix made from this layer's, which errors name by the layer and `label`.

        Such a matrix can be nearly flat, where energy says little: the product of its factors is converged.
        """
        name = f"{self.name} ({label})"
        found = Spectrum(name, self.shape, lambda: W, lambda: fingerprint(W), self.solver, converge, self.cache)
        self.spectra[label] = found
        return found

    def choice(self, option: str) -> str:
        """The value of a `Choice`."""
        value = self.options[option]
        assert isinstance(value, str)
        return value

    def fraction(self, option: str) -> float:
        """The value of a `Fraction`."""
        value = self.options[option]
        assert isinstance(value, float)
        return value

    def generator(self) -> torch.Generator:
        """A CPU generator that depends on the seed and the layer's name alone, not on the order of layers."""
        digest = hashlib.sha256(f"{self.seed}:{self.name}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)

    def zero_b(self) -> Tensor:
        """B = 0 (out, r)."""
        return torch.zeros(self.out_features, self.rank, dtype=torch.float32)


def require_rank(name: str, shape: tuple[int, int], rank: int) -> None:
    """Raise for a rank that a matrix of this shape cannot have."""
    if rank > min(shape):
        raise UserError(
            f"rank {rank} is larger than {name} {shape} allows",
            f"a matrix of this shape has at most {min(shape)} singular directions",
            f"use a rank of at most {min(shape)}, or leave this layer out of the targets",
        )
