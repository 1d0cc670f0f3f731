"""`load` gives back the trainable state bit for bit, and training goes on as if nothing had happened."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stiefel import attach, load, save
from stiefel.adapter.attached import certificate_of
from stiefel.methods import STARTS


def trainable_and_anchors(model):
    state = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    return state | {name: b.clone() for name, b in model.named_buffers() if name.endswith("anchor")}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_state_and_certificate_come_back(method, dtype, make_model, take_steps, logits, same_state, tmp_path):
    adapted = attach(make_model(dtype), method.name, r=4, alpha=8, seed=3)
    take_steps(adapted)
    save(adapted, tmp_path / "adapter")
    again = load(make_model(dtype), tmp_path / "adapter")
    assert same_state(trainable_and_anchors(again), trainable_and_anchors(adapted))
    assert certificate_of(again) == certificate_of(adapted)
    assert torch.equal(logits(again), logits(adapted))
    with again.disable_adapter():
        assert torch.equal(logits(again), logits(make_model(dtype)))


def test_training_goes_on_to_the_same_bits(method, make_model, take_steps, same_state, tmp_path):
    adapted = attach(make_model(), method.name, r=4, alpha=8)
    optimizer = take_steps(adapted, 3)
    save(adapted, tmp_path / "adapter")
    again = load(make_model(), tmp_path / "adapter")
    resumed = torch.optim.AdamW([p for p in again.parameters() if p.requires_grad], lr=0.01)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    take_steps(adapted, 3, optimizer)
    take_steps(again, 3, resumed)
    assert same_state(trainable_and_anchors(again), trainable_and_anchors(adapted))


def test_saving_twice_gives_the_same_bytes(method, make_model, take_steps, tmp_path):
    adapted = attach(make_model(), method.name, r=4)
    take_steps(adapted)
    save(adapted, tmp_path / "first")
    save(load(make_model(), tmp_path / "first"), tmp_path / "second")
    for name in ("adapter_model.safetensors", "stiefel.json", *(["anchors.safetensors"] if method.anchored else [])):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_reload_that_does_not_train_has_no_trainable_parameters(method, saved_adapter, make_model, logits):
    saved = saved_adapter(method)
    model = load(make_model(), saved.directory, trainable=False)
    assert not any(p.requires_grad for p in model.parameters())
    assert torch.equal(logits(model), saved.logits)


def test_loading_leaves_the_global_random_state_alone(method, saved_adapter, make_model):
    saved, model = saved_adapter(method), make_model()
    before = torch.get_rng_state()
    load(model, saved.directory)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_adapter_can_be_loaded_saved_and_loaded_again(method, saved_adapter, make_model, logits, tmp_path):
    saved = saved_adapter(method)
    directory = saved.directory
    for name in ("second", "third"):
        save(load(make_model(), directory), tmp_path / name)
        directory = tmp_path / name
    assert torch.equal(logits(load(make_model(), directory)), saved.logits)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(STARTS),
    head_dim=st.sampled_from([2, 6, 10]),
    intermediate=st.integers(2, 40),
    rank=st.integers(1, 2),
    alpha=st.integers(1, 9),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 2**31),
    size=st.floats(1e-6, 1e3),
)
def test_round_trip_of_any_shape_rank_and_state(
    method, head_dim, intermediate, rank, alpha, dtype, seed, size, make_model, same_state, tmp_path_factory
):
    sizes = {"hidden_size": 20, "head_dim": head_dim, "intermediate_size": intermediate}
    adapted = attach(make_model(dtype, **sizes), method.name, r=rank, alpha=alpha, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for p in adapted.parameters():
        if p.requires_grad:
            p.data.copy_(size * torch.randn(p.shape, generator=generator))
    directory = tmp_path_factory.mktemp("round") / "adapter"
    save(adapted, directory)
    again = load(make_model(dtype, **sizes), directory)
    assert same_state(trainable_and_anchors(again), trainable_and_anchors(adapted))
