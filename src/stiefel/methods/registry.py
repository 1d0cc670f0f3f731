"""Every method, in one tuple: the command line, the README's table, the citations and the tests read it."""

from __future__ import annotations

from ..errors import UserError, nearest
from .geora import geora, geora_euclidean, geora_random, geora_spectral, geora_tail
from .method import Method
from .native import adalora, ia3, ln_tuning, miss, vera
from .optimizers import lora_fa, lora_plus
from .random import gaussian, lora
from .sparse import full, sparse
from .spectral import milora, olora, olora_tail, pissa, rlmo, rlpo
from .structures import dora, rslora
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
    rslora,
    dora,
    lora_plus,
    lora_fa,
    adalora,
    miss,
    vera,
    ia3,
    ln_tuning,
    full,
    sparse,
)
STARTS = tuple(method for method in METHODS if method.kind == "start")


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
