"""What a method is: a function from a layer to factors, and a record of what it claims."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import UserError, nearest
from .layer import Factors, Layer
from .option import Option, Value
from .papers import Paper

Part = Literal["top", "bottom", "random"]
Triplets = Literal["top", "bottom", "all"]


@dataclass(frozen=True)
class Claims:
    """What a method promises of its start; a test measures every promise on every method."""

    base_unchanged: bool = True  # the frozen weights stay the checkpoint's, and the start is exactly its policy
    a_orthonormal: bool = False  # A₀A₀ᵀ = I
    b_orthonormal: bool = False  # B₀ᵀB₀ = I
    a_row_norm: float | None = None  # root mean square row norm of A₀, where it is neither 1 by construction nor W's
    b_zero: bool = False  # B₀ = 0: an ordinary LoRA; otherwise the adapter is anchored
    subspace: Part | None = None  # A₀'s rows (and B₀'s columns) span these right (left) singular directions of `matrix`
    start: Part | None = None  # with sigma = "divided", s·B₀A₀ is exactly this part of `matrix`
    matrix: Literal["W", "W_Geo"] = "W"
    seeded: bool = False  # A₀ depends on the seed
    shape_only: bool = False  # A₀ depends on nothing but its shape: equal in all layers of one shape


@dataclass(frozen=True)
class Method:
    """One adapter method: everything that the command line, the tables and the tests need to know of it."""

    name: str
    kind: Literal["factors"]
    definition: str
    paper: Paper
    claims: Claims
    needs: Triplets | None  # which triplets of `claims.matrix` are solved for; None: the start never looks at W
    options: Mapping[str, Option]
    factors: Callable[[Layer], Factors]

    @property
    def anchored(self) -> bool:
        """True where B₀A₀ ≠ 0, so that W + s(BA − B₀A₀) is trained."""
        return not self.claims.b_zero

    def resolve_options(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """The method's options, parsed, with their defaults filled in; an unknown name or value raises."""
        for name in given:
            if name not in self.options:
                raise UserError(
                    f"method {self.name} has no option {name!r}",
                    "an option that is not used would be dropped in silence",
                    nearest(name, self.options) if self.options else f"{self.name} takes no options: remove it",
                )
        return {name: option.parse(given.get(name, option.default), name) for name, option in self.options.items()}


def method(
    *,
    paper: Paper,
    claims: Claims,
    needs: Triplets | None = None,
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
