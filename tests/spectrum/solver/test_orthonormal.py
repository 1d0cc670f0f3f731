"""Blocks stay orthonormal where a Krylov space is exhausted and a projection leaves rounding alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stiefel.spectrum.solver import orthonormal

from .conftest import gaussian

EPS32 = np.finfo(np.float32).eps


@pytest.mark.parametrize("rank", [0, 1, 12, 24])
@pytest.mark.parametrize("known", [24, 120, 176])
def test_columns_within_the_span_give_way_to_new_ones(known, rank):
    K = orthonormal(gaussian((200, known)))
    X = K @ gaussian((known, rank), seed=1) @ gaussian((rank, 24), seed=2) if rank else torch.zeros(200, 24)
    Q = orthonormal(X, K).double().numpy()
    assert np.abs(Q.T @ Q - np.eye(24)).max() <= 20 * EPS32
    assert np.abs(K.double().numpy().T @ Q).max() <= 20 * EPS32


def test_the_basis_stays_orthonormal_for_as_long_as_there_is_room():
    K = orthonormal(gaussian((240, 24)))
    for _ in range(9):
        K = torch.cat([K, orthonormal(K[:, -24:].clone(), K)], 1)
    Q = K.double().numpy()
    assert np.abs(Q.T @ Q - np.eye(240)).max() <= 20 * EPS32
