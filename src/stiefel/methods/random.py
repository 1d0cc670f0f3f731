"""Starts that do not look at the weight: the baselines."""

from __future__ import annotations

import math

import torch

from .layer import Factors, Layer
from .method import Claims, method
from .papers import LORA, RLPO


@method(
    paper=LORA,
    claims=Claims(b_zero=True, seeded=True, a_row_norm=1 / math.sqrt(3)),
)
def lora(layer: Layer) -> Factors:
    """A ~ U(−1/√n, 1/√n), B = 0.

    PEFT's default (Kaiming-uniform with a = √5), the baseline that people run; E‖a_i‖² = 1/3.
    """
    bound = 1 / math.sqrt(layer.in_features)
    A = torch.empty(layer.rank, layer.in_features, dtype=torch.float32)
    A.uniform_(-bound, bound, generator=layer.generator())
    return Factors(A=A, B=layer.zero_b())


@method(
    paper=RLPO,
    claims=Claims(b_zero=True, seeded=True, a_row_norm=1.0),
)
def gaussian(layer: Layer) -> Factors:
    """A ~ N(0, 1/n), B = 0.

    The RLPO paper's LoRA (Eq. 2); not PEFT's "gaussian", whose standard deviation is 1/r. E‖a_i‖² = 1.
    """
    A = torch.empty(layer.rank, layer.in_features, dtype=torch.float32)
    A.normal_(0, 1 / math.sqrt(layer.in_features), generator=layer.generator())
    return Factors(A=A, B=layer.zero_b())
