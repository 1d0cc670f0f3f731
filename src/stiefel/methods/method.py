"""What a method is: a function from a layer to factors, and a record of what it claims."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ..errors import UserError, nearest
from ..spectrum import Spectrum
from .papers import Paper

Side = Literal["top", "bottom"]


@dataclass(frozen=True)
class Factors:
    """The start of an adapter, float32: A₀ (r, in) and B₀ (out, r); B₀ ≠ 0 makes the adapter anchored."""

    A: Tensor
    B: Tensor


@dataclass(frozen=True)
class Layer:
    """One target matrix as a method sees it: W (out, in), rank r, scaling s = alpha/r, and a seed of its own."""

    name: str
    W: Tensor
    rank: int
    scaling: float
    seed: int
    options: Mapping[str, str]
    spectrum: Spectrum = field(init=False)

    def __post_init__(self) -> None:
        if self.rank > min(self.W.shape):
            raise UserError(
                f"rank {self.rank} is larger than {self.name} {tuple(self.W.shape)} allows",
                f"a matrix of this shape has at most {min(self.W.shape)} singular directions",
                f"use a rank of at most {min(self.W.shape)}, or leave this layer out of the targets",
            )
        if not torch.isfinite(self.W).all():
            raise UserError(
                f"{self.name} holds values that are not finite",
                "neither its singular vectors nor its norm are defined",
                "repair the checkpoint, or leave this layer out of the targets",
            )
        object.__setattr__(self, "spectrum", Spectrum(self.name, self.W))

    @property
    def out_features(self) -> int:
        """m, the rows of W."""
        return self.W.shape[0]

    @property
    def in_features(self) -> int:
        """n, the columns of W."""
        return self.W.shape[1]

    def generator(self) -> torch.Generator:
        """A CPU generator that depends on the seed and the layer's name alone, not on the order of layers."""
        digest = hashlib.sha256(f"{self.seed}:{self.name}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)

    def zero_b(self) -> Tensor:
        """B = 0 (out, r)."""
        return torch.zeros(self.out_features, self.rank, dtype=torch.float32)


@dataclass(frozen=True)
class Claims:
    """What a method promises of its start; a test measures every promise on every method."""

    base_unchanged: bool = True  # the frozen weights stay the checkpoint's, and the start is exactly its policy
    a_orthonormal: bool = False  # A₀A₀ᵀ = I
    a_row_norm: float | None = None  # root mean square row norm of A₀, where it is neither 1 by construction nor W's
    b_zero: bool = False  # B₀ = 0: an ordinary LoRA; otherwise the adapter is anchored
    subspace: Side | None = None  # A₀'s rows span W's leading or trailing right singular subspace
    start: Side | None = None  # with sigma = "divided", s·B₀A₀ is exactly this part of W
    seeded: bool = False  # A₀ depends on the seed


@dataclass(frozen=True)
class Option:
    """A setting of a method: its allowed values (the first is the default) and what it chooses."""

    values: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Method:
    """One adapter method: everything that the command line, the tables and the tests need to know of it."""

    name: str
    kind: Literal["factors"]
    definition: str
    paper: Paper
    claims: Claims
    needs: Side | None
    options: Mapping[str, Option]
    factors: Callable[[Layer], Factors]

    @property
    def anchored(self) -> bool:
        """True where B₀A₀ ≠ 0, so that W + s(BA − B₀A₀) is trained."""
        return not self.claims.b_zero

    def resolve_options(self, given: Mapping[str, str]) -> dict[str, str]:
        """The method's options with their defaults filled in; an unknown name or value raises."""
        for name, value in given.items():
            if name not in self.options:
                raise UserError(
                    f"method {self.name} has no option {name!r}",
                    "an option that is not used would be dropped in silence",
                    nearest(name, self.options) if self.options else f"{self.name} takes no options: remove it",
                )
            if value not in self.options[name].values:
                raise UserError(
                    f"{name} = {value!r} is not a value of {self.name}'s option {name}",
                    self.options[name].meaning,
                    nearest(str(value), self.options[name].values),
                )
        return {name: given.get(name, option.values[0]) for name, option in self.options.items()}


def method(
    *,
    paper: Paper,
    claims: Claims,
    needs: Side | None = None,
    options: Mapping[str, Option] | None = None,
) -> Callable[[Callable[[Layer], Factors]], Method]:
    """Turn a function from a layer to its factors into a record; the docstring's first line is the definition."""

    def record(function: Callable[[Layer], Factors]) -> Method:
        definition = inspect.getdoc(function)
        assert definition is not None, f"{function.__name__} has no docstring"
        return Method(
            name=function.__name__,
            kind="factors",
            definition=definition.splitlines()[0],
            paper=paper,
            claims=claims,
            needs=needs,
            options=options or {},
            factors=function,
        )

    return record
