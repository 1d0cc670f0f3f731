"""What a method is: a record of what it does, claims and needs, and the function that does it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import UserError
from .layer import Factors, Layer
from .option import Option, Value
from .papers import Paper
from .settings import resolve

Part = Literal["top", "bottom", "random"]
Triplets = Literal["top", "bottom", "all"]
Kind = Literal["start", "structure", "optimizer", "peft", "weights"]
Standing = Literal["linear", "norms", "parameters"]
Shape = tuple[int, ...]
# trainable numbers on one weight: (its name, its shape, r, options) → how many, None where the values decide it
Count = Callable[[str, Shape, int, Mapping[str, Value]], int | None]
SETTINGS = ("rank", "alpha", "dropout", "targets")


@dataclass(frozen=True)
class Claims:
    """What a method promises of its start; a test measures every promise on every method."""

    base_unchanged: bool = True  # the checkpoint's weights stay as they are, beside what is trained
    a_orthonormal: bool = False  # A₀A₀ᵀ = I
    b_orthonormal: bool = False  # B₀ᵀB₀ = I
    a_row_norm: float | None = None  # root mean square row norm of A₀, where it is neither 1 by construction nor W's
    b_zero: bool = False  # B₀ = 0: an ordinary LoRA; otherwise the adapter is anchored
    subspace: Part | None = None  # A₀'s rows (and B₀'s columns) span these right (left) singular directions of `matrix`
    start: Part | None = None  # with sigma = "divided", s·B₀A₀ is exactly this part of `matrix`
    matrix: Literal["W", "W_Geo"] = "W"
    seeded: bool = False  # what it draws depends on the seed
    shape_only: bool = False  # A₀ depends on nothing but its shape: equal in all layers of one shape


@dataclass(frozen=True)
class Wanted:
    """What an adapter is asked to be: from it a method makes PEFT's settings, as adapter_config.json spells them."""

    weights: Mapping[str, Shape]  # what it stands on: (out, in) of every target, or the norms
    rank: int
    alpha: int
    dropout: float
    seed: int
    options: Mapping[str, Value]
    everything: bool = False  # the targets were "all-linear"
    conv1d: bool = False  # GPT-2's layers, which are (in, out)


@dataclass(frozen=True)
class Method:
    """One method: everything that the command line, the tables and the tests need to know of it.

    A start says how A₀ and B₀ are set, a structure how they change the weight, an optimizer how they are trained;
    these compose. `peft` and `weights` methods stand alone: PEFT's other adapters, and the model's own weights.
    """

    name: str
    kind: Kind
    definition: str
    paper: Paper | None  # of a start of one's own there may be none
    claims: Claims
    trains: Count  # of a structure or an optimizer: what it adds to a LoRA's r·(in + out)
    needs: Triplets | None = None  # which triplets of `claims.matrix` are solved for; None: solves for none
    options: Mapping[str, Option] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()  # of SETTINGS
    stands_on: Standing = "linear"
    factors: Callable[[Layer], Factors] | None = None  # of a start
    config: Callable[[Wanted], dict[str, Any]] | None = None  # PEFT's settings, of a structure or a `peft` method
    mask: Callable[[Layer], Any] | None = None  # which entries of W train, where not all do

    @property
    def anchored(self) -> bool:
        """True where B₀A₀ ≠ 0, so that W + s(BA − B₀A₀) is trained."""
        return self.kind == "start" and not self.claims.b_zero

    def resolve_options(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """The method's options, parsed, with their defaults filled in; an unknown name or value raises."""
        return resolve(self.name, self.options, given)


def definition_of(function: Callable[..., Any]) -> str:
    """A docstring's first line, which the tables show."""
    text = inspect.getdoc(function)
    if not text:
        raise UserError(
            f"{function.__name__} has no docstring", "its first line is the definition that tables show", "write one"
        )
    return text.splitlines()[0]


def lora_count(name: str, shape: Shape, r: int, options: Mapping[str, Value]) -> int:
    """A (r, in) and B (out, r)."""
    return r * sum(shape)


def method(
    *,
    claims: Claims,
    paper: Paper | None = None,
    needs: Triplets | None = None,
    options: Mapping[str, Option] | None = None,
) -> Callable[[Callable[[Layer], Factors]], Method]:
    """Turn a function from a layer to its factors into a start's record; its docstring's first line is the definition.

    claims: what it promises, which `stiefel methods --check module:function` measures; paper: where it is from; needs:
    which triplets of W it solves for; options: its settings, by name. A start that is not in Stiefel's own table is
    used by the name `module:function`, wherever a method's name is taken.
    """

    def record(function: Callable[[Layer], Factors]) -> Method:
        return Method(
            name=function.__name__,
            kind="start",
            definition=definition_of(function),
            paper=paper,
            claims=claims,
            needs=needs,
            options=options or {},
            trains=lora_count,
            factors=function,
        )

    return record


def peft_method(
    kind: Kind,
    *,
    paper: Paper,
    trains: Count,
    claims: Claims | None = None,
    options: Mapping[str, Option] | None = None,
    unused: frozenset[str] = frozenset(),
    stands_on: Standing = "linear",
) -> Callable[[Callable[[Wanted], dict[str, Any]]], Method]:
    """Turn a function from what is wanted to PEFT's settings into a record."""

    def record(function: Callable[[Wanted], dict[str, Any]]) -> Method:
        return Method(
            name=function.__name__,
            kind=kind,
            definition=definition_of(function),
            paper=paper,
            claims=claims or Claims(),
            options=options or {},
            trains=trains,
            unused=unused,
            stands_on=stands_on,
            config=function,
        )

    return record
