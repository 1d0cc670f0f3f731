"""Every method, in one tuple: the command line, the README's table, the citations and the tests read it."""

from __future__ import annotations

from ..errors import UserError, nearest
from .geora import geora, geora_euclidean, geora_random, geora_spectral, geora_tail
from .layer import Factors, Layer, require_rank
from .method import Claims, Method, method
from .option import Choice, Fraction, Option, Value
from .random import gaussian, lora
from .spectral import milora, olora, olora_tail, pissa, rlmo, rlpo
from .transforms import dct, random_orthonormal, wavelet

METHODS: tuple[Method, ...] = (
    lora,
    gaussian,
    random_orthonormal,
    dct,
    wavelet,
    rlpo,
    rlmo,
    olora,
    olora_tail,
    pissa,
    milora,
    geora,
    geora_random,
    geora_tail,
    geora_spectral,
    geora_euclidean,
)


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


__all__ = [
    "METHODS",
    "Choice",
    "Claims",
    "Factors",
    "Fraction",
    "Layer",
    "Method",
    "Option",
    "Value",
    "find_method",
    "method",
    "require_rank",
]
