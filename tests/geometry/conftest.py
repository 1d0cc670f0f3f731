"""Matrices with factors around them: tall, wide and square, anchored and not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from stiefel.geometry import Change, DenseChange, LowRankChange
from stiefel.geometry.lora import dora_change
from stiefel.spectrum.linalg import Triplets, exact_svd

SHAPES = {"tall": (48, 20), "wide": (20, 48), "square": (32, 32)}
FORMS = ("plain", "anchored", "dora", "dense")
RANK, SCALING = 4, 2.0


@dataclass(frozen=True)
class Case:
    """One trained matrix, as the package sees it and as NumPy does."""

    W: Tensor  # float32
    change: Change
    D: np.ndarray  # the same, dense, float64
    A: Tensor  # the trained factor

    @property
    def dense_W(self) -> np.ndarray:
        return self.W.double().numpy()

    @property
    def basis(self) -> Triplets:
        return exact_svd(self.W)

    def part(self, *, tail: bool = False) -> Triplets:
        k = len(self.basis.S)
        return self.basis.slice(k - RANK, k) if tail else self.basis.slice(0, RANK)


def make_case(shape: tuple[int, int], form: str, seed: int = 0, size: float = 0.1) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator)

    (m, n), r = shape, RANK
    W, A, B = normal(m, n), normal(r, n), size * normal(m, r)
    if form == "plain":
        D = SCALING * B.double() @ A.double()
        return Case(W, LowRankChange(SCALING * B, A), D.numpy(), A)
    if form == "anchored":
        A0, B0, dA = A, normal(m, r), size * normal(r, n)
        change = LowRankChange(SCALING * torch.cat([B, B0], dim=1), torch.cat([A0 + dA, dA]))
        trained = (A0 + dA).double()
        D = SCALING * (B.double() @ trained + B0.double() @ dA.double())
        return Case(W, change, D.numpy(), A0 + dA)
    if form == "dora":
        product, magnitude = LowRankChange(SCALING * B, A), W.norm(dim=1) * (1 + size * normal(m))
        V = W.double() + SCALING * B.double() @ A.double()
        D = (magnitude.double() / V.norm(dim=1)).unsqueeze(1) * V - W.double()
        return Case(W, dora_change(W, product, magnitude), D.numpy(), A)
    D = size * normal(m, n)
    return Case(W, DenseChange(D), D.double().numpy(), A)


@pytest.fixture(params=SHAPES)
def shape(request) -> tuple[int, int]:
    return SHAPES[request.param]


@pytest.fixture(params=FORMS)
def case(request, shape) -> Case:
    return make_case(shape, request.param)
