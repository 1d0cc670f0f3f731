"""OLoRA by SVD: the anchored product against NumPy's polar part, and what it is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stiefel.methods import find_method

EPS32 = np.finfo(np.float32).eps
RANK = 4


@pytest.mark.parametrize("scaling", [1.0, 2.0])
@pytest.mark.parametrize(("name", "kept"), [("olora", slice(0, RANK)), ("olora_tail", slice(-RANK, None))])
@pytest.mark.parametrize("shape", [(24, 24), (40, 16), (16, 40)], ids=str)
def test_product_is_the_polar_part_whatever_the_scaling(shape, name, kept, scaling, make_layer):
    W = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    U, S, Vh = np.linalg.svd(W.double().numpy(), full_matrices=False)
    method = find_method(name)
    factors = method.factors(make_layer(method, W, RANK, scaling))
    product = factors.B.double().numpy() @ factors.A.double().numpy()
    expected = U[:, kept] @ Vh[kept]
    # two roundings for each triplet; float64 SVDs differ by ε·σ₁ over the gap, which is far less here
    assert np.abs(np.diff(S)).min() > 1e-3
    assert np.linalg.norm(product - expected) <= 2 * EPS32 * np.sqrt(RANK)


def test_it_is_not_the_qr_of_peft(make_layer):
    W = torch.randn(24, 24, generator=torch.Generator().manual_seed(0))
    factors = find_method("olora").factors(make_layer(find_method("olora"), W, RANK))
    Q = np.linalg.qr(W.double().numpy())[0][:, :RANK]
    B = factors.B.double().numpy()
    assert np.linalg.norm(B @ B.T - Q @ Q.T) > 0.5
