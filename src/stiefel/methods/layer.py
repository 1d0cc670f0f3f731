"""What a method sees of one target matrix, and what it makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..errors import UserError
from ..model import fingerprint
from ..spectrum import Converge, Solver, Spectrum, SpectrumCache
from .option import Value


@dataclass(frozen=True)
class Factors:
    """The start of an adapter, float32: A₀ (r, in) and B₀ (out, r); B₀ ≠ 0 makes the adapter anchored."""

    A: Tensor
    B: Tensor
    statistics: Mapping[str, float] = field(default_factory=dict)  # what else is worth knowing of how they were made


Notes = Mapping[str, float]
ALIGNMENT = 64  # bytes, of what torch allocates


class Matrix:
    """A named matrix in some type: its float32 values and its fingerprint, each made when it is first needed."""

    def __init__(self, name: str, base: Tensor) -> None:
        self.name, self.base = name, base

    @cached_property
    def W(self) -> Tensor:
        """The values in float32; raises UserError where one is not finite."""
        W = self.base.detach().to(torch.float32)
        low, high = torch.aminmax(W)  # of NaN where there is one; no temporary of W's size
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise UserError(
                f"{self.name} holds values that are not finite",
                "neither its singular vectors nor its norm are defined",
                "repair the checkpoint, or leave this layer out of the targets",
            )
        if W.data_ptr() % ALIGNMENT:  # BLAS rounds by alignment: loaded and streamed weights must give the same bits
            W = W.clone()
        return W

    @cached_property
    def digest(self) -> str:
        """The fingerprint."""
        return fingerprint(self.base)

    def release(self) -> None:
        """Drop the float32 copy, where there is one; it is made again when it is needed."""
        vars(self).pop("W", None)


class Derived:
    """A matrix made from a layer's when it is first needed, and what was noted of that."""

    def __init__(self, name: str, make: Callable[[], tuple[Tensor, Notes]]) -> None:
        self.name, self._make = name, make

    @cached_property
    def _made(self) -> tuple[Matrix, Notes]:
        W, notes = self._make()
        return Matrix(self.name, W), notes

    @property
    def W(self) -> Tensor:
        """The values in float32."""
        return self._made[0].W

    @property
    def notes(self) -> Notes:
        """What `make` noted."""
        return self._made[1]


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
    def matrix(self) -> Matrix:
        """The matrix, apart from the layer, so that a spectrum does not keep the layer alive."""
        return Matrix(self.name, self.base)

    @property
    def W(self) -> Tensor:
        """The matrix in float32; raises UserError where a value is not finite."""
        return self.matrix.W

    @property
    def digest(self) -> str:
        """The fingerprint of the matrix."""
        return self.matrix.digest

    @cached_property
    def spectrum(self) -> Spectrum:
        """W's singular triplets."""
        found = self._spectrum(self.matrix, "energy")
        self.spectra["W"] = found
        return found

    def product_spectrum(self, converge: Converge, solver: Solver | None = None) -> Spectrum:
        """W's singular triplets, whose product U diag(S) Vh is converged and not only their energy.

        By a solver other than the layer's own where one is named.
        """
        return self._spectrum(self.matrix, converge, solver)

    def derived_spectrum(self, label: str, settings: str, make: Callable[[], tuple[Tensor, Notes]]) -> Spectrum:
        """The spectrum of a matrix that `make` makes from this layer's, which errors name by the layer and `label`.

        `make` also returns what is to be known of the making (the spectrum's `notes`); it is called where the triplets
        are not in the cache, which knows them by W and the `settings`: all else that the matrix depends on. Such a
        matrix can be nearly flat, where energy says little: the product of its factors is converged.
        """
        matrix = Derived(f"{self.name} ({label})", make)
        found = Spectrum(
            matrix.name,
            self.shape,
            lambda: matrix.W,
            lambda: f"{self.digest}-{label}-{settings}",
            self.solver,
            "product",
            self.cache,
            self.base.device,
            notes=lambda: matrix.notes,
        )
        self.spectra[label] = found
        return found

    def _spectrum(self, matrix: Matrix, converge: Converge, solver: Solver | None = None) -> Spectrum:
        return Spectrum(
            matrix.name,
            self.shape,
            lambda: matrix.W,
            lambda: matrix.digest,
            solver or self.solver,
            converge,
            self.cache,
            self.base.device,
        )

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
