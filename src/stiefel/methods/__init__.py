"""Every method, in one tuple: the command line, the README's table, the citations and the tests read it."""

from __future__ import annotations

from ..errors import UserError, nearest
from .method import Claims, Factors, Layer, Method, Option, method
from .random import gaussian, lora
from .spectral import milora, pissa, rlmo, rlpo

METHODS: tuple[Method, ...] = (lora, gaussian, pissa, milora, rlpo, rlmo)


def find_method(name: str) -> Method:
    """The method of that name; an unknown one raises with the nearest names."""
    for candidate in METHODS:
        if candidate.name == name:
            return candidate
    raise UserError(
        f"unknown method {name!r}",
        "`stiefel methods` lists the ones there are",
        nearest(name, [candidate.name for candidate in METHODS]),
    )


__all__ = ["METHODS", "Claims", "Factors", "Layer", "Method", "Option", "find_method", "method"]
