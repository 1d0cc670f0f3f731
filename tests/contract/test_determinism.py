"""The same seed gives the same bytes, whatever else is going on in the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from stiefel import attach


def flat(factors):
    return {f"{name}.{side}": tensor for name, pair in factors.items() for side, tensor in zip("AB", pair, strict=True)}


@pytest.fixture
def default_dtype(request) -> Iterator[None]:
    torch.set_default_dtype(request.param)
    yield
    torch.set_default_dtype(torch.float32)


def test_same_seed_same_bytes_and_the_seed_matters_only_where_claimed(method, make_model, factors_of, same_state):
    first, again, other = (flat(factors_of(attach(make_model(), method.name, r=4, seed=seed))) for seed in (7, 7, 8))
    assert same_state(first, again)
    assert same_state(first, other) != method.claims.seeded


def test_layers_of_one_shape_get_different_factors_unless_claimed(method, make_model, factors_of):
    factors = factors_of(attach(make_model(), method.name, r=4, target_modules=["gate_proj", "up_proj"]))
    A = [pair[0] for pair in factors.values()]
    assert {torch.equal(A[i], A[j]) for i in range(len(A)) for j in range(i)} == {method.claims.shape_only}


def test_a_layer_does_not_depend_on_which_others_are_targets(method, make_model, factors_of, same_state):
    whole = factors_of(attach(make_model(), method.name, r=4))
    part = factors_of(attach(make_model(), method.name, r=4, target_modules=["up_proj", "k_proj"]))
    assert same_state(flat(part), flat({name: whole[name] for name in part}))


def test_a_layer_does_not_depend_on_the_global_seed(method, make_model, factors_of, same_state):
    torch.manual_seed(1)
    first = factors_of(attach(make_model(), method.name, r=4))
    torch.manual_seed(2)
    assert same_state(flat(first), flat(factors_of(attach(make_model(), method.name, r=4))))


@pytest.mark.parametrize("default_dtype", [torch.float64, torch.bfloat16], indirect=True, ids=str)
def test_a_layer_does_not_depend_on_the_default_dtype(method, make_layer, default_dtype):
    W = torch.randn(24, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    here = method.factors(make_layer(method, W, 4))
    torch.set_default_dtype(torch.float32)
    there = method.factors(make_layer(method, W, 4))
    assert here.A.dtype == here.B.dtype == torch.float32
    assert torch.equal(here.A, there.A)
    assert torch.equal(here.B, there.B)


def test_attach_leaves_the_global_random_state_alone(method, make_model):
    model = make_model()
    before = torch.get_rng_state()
    attach(model, method.name, r=4)
    assert torch.equal(torch.get_rng_state(), before)
