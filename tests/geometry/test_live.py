"""The callback in real runs on nano: its rows are what `inspect` and the Trainer say, and it changes nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import stiefel
from stiefel import UserError
from stiefel.artifacts import read_jsonl
from stiefel.geometry import inspect
from stiefel.geometry.live import GeometryCallback
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.tasks import find_task
from stiefel.training.rewards import GradedReward
from stiefel.training.settings import grpo_config, rate_factor

RECIPE = {
    "optim": {"rollouts": 4, "updates_per_rollout": 2, "lr": 1e-3},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 32},
    "run": {"threads": 1, "seed": 3},
}
GUARDED = {"max_grad_norm": 0.05}  # every update is clipped


def train(method: str, out: Path, *, every: int = 0, **settings: Any) -> tuple[Any, list[dict[str, float]]]:
    """A run of four rollouts; the trained model, and the Trainer's logs."""
    recipe = make_recipe({**RECIPE, "optim": {**RECIPE["optim"], **settings}})
    model = stiefel.attach(load_model("nano"), method, r=8, alpha=16, seed=3)
    callbacks = [GeometryCallback(out / "geometry.jsonl", model, every, updates_per_rollout=2)] if every else []
    rows = find_task(recipe.task.name).rows("train", 16, 3)
    trainer = stiefel.GRPOTrainer(
        model,
        GradedReward(find_task(recipe.task.name).grader),
        grpo_config(recipe, out / "checkpoints"),
        Dataset.from_list([{"prompt": row.prompt, "answer": row.answer} for row in rows]),
        processing_class=load_tokenizer("nano"),
        callbacks=callbacks,
        rate_factor=rate_factor(recipe.optim),
    )
    trainer.train()
    stiefel.save(model, out / "adapter")
    return model, [log for log in trainer.state.log_history if "grad_norm" in log]


@pytest.mark.parametrize("method", ["rlpo", "pissa"])
def test_rows_are_those_of_inspect_and_of_the_trainer(method, tmp_path) -> None:
    _, logs = train(method, tmp_path, every=3, **GUARDED)
    rows = read_jsonl(tmp_path / "geometry.jsonl")
    assert [row["step"] for row in rows] == [1, 3, 4]  # the first, every third and the last
    for row in rows:
        logged = logs[2 * row["step"] - 1]["grad_norm"]  # of the rollout's second update
        assert logged > GUARDED["max_grad_norm"], "the test wants clipped gradients"
        # the clipped gradients are in float32, and their factor is the bound over (norm + 1e-6)
        assert math.hypot(*row["summary"]["grad_norm"].values()) == pytest.approx(logged, rel=1e-5)
        assert math.hypot(*(layer["grad_norm"] for layer in row["layers"])) == pytest.approx(logged, rel=1e-5)
    found = inspect(tmp_path / "adapter", "nano")
    for live, after in zip(rows[-1]["layers"], found.layers, strict=True):
        assert live["name"] == after.name
        for figure in live.keys() - {"name", "grad_norm"}:
            assert live[figure] == pytest.approx(vars(after)[figure], rel=1e-6, abs=1e-9), figure
    assert rows[-1]["summary"]["delta_norm"] == pytest.approx(found.summary["delta_norm"])
    assert rows[-1]["summary"]["s_head"] == pytest.approx(found.summary["s_head"])
    assert rows[-1]["summary"]["grad_norm"].keys() == found.summary["by_kind"].keys()
    assert rows[0]["summary"]["delta_norm"] < rows[-1]["summary"]["delta_norm"]


def test_watching_changes_no_bit_of_the_training(tmp_path) -> None:
    for name, every in (("watched", 1), ("alone", 0)):
        (tmp_path / name).mkdir()
        train("rlpo", tmp_path / name, every=every)
    watched, alone = (
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("watched", "alone")
    )
    assert all(torch.equal(watched[name], alone[name]) for name in alone)


@pytest.mark.parametrize("method", ["rlpo", "rlpo+dora", "adalora"])
def test_gradients_by_kind_are_those_of_the_parameters(method, tmp_path) -> None:
    """One backward pass by hand, without the Trainer."""
    model = stiefel.attach(load_model("nano"), method, r=8, alpha=16)
    callback = GeometryCallback(tmp_path / "geometry.jsonl", model, 1)
    ids = torch.arange(3, 27).view(2, 12)
    model(input_ids=ids, labels=ids).loss.backward()
    state = State()
    callback.on_pre_optimizer_step(None, state, None)
    callback.on_optimizer_step(None, state, None)
    callback.on_log(None, state, None, logs={"loss": 1.0})  # the summary at the end has no gradient: no row
    assert not (tmp_path / "geometry.jsonl").exists()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    total = float(torch.stack([gradient.norm() for gradient in gradients.values()]).norm())
    callback.on_log(None, state, None, logs={"grad_norm": total})
    (row,) = read_jsonl(tmp_path / "geometry.jsonl")
    expected = torch.stack([gradient.norm() for name, gradient in gradients.items() if "q_proj" in name]).norm()
    assert row["summary"]["grad_norm"]["self_attn.q_proj"] == pytest.approx(float(expected), rel=1e-5)


class State:
    """What a callback reads of the Trainer's state at the first update of one."""

    global_step, max_steps, is_world_process_zero = 0, 1, True


def test_full_weights_are_watched_from_their_own_start(make_model, take_steps, tmp_path) -> None:
    model = make_model()
    model.save_pretrained(tmp_path / "base")
    callback = GeometryCallback(tmp_path / "geometry.jsonl", model, 1)
    take_steps(model)
    gradients = {name: float(p.grad.norm()) for name, p in model.named_parameters()}
    callback.on_pre_optimizer_step(None, State(), None)
    callback.on_optimizer_step(None, State(), None)
    callback.on_log(None, State(), None, logs={"grad_norm": 2.0})
    (row,) = read_jsonl(tmp_path / "geometry.jsonl")
    # the clipped gradient is that of all parameters, embeddings and norms too; the rows are those of the matrices
    part = math.hypot(*(norm for name, norm in gradients.items() if "_proj" in name)) / math.hypot(*gradients.values())
    assert part < 1
    assert math.hypot(*row["summary"]["grad_norm"].values()) == pytest.approx(2.0 * part, rel=1e-5)
    model.save_pretrained(tmp_path / "trained")
    after = inspect(tmp_path / "trained", str(tmp_path / "base"))
    for live, one in zip(row["layers"], after.layers, strict=True):
        for figure in ("delta_norm", "relative", "s_head", "s_head_left", "s_head_right", "effective_rank"):
            assert live[figure] == pytest.approx(vars(one)[figure], rel=1e-6)


# each learns through other modules: anchors, a frozen A, magnitudes, E, the model's own weights and entries of them
@pytest.mark.parametrize("method", ["pissa", "rlpo+lora_fa", "dora", "pissa+dora", "adalora", "full", "sparse"])
def test_every_method_with_a_change_per_matrix_is_watched(method, make_model, take_steps, tmp_path) -> None:
    base = make_model()
    model = stiefel.attach(make_model(), method, **({} if method in ("full", "sparse") else {"r": 4}))
    callback = GeometryCallback(tmp_path / "geometry.jsonl", model, 1)
    take_steps(model)
    callback.on_pre_optimizer_step(None, State(), None)
    callback.on_optimizer_step(None, State(), None)
    callback.on_log(None, State(), None, logs={"grad_norm": 1.0})
    (row,) = read_jsonl(tmp_path / "geometry.jsonl")
    merged = model.merge_and_unload() if isinstance(model, PeftModel) else model
    assert len(row["layers"]) == 14
    for layer in row["layers"]:
        before, after = (m.get_submodule(layer["name"]).weight.detach().double() for m in (base, merged))
        # the merged weights are rounded to float32: 2⁻²⁴ of W
        noise = 4 * 2**-24 * float(before.norm() / (after - before).norm())
        assert layer["delta_norm"] == pytest.approx(float((after - before).norm()), rel=noise)
    assert 0 < math.hypot(*row["summary"]["grad_norm"].values()) <= 1 + 1e-6


def test_a_figure_that_is_not_finite_is_null(make_model, tmp_path) -> None:
    model = stiefel.attach(make_model(), "lora", r=4)
    callback = GeometryCallback(tmp_path / "geometry.jsonl", model, 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(torch.nan)
    callback.on_pre_optimizer_step(None, State(), None)
    callback.on_optimizer_step(None, State(), None)
    callback.on_log(None, State(), None, logs={"grad_norm": math.nan})
    (row,) = read_jsonl(tmp_path / "geometry.jsonl")
    assert row["summary"]["delta_norm"] is None
    assert row["summary"]["effective_rank"] is None


def test_what_cannot_be_watched_is_refused(make_model, tmp_path) -> None:
    from peft import IA3Config, get_peft_model

    model = get_peft_model(
        make_model(), IA3Config(target_modules=["k_proj"], feedforward_modules=[], task_type="CAUSAL_LM")
    )
    with pytest.raises(UserError, match=r"geometry_every = 0"):
        GeometryCallback(tmp_path / "geometry.jsonl", model, 1)
    callback = GeometryCallback(tmp_path / "geometry.jsonl", stiefel.attach(make_model(), "lora", r=4), 1)

    class Arguments:
        logging_steps = 10

    with pytest.raises(UserError, match="logging_steps"):
        callback.on_train_begin(Arguments(), State(), None)


@pytest.mark.parametrize("method", ["rlpo", "pissa"])
def test_sharded_parameters_are_gathered(method, make_model, tmp_path) -> None:
    """FSDP2 replaces the parameters after the callback was made; one process stands for several."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        model = stiefel.attach(make_model(), method, r=4)
        callbacks = {name: GeometryCallback(tmp_path / name, model, 1) for name in ("plain", "sharded")}
        ids = torch.arange(20).view(2, 10)
        for name, callback in callbacks.items():
            if name == "sharded":
                model.zero_grad()
                mesh = init_device_mesh("cpu", (1,))
                for layer in model.get_base_model().model.layers:
                    fully_shard(layer, mesh=mesh)
                fully_shard(model, mesh=mesh)
            model(input_ids=ids, labels=ids).loss.backward()
            if name == "sharded":
                assert any(isinstance(parameter, DTensor) for parameter in model.parameters())
            callback.on_pre_optimizer_step(None, State(), None)
            callback.on_optimizer_step(None, State(), None)
            callback.on_log(None, State(), None, logs={"grad_norm": 1.0})
        plain, sharded = (read_jsonl(tmp_path / name)[0] for name in callbacks)
        assert sharded["summary"]["grad_norm"] == pytest.approx(plain["summary"]["grad_norm"], rel=1e-5)
        assert sharded["summary"]["similarity_top"] == plain["summary"]["similarity_top"]
    finally:
        dist.destroy_process_group()
