"""Matrices of known spectrum, hostile ones above all, and their decomposition by NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

EPS64 = np.finfo(np.float64).eps
RANK = 16
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """W, its exact triplets, and k, the number of positive singular values."""

    W: Tensor
    U: Array
    S: Array
    Vh: Array
    k: int

    def energy(self, rows: Tensor) -> float:
        """‖WVᵀ‖_F² of rows V."""
        return float(np.sum((self.W.double().numpy() @ rows.double().numpy().T) ** 2))


def with_values(shape: tuple[int, int], values: Array, seed: int = 0) -> Tensor:
    """UΣVᵀ with random U and V, rounded to float32."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((side, len(values))))[0] for side in shape)
    return torch.from_numpy((U * values) @ V.T).float()


def gaussian(shape: tuple[int, int], seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


def of_rank(shape: tuple[int, int], rank: int) -> Tensor:
    """A product of small whole numbers, exact in float32: its rank is no matter of rounding."""
    rng = np.random.default_rng(rank)
    return torch.from_numpy(
        (rng.integers(-3, 4, (shape[0], rank)) @ rng.integers(-3, 4, (rank, shape[1]))).astype(np.float32)
    )


def rescaled(W: Tensor, rows: slice, size: float) -> Tensor:
    W = W.clone()
    W[rows] *= size
    return W


def power(n: int, exponent: float) -> Array:
    return np.arange(1, n + 1.0) ** -exponent


TALL, WIDE, SQUARE = (700, 400), (400, 700), (400, 400)
N = 400
CASES: dict[str, Callable[[], Tensor]] = {
    "flat": lambda: gaussian(TALL),
    "flat, very tall": lambda: gaussian((3000, 150)),
    "flat, very wide": lambda: gaussian((150, 3000)),
    "flat, large": lambda: gaussian((900, 600)),
    "heavy-tailed entries": lambda: torch.from_numpy(np.random.default_rng(0).standard_t(2, TALL)).float(),
    "power law": lambda: with_values(SQUARE, power(N, 1)),
    "slow power law": lambda: with_values(WIDE, power(N, 0.3)),
    "power law, large": lambda: with_values((1600, 700), power(700, 0.7)),
    "geometric to 1e-6": lambda: with_values(TALL, np.geomspace(1, 1e-6, N)),
    "geometric to 2.5e-6": lambda: with_values(SQUARE, np.geomspace(1, 2.5e-6, N)),
    "ties across the r-th": lambda: with_values(TALL, np.r_[[3.0] * 10, [2.0] * 20, [0.1] * (N - 30)]),
    "ties across the last r-th": lambda: with_values(SQUARE, np.r_[[3.0] * (N - 30), [2.0] * 20, [0.1] * 10]),
    "tiny cluster at the end": lambda: with_values(SQUARE, np.r_[np.ones(N - RANK), np.full(RANK, 3e-6)]),
    "tinier cluster at the end": lambda: with_values(TALL, np.r_[np.ones(N - 32), np.full(32, 2.2e-6)]),
    "staircase": lambda: with_values(TALL, np.repeat(1.5 ** -np.arange(N // 20), 20)),
    "near-tie at r, slow decay": lambda: with_values(TALL, np.r_[np.ones(15), 0.01 * power(N - 15, 0.05)]),
    "half strong, half flat": lambda: with_values(TALL, np.r_[np.ones(8), 0.01 * np.linspace(1, 0.1, N - 8)]),
    "outlier of 1e3": lambda: with_values(TALL, np.r_[1e3, power(N - 1, 0.5)]),
    "outlier before a flat tail": lambda: with_values((1100, 900), np.r_[1e2, np.linspace(1, 0.5, 899)]),
    "outlier of 1e6": lambda: with_values(SQUARE, np.r_[1e6, power(N - 1, 0.5)]),
    "orthogonal": lambda: with_values(SQUARE, np.ones(N)),
    "rank above r": lambda: of_rank(TALL, 24),
    "rank r": lambda: of_rank(WIDE, RANK),
    "rank n - 20": lambda: of_rank(SQUARE, N - 20),
    "a column of zeros": lambda: gaussian(TALL).index_fill(1, torch.tensor([7]), 0.0),
    "huge": lambda: with_values(TALL, power(N, 0.7)) * 1e30,
    "large": lambda: with_values(TALL, power(N, 0.7)) * 1e12,
    "small": lambda: with_values(TALL, power(N, 0.7)) * 1e-12,
    "tiny": lambda: with_values(WIDE, power(N, 0.7)) * 1e-30,
    "forty huge rows": lambda: rescaled(gaussian(TALL), slice(40), 1e30),
    "all but forty rows tiny": lambda: rescaled(gaussian(TALL), slice(40, None), 1e-30),
}


@cache
def case_of(name: str) -> Case:
    W = CASES[name]()
    U, S, Vh = np.linalg.svd(W.double().numpy(), full_matrices=False)
    return Case(W, U, S, Vh, int((max(W.shape) * EPS64 * S[0] < S).sum()))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


@pytest.fixture
def named_case() -> Callable[[str], Case]:
    """named_case(name): one of the cases."""
    return case_of
