"""`optim.kl_cap`: no update costs more than its share, and a cheap one is left alone."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback

import stiefel
from stiefel.artifacts import read_jsonl
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from stiefel.training.cap import AT_MOST, NEAR, TRIES, Movable, Step, shortened
from stiefel.training.own_weights import MasterAdamW
from stiefel.training.settings import grpo_config
from stiefel.training.steps import CentredAdamW
from tests.run.kills import killed_run
from tests.run.test_resume import CLOCK, equal

KINDS = ["lora", "rlpo", "pissa", "geora", "lora+dora", "rlpo+lora_plus", "rlpo+lora_fa", "ia3", "ln_tuning", "full"]


def distinct_tokens(completions: list[str], **columns: Any) -> list[float]:
    return [len(set(completion)) / 8 for completion in completions]


def trained(
    method: str,
    out: Path,
    *,
    lr: float = 0.05,
    rollouts: int = 2,
    updates: int = 2,
    micro_batch: int = 0,
    kind: type = stiefel.GRPOTrainer,
    dropout: float = 0.0,
    compute: str = "float32",
    **settings: Any,
) -> Any:
    """A short run of someone's own script; its logs are `state.log_history`."""
    torch.set_num_threads(1)
    optim = {"rollouts": rollouts, "updates_per_rollout": updates, "lr": lr, "micro_batch": micro_batch}
    sizes = {"prompts": 2, "completions": 4, "max_completion_tokens": 8}
    how = {"run": {"threads": 1, "save_every": 0}, "model": {"compute": compute}}
    recipe = make_recipe({"optim": optim, "rollout": sizes, **how})
    without = {} if method in ("ia3", "ln_tuning", "full") else {"r": 4, "alpha": 8, "dropout": dropout}
    trainer = kind(
        stiefel.attach(load_model("nano"), method, **without),
        distinct_tokens,
        grpo_config(recipe, out),
        Dataset.from_list([{"prompt": f"{n}+{n}?"} for n in range(11, 11 + 2 * rollouts)]),
        processing_class=load_tokenizer("nano"),
        **settings,
    )
    trainer.train()
    return trainer


def logged(trainer: Any, name: str) -> list[float]:
    return [row[name] for row in trainer.state.log_history if name in row]


def weights(trainer: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


def quadratic(curvature: float) -> tuple[Any, Any, list[float]]:
    """A cost of c² times `curvature`, where it is put, and the places."""
    places = [1.0]
    return (lambda: curvature * places[-1] ** 2), places.append, places


def test_a_cheap_step_is_left_alone_and_never_made_longer() -> None:
    cost, place, places = quadratic(1e-9)
    assert shortened(cost, place, 1e-3) == Step(1e-9, 1.0, 1)
    assert places == [1.0]


def test_where_the_cost_is_a_square_one_more_look_finds_the_share() -> None:
    cost, place, places = quadratic(4e-2)
    step = shortened(cost, place, 1e-2)
    assert step == Step(pytest.approx(1e-2), pytest.approx(0.5), 2)
    assert len(places) == 2


def test_a_step_that_stays_too_dear_is_undone() -> None:
    places: list[float] = []
    assert shortened(lambda: 1.0, places.append, 1e-2) == Step(0.0, 0.0, TRIES + 1)
    assert places == [pytest.approx(10.0**-k) for k in range(1, TRIES + 1)] + [0.0]


def test_what_is_near_enough_after_the_last_try_is_kept() -> None:
    between = 1e-2 * (NEAR + AT_MOST) / 2
    step = shortened(lambda: between, lambda scale: None, 1e-2)
    assert step.kl == between
    assert 0 < step.scale < 1


@pytest.mark.parametrize("strange", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_backed_away_from(strange: float) -> None:
    places = [1.0]
    step = shortened(lambda: strange if places[-1] > 0.05 else 1e-3, places.append, 1e-2)
    assert step == Step(1e-3, pytest.approx(0.01), 3)
    places = [1.0]
    assert shortened(lambda: strange, places.append, 1e-2).scale == 0.0
    assert places[-1] == 0.0


def test_the_decay_is_part_of_what_is_shortened() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = CentredAdamW([parameter], {}, lr=0.1, weight_decay=0.5)
    before = Movable(optimizer)
    parameter.grad = torch.zeros(2)  # nothing but the decay moves it
    optimizer.step()
    assert torch.allclose(parameter, torch.tensor([0.95, -1.9]))
    before.place(0.5)
    assert torch.allclose(parameter, torch.tensor([0.975, -1.95]))
    before.place(0.0)
    assert torch.equal(parameter, torch.tensor([1.0, -2.0]))


def test_weights_of_a_masked_or_narrow_type_follow_their_copies() -> None:
    model = stiefel.attach(load_model("nano", "bfloat16"), "sparse")
    optimizer = stiefel.training.optimizers.make_optimizer(model, lr=0.1, weight_decay=0.0)
    assert isinstance(optimizer, MasterAdamW)
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    before = Movable(optimizer)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert any(not torch.equal(parameter, start[name]) for name, parameter in model.named_parameters())
    before.place(0.0)
    assert all(torch.equal(parameter, start[name]) for name, parameter in model.named_parameters())


@pytest.mark.parametrize("method", KINDS)
def test_no_update_of_any_method_costs_more_than_its_share(method: str, tmp_path: Path) -> None:
    lr = {"ia3": 0.5, "ln_tuning": 0.5, "full": 0.01}.get(method, 0.05)
    cap = 2e-3
    trainer = trained(method, tmp_path, lr=lr, kl_cap=cap, rollouts=1)
    spent, scales = logged(trainer, "kl_update"), logged(trainer, "step_scale")
    assert len(spent) == len(scales) == 2
    assert max(spent) <= AT_MOST * cap / 2
    assert min(scales) < 1, "the rate is one at which the cap holds"
    assert all(0 <= scale <= 1 for scale in scales)


class Witness(stiefel.GRPOTrainer):
    """Keeps what each update cost, by logits of the whole model in float64, asked for outside of the trainer's ways."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.before: list[Any] = []
        self.costs: list[float] = []

    def scored(self) -> list[Any]:
        found = []
        for inputs, _ in self._of_update:
            ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
            mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
            length = inputs["completion_ids"].shape[1]
            with torch.no_grad():
                logits = self.model.eval()(input_ids=ids, attention_mask=mask).logits[:, -length - 1 : -1].double()
            self.model.train()
            logps = logits.log_softmax(-1).gather(-1, inputs["completion_ids"].unsqueeze(-1)).squeeze(-1)
            found.append((logps, inputs["completion_mask"].double()))
        return found

    def begin_update(self) -> None:
        self.before = self.scored()
        super().begin_update()

    def end_update(self) -> None:
        update = list(self._of_update)
        super().end_update()
        self._of_update = update
        total = count = 0.0
        for (old, mask), (new, _) in zip(self.before, self.scored(), strict=True):
            ratio = (new - old).exp()
            total += float(((ratio * ratio.log() - ratio + 1) * mask).sum())
            count += float(mask.sum())
        self.costs.append(total / count)
        self._of_update = []


@pytest.mark.parametrize("settings", [{}, {"micro_batch": 2}, {"dropout": 0.2}], ids=["whole", "in pieces", "dropout"])
def test_what_is_said_of_an_update_is_what_it_cost(settings: dict[str, Any], tmp_path: Path) -> None:
    trainer = trained("pissa", tmp_path, kl_cap=2e-3, kind=Witness, **settings)
    assert logged(trainer, "kl_update") == pytest.approx(trainer.costs, rel=1e-3, abs=1e-9)  # float32 against float64
    assert min(logged(trainer, "step_scale")) < 1


def test_dropout_is_no_part_of_a_step(tmp_path: Path) -> None:
    trainer = trained("pissa", tmp_path, lr=0.0, dropout=0.5, kl_cap=1e-9, rollouts=1)
    assert set(logged(trainer, "kl_update")) == {0.0}
    assert set(logged(trainer, "step_scale")) == {1.0}


@pytest.mark.parametrize("method", ["rlpo", "pissa", "adalora"])
def test_a_cap_that_never_holds_changes_no_bit(method: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"lr": 1e-3}
    free = trained(method, tmp_path / "free", **settings)
    trainer = trained(method, tmp_path / "capped", kl_cap=1e3, **settings)
    assert equal(weights(free), weights(trainer))
    assert logged(free, "kl_update") == []
    assert set(logged(trainer, "step_scale")) == {1.0}
    assert all(spent > 0 for spent in logged(trainer, "kl_update")[1:])


def test_pieces_of_an_update_give_the_step_of_the_whole(tmp_path: Path) -> None:
    whole, pieces = (
        trained("rlpo", tmp_path / str(size), kl_cap=2e-3, rollouts=1, updates=1, micro_batch=size) for size in (0, 2)
    )
    assert logged(pieces, "kl_update") == pytest.approx(logged(whole, "kl_update"), rel=0.1)
    assert logged(pieces, "step_scale") == pytest.approx(logged(whole, "step_scale"), rel=0.1)


RUN = {
    "optim": {"rollouts": 6, "lr": 0.02, "kl_cap": 1e-3},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 16},
    "run": {"threads": 1, "kl_every": 2, "save_every": 2},
    "adapter": {"method": "pissa"},
}


def test_killed_and_resumed_a_capped_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    began = time.perf_counter()
    train(make_recipe(RUN), tmp_path / "whole")
    killed_run(make_recipe(RUN), tmp_path / "again", kills=2, seconds=0.4 * (time.perf_counter() - began))
    rows = [
        [{key: row[key] for key in row.keys() - CLOCK} for row in read_jsonl(tmp_path / name / "metrics.jsonl")]
        for name in ("whole", "again")
    ]
    assert rows[0] == rows[1]
    assert all(row["kl_update"] <= AT_MOST * 5e-4 for row in rows[0])
    assert all(row["capped_updates"] in (0, 1, 2) and 0 <= row["step_scale"] <= 1 for row in rows[0])
    assert any(row["capped_updates"] for row in rows[0])


class NoNumbers(stiefel.GRPOTrainer):
    """The loss of the second update is no number, as of a model whose type overflows in its backward pass."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        return loss * math.nan if self.state.global_step == 1 else loss


@pytest.mark.parametrize("cap", [0.0, 1e-3])
def test_a_step_that_is_no_number_ends_a_run_with_a_cap_as_without(cap: float, tmp_path: Path) -> None:
    """Undone it would leave AdamW's moments, by which no later step is a number, and a run that trains nothing."""
    with pytest.raises(UserError, match="the model gives no probabilities"):
        trained("rlpo", tmp_path, lr=1e-3, kl_cap=cap, kind=NoNumbers)


@pytest.mark.parametrize("cap", [-1e-3, math.nan, math.inf])
def test_a_cap_that_is_none_is_refused(cap: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="kl_cap"):
        trained("rlpo", tmp_path, kl_cap=cap)
    with pytest.raises(UserError, match=r"optim\.kl_cap"):
        make_recipe({"optim": {"kl_cap": cap}})


def test_a_cap_for_supervised_training_is_refused_with_what_bounds_its_step() -> None:
    with pytest.raises(UserError, match=r"(?s)optim\.kl_cap = 0\.001 is set for sft.*optim\.lr"):
        make_recipe({"algorithm": {"name": "sft"}, "optim": {"kl_cap": 1e-3}})


class Looker(TrainerCallback):  # type: ignore[misc]
    """Remembers the weights right after each optimizer's step, as geometry.jsonl does, and at the update's end."""

    def __init__(self) -> None:
        self.seen: list[list[torch.Tensor]] = []
        self.left: list[list[torch.Tensor]] = []

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.seen.append([p.detach().clone() for p in model.parameters() if p.requires_grad])

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.left.append([p.detach().clone() for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize("method", ["rlpo", "adalora"])
def test_who_looks_at_the_weights_after_a_step_sees_those_that_stay(method: str, tmp_path: Path) -> None:
    looker = Looker()
    run = trained(method, tmp_path, kl_cap=1e-4, callbacks=[looker])
    assert min(logged(run, "step_scale")) < 1
    assert len(looker.seen) == 4
    for seen, left in zip(looker.seen, looker.left, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(seen, left, strict=True))


def test_every_scoring_of_an_update_is_counted(tmp_path: Path) -> None:
    run = trained("rlpo", tmp_path / "held", kl_cap=1e-4)
    passes, scales = logged(run, "cap_passes"), logged(run, "step_scale")
    assert all((one == 1) == (scale == 1) for one, scale in zip(passes, scales, strict=True))
    assert max(passes) <= TRIES + 1
    assert logged(trained("rlpo", tmp_path / "free", kl_cap=1e6), "cap_passes") == [1.0] * 4


class Rounded:
    """A cost of c² times `curvature`, to which scoring adds as much wherever the policy is put."""

    def __init__(self, curvature: float, rounding: float) -> None:
        self.curvature, self.rounding = curvature, rounding
        self.place_, self.known = 1.0, 0.0

    def seen(self) -> float:
        return self.curvature * self.place_**2 + self.rounding * (self.place_ > 0)

    def cost(self) -> float:
        return self.seen() - self.known

    def place(self, scale: float) -> None:
        self.place_ = scale

    def less_rounding(self) -> float:
        self.known = self.seen()
        return self.curvature + self.rounding - self.known


def test_what_rounding_adds_is_no_cost_of_a_step() -> None:
    """In bfloat16 a pretrained model's scores of one step before and after differ by 1e-3 nats a token."""
    share, rounding = 5e-4, 1e-3
    one = Rounded(2e-4, rounding)
    cheap = shortened(one.cost, one.place, share, one.less_rounding)
    assert (cheap.scale, cheap.passes, one.place_) == (1.0, 2, 1.0)
    assert cheap.kl == pytest.approx(2e-4, abs=share / 50)
    two = Rounded(2e-2, rounding)
    dear = shortened(two.cost, two.place, share, two.less_rounding)
    assert 2e-2 * dear.scale**2 == pytest.approx(share, rel=0.02)
    assert dear.kl == pytest.approx(share, rel=0.05)
    three = Rounded(2e-4, rounding)
    assert shortened(three.cost, three.place, share).scale == 0, "without it every step is undone"


def test_rounding_is_looked_for_in_a_narrow_type_alone(tmp_path: Path) -> None:
    run = trained("rlpo", tmp_path / "narrow", lr=1e-3, kl_cap=1e-4, compute="bfloat16")
    assert len(logged(run, "kl_rounding")) == 4
    assert max(logged(run, "kl_rounding")) > 0
    assert logged(trained("rlpo", tmp_path / "wide", lr=1e-3, kl_cap=1e-4), "kl_rounding") == []
