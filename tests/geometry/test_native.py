"""AdaLoRA, VeRA and MiSS: the change that `inspect` and the callback read is the one that PEFT merges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AdaLoraConfig, MissConfig, PeftModel, VeraConfig, get_peft_model

import stiefel
from stiefel import UserError
from stiefel.artifacts import read_jsonl
from stiefel.geometry import inspect
from stiefel.geometry.live import GeometryCallback
from stiefel.training.adalora import allocate, plan_budget, ranks

from .merged import close_to

METHODS = {
    "adalora": {"r": 4, "alpha": 8},
    "vera": {"r": 6},
    "miss": {"r": 5},
}  # 5 divides no width: a last, short shard
COMMON: dict[str, Any] = {"task_type": "CAUSAL_LM"}
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CONFIGS = {
    "AdaLoRA": AdaLoraConfig(init_r=6, target_r=4, lora_alpha=8, total_step=10, target_modules=LINEAR, **COMMON),
    "VeRA": VeraConfig(r=6, target_modules=LINEAR, **COMMON),
    "MiSS": MissConfig(r=5, target_modules=LINEAR, **COMMON),
}


class State:
    """What a callback reads of the Trainer's state at the first update of one."""

    global_step, max_steps, is_world_process_zero = 0, 1, True


@pytest.fixture(scope="module")
def base(make_model, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "base"
    make_model().save_pretrained(directory)
    return directory


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_one_has_the_figures_of_the_merged_model_and_of_the_callback(
    method, base, make_model, take_steps, tmp_path
) -> None:
    model = stiefel.attach(make_model(), method, **METHODS[method])
    callback = GeometryCallback(tmp_path / "geometry.jsonl", model, 1)
    take_steps(model)
    callback.on_pre_optimizer_step(None, State(), None)
    callback.on_optimizer_step(None, State(), None)
    callback.on_log(None, State(), None, logs={"grad_norm": 1.0})
    (row,) = read_jsonl(tmp_path / "geometry.jsonl")
    stiefel.save(model, tmp_path / "adapter")
    found = inspect(tmp_path / "adapter", str(base))
    assert (found.method, found.rank, len(found.layers)) == (method, METHODS[method]["r"], 14)
    assert not found.left_out
    before, merged = make_model().double(), model.double().merge_and_unload()
    for layer, live in zip(found.layers, row["layers"], strict=True):
        assert layer.directions == METHODS[method]["r"]  # AdaLoRA's budget, not what it starts from
        assert layer.start_norm == 0.0
        assert (layer.similarity_top is None) == (method != "adalora")  # the others train no factor A
        close_to(merged, before, layer, relative=1e-5)
        for figure in live.keys() - {"name", "grad_norm"}:
            assert live[figure] == pytest.approx(vars(layer)[figure], rel=1e-5, abs=1e-9), figure
        assert live["grad_norm"] > 0


def test_the_triplets_that_adalora_cut_are_not_counted(base, make_model, take_steps, tmp_path) -> None:
    model = stiefel.attach(make_model(), "adalora", r=2, alpha=8, tinit=0.0, tfinal=0.0)
    plan_budget(model, 4)
    for step in range(1, 5):
        take_steps(model, 1)
        allocate(model, step)
    left = ranks(model)
    assert sum(left.values()) == 2 * 14
    stiefel.save(model, tmp_path / "adapter")
    for layer in inspect(tmp_path / "adapter", str(base)).layers:
        assert layer.directions == 2
        assert (layer.delta_norm > 0) == (left[layer.name] > 0)
        assert layer.effective_rank is None or layer.effective_rank <= left[layer.name] + 1e-9


@pytest.mark.parametrize("name", CONFIGS)
def test_one_that_peft_wrote_is_read_like_ours(name, base, make_model, take_steps, tmp_path) -> None:
    model = get_peft_model(make_model(), CONFIGS[name])
    take_steps(model)
    model.save_pretrained(tmp_path / "adapter")
    found = inspect(tmp_path / "adapter", str(base))
    assert (found.method, found.rank) == (name, {"AdaLoRA": 4, "VeRA": 6, "MiSS": 5}[name])
    merged = PeftModel.from_pretrained(make_model(), tmp_path / "adapter").double().merge_and_unload()
    for layer in found.layers:
        close_to(merged, make_model().double(), layer, relative=1e-5)


def test_another_base_is_refused(base, make_model, take_steps, tmp_path) -> None:
    make_model(intermediate_size=56).save_pretrained(tmp_path / "wider")
    other = make_model()
    with torch.no_grad():
        other.model.layers[1].mlp.up_proj.weight[0, 0] += 1.0
    other.save_pretrained(tmp_path / "other")
    for method, settings in METHODS.items():
        stiefel.save(stiefel.attach(make_model(), method, **settings), tmp_path / method)
        for place in ("wider", "other"):
            with pytest.raises(UserError, match="does not fit this base"):
                inspect(tmp_path / method, str(tmp_path / place))
    for name, config in CONFIGS.items():  # without a certificate, by shape
        get_peft_model(make_model(), config).save_pretrained(tmp_path / name)
        with pytest.raises(UserError, match="does not fit this base"):
            inspect(tmp_path / name, str(tmp_path / "wider"))


def test_what_its_files_do_not_hold_is_named(base, make_model, tmp_path) -> None:
    with pytest.warns(UserWarning, match="save_projection"):
        alone = VeraConfig(r=6, target_modules=LINEAR, save_projection=False, **COMMON)
    get_peft_model(make_model(), alone).save_pretrained(tmp_path / "alone")
    with pytest.raises(UserError, match="frozen projections"):
        inspect(tmp_path / "alone", str(base))
    bat = MissConfig(r=4, init_weights="bat", target_modules=["q_proj"], **COMMON)
    get_peft_model(make_model(), bat).save_pretrained(tmp_path / "bat")
    with pytest.raises(UserError, match="'bat'"):
        inspect(tmp_path / "bat", str(base))
