"""A start of the user's own: `module:function`, its record, and what it returns held against what it may return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..own_code import imported, place_in, place_of
from .layer import Factors, Layer
from .method import Claims, Method, lora_count
from .option import Option, Value

RECORD = "@stiefel.method(claims=stiefel.Claims(b_zero=True))\ndef function(layer: stiefel.Layer) -> stiefel.Factors: …"


def own_start(name: str) -> Method:
    """The record that `module:function` names, under that name; its factors are checked when they are made.

    Raises UserError where the module cannot be imported or holds something else under that name.
    """
    found = imported(name, "method", lambda value: isinstance(value, Method), f"write one there: {RECORD}")
    if not isinstance(found, Method):
        raise UserError(
            f"{name} is no method",
            f"it is a {type(found).__name__}, and a start is a function with a record of what it claims",
            f"write it so: {RECORD}",
        )
    if found.kind != "start":
        raise UserError(f"{name} is no start", f"it is a record of the kind {found.kind}", f"name it {found.name}")
    assert found.factors is not None
    return replace(found, name=name, factors=checked(name, found.factors, found.claims))


def checked(name: str, factors: Callable[[Layer], Factors], claims: Claims) -> Callable[[Layer], Factors]:
    """The function, whose result no adapter is made of unless it is a start."""

    def make(layer: Layer) -> Factors:
        try:
            found: Any = factors(layer)
        except UserError:
            raise
        except (
            Exception,
            SystemExit,
        ) as error:  # it is someone else's code: whatever it raises is reported, nothing is swallowed
            where = place_in(name.partition(":")[0], error) or place_of(factors)
            what = f"{type(error).__name__}: {error}{where}"
            raise UserError(f"the method {name} raised for {layer.name}", what, "mend the function") from error
        trouble = trouble_with(found, layer, claims)
        if trouble:
            what = f"the method {name} gave no start of {layer.name}{place_of(factors)}"
            raise UserError(what, trouble, "mend the function")
        return Factors(found.A, found.B, found.statistics)

    return make


def trouble_with(found: Any, layer: Layer, claims: Claims) -> str:
    """Why something is not the start of a layer; empty where it is one."""
    if not isinstance(found, Factors):
        return f"it returned a {type(found).__name__}, not stiefel.Factors"
    shapes = {"A": (layer.rank, layer.in_features), "B": (layer.out_features, layer.rank)}
    for side, factor in (("A", found.A), ("B", found.B)):
        if not isinstance(factor, Tensor) or not factor.is_floating_point():
            return f"{side} is no tensor of floating-point numbers"
        if tuple(factor.shape) != shapes[side]:
            return f"{side} is {tuple(factor.shape)}, where {shapes[side]} is meant"
        if not torch.isfinite(factor).all():
            return f"{side} holds values that are not finite"
    if claims.b_zero and found.B.any():
        return "its claims say B = 0 and B is not: leave out b_zero, and the adapter is anchored"
    return ""


@dataclass(frozen=True)
class Kept(Option):
    """An option as a certificate records it, of a method that is not imported."""

    def parse(self, given: Value, name: str) -> Value:
        """The value as it is."""
        return given

    def domain(self) -> dict[str, Any]:
        """Not known."""
        return {}


def unseen(name: str, anchored: bool, options: Mapping[str, Value]) -> Method:
    """What a certificate alone says of a start of one's own: where it is anchored, and its options; no function."""
    return Method(
        name=name,
        kind="start",
        definition="a start of one's own, not imported",
        paper=None,
        claims=Claims(b_zero=not anchored),
        trains=lora_count,
        options={key: Kept(value, "as recorded") for key, value in options.items()},
    )
