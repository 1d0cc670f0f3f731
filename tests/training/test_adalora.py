"""AdaLoRA's rank falls to its budget, its term is PEFT's, and its state comes back."""

from __future__ import annotations

import pytest
import torch

from stiefel import UserError, attach
from stiefel.adapter.attached import lora_layers
from stiefel.training.adalora import (
    allocate,
    is_adalora,
    load_training_state,
    orthogonality,
    plan_budget,
    ranks,
    training_state,
)
from stiefel.training.optimizers import make_optimizer

IDS = torch.arange(24).view(2, 12) % 29
MATRICES = 14


def fit(model, optimizer, first, last, *, allocating=True):
    model.eval()
    for step in range(first, last + 1):
        optimizer.zero_grad()
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
        if allocating:
            allocate(model, step)
    return model


@pytest.mark.parametrize("steps", [2, 3, 20])
@pytest.mark.parametrize("rank", [1, 4])
def test_the_rank_falls_to_the_budget_and_stays_there(rank, steps, make_model):
    model = attach(make_model(), "adalora", r=rank, alpha=8)
    plan_budget(model, steps)
    fit(model, make_optimizer(model, lr=0.01), 1, steps)
    assert sum(ranks(model).values()) == rank * MATRICES
    assert model.peft_config["default"].rank_pattern is None, "or PEFT would save it cut"


def test_t4_peft_alone_keeps_every_singular_value(make_model):
    model = attach(make_model(), "adalora", r=4, alpha=8)
    plan_budget(model, 20)
    fit(model, make_optimizer(model, lr=0.01), 1, 20, allocating=False)
    assert sum(ranks(model).values()) == 6 * MATRICES, "upstream mended it"


def test_the_ranks_fall_step_by_step_and_differ_between_layers(make_model):
    model = attach(make_model(), "adalora", r=4, alpha=8, tinit=0.25, tfinal=0.25)
    plan_budget(model, 20)
    optimizer, seen = make_optimizer(model, lr=0.01), []
    for step in range(1, 21):
        fit(model, optimizer, step, step)
        seen.append(sum(ranks(model).values()))
    assert seen[:5] == [6 * MATRICES] * 5
    assert seen[14:] == [4 * MATRICES] * 6
    assert sorted(seen, reverse=True) == seen
    assert len(set(ranks(model).values())) > 1


def test_the_orthogonality_term_is_peft_s(make_model):
    model = attach(make_model(), "adalora", r=4, alpha=8, orth_reg_weight=0.3)
    fit(model, make_optimizer(model, lr=0.01), 1, 1, allocating=False)
    theirs = model(input_ids=IDS, labels=IDS).loss.detach()
    plain = model.get_base_model()(input_ids=IDS, labels=IDS).loss.detach()
    term = orthogonality(model)
    term.backward()
    assert all(layer.lora_A["default"].grad.abs().sum() > 0 for _, layer in lora_layers(model))
    # the difference of two losses is rounded in units of the larger
    assert float(theirs - plain) == pytest.approx(
        float(term.detach()), abs=4 * torch.finfo(torch.float32).eps * float(theirs)
    )
    assert float(term.detach()) > 0.1


@pytest.mark.parametrize("cut", [1, 4, 8, 9])
def test_a_run_goes_on_from_its_state_to_the_same_bits(cut, make_model, same_state):
    steps = 10
    whole, first = (attach(make_model(), "adalora", r=4, alpha=8) for _ in range(2))
    for model in (whole, first):
        plan_budget(model, steps)
    fit(whole, make_optimizer(whole, lr=0.01), 1, steps)
    optimizer = make_optimizer(first, lr=0.01)
    fit(first, optimizer, 1, cut)
    second = attach(make_model(), "adalora", r=4, alpha=8)
    second.load_state_dict(first.state_dict())
    plan_budget(second, steps)
    load_training_state(second, training_state(first))
    resumed = make_optimizer(second, lr=0.01)
    resumed.load_state_dict(optimizer.state_dict())
    fit(second, resumed, cut + 1, steps)
    assert same_state(dict(second.named_parameters()), dict(whole.named_parameters()))


@pytest.mark.parametrize("steps", [0, 1])
def test_too_few_steps_to_cut_in_are_refused(steps, make_model):
    with pytest.raises(UserError, match="at least 2"):
        plan_budget(attach(make_model(), "adalora", r=4), steps)


def test_shares_that_leave_no_step_are_refused(make_model):
    with pytest.raises(UserError, match=r"tinit 0\.5"):
        plan_budget(attach(make_model(), "adalora", r=4, tinit=0.5, tfinal=0.5), 10)


def test_allocating_without_a_plan_is_refused(make_model):
    model = attach(make_model(), "adalora", r=4)
    with pytest.raises(UserError, match="not planned"):
        allocate(model, 1)


def test_only_adalora_is_adalora(make_model):
    assert is_adalora(attach(make_model(), "adalora", r=4))
    assert not is_adalora(attach(make_model(), "lora", r=4))
    assert not is_adalora(attach(make_model(), "full"))
