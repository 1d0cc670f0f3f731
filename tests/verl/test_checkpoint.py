"""A checkpoint of verl's real engine: it goes on bit for bit, and comes back as a certified adapter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor
from verl.model_merger.base_model_merger import ModelMergerConfig
from verl.model_merger.fsdp_model_merger import FSDPModelMerger

import stiefel
from stiefel.adapter import export, lora_layers, verify, whole
from stiefel.cli import main
from stiefel.errors import UserError
from stiefel.model import load_model
from stiefel.verl.checkpoint import adapter_of, verl_checkpoint

from .engines import log_probs, make_engine, rollout, update

METHODS = ("lora", "rlpo", "pissa", "geora")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("adapters")
    for method in METHODS:
        stiefel.prepare("nano", method, place / method, r=4, alpha=8)
    stiefel.prepare("nano", "pissa", place / "other", r=4, alpha=8, options={"sigma": "undivided"})
    return place


@pytest.fixture(scope="module", params=METHODS)
def trained(
    request: pytest.FixtureRequest, adapters: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path, Path]:
    """(engine after two updates, its checkpoint, the directory it started from)."""
    engine = make_engine(adapters / request.param, weight_decay=0.1)
    for seed in range(2):
        update(engine, rollout(seed))
    place = tmp_path_factory.mktemp("run") / "global_step_2" / "actor"
    engine.save_checkpoint(str(place), global_step=2)
    return engine, place, adapters / request.param


@pytest.fixture
def checkpoint(adapters: Path, tmp_path: Path) -> Path:
    engine = make_engine(adapters / "pissa")
    update(engine, rollout())
    place = tmp_path / "run" / "global_step_1" / "actor"
    engine.save_checkpoint(str(place), global_step=1)
    return place


def state(engine: Any) -> dict[str, torch.Tensor]:
    return {
        name: parameter.full_tensor().clone() if isinstance(parameter, DTensor) else parameter.detach().clone()
        for name, parameter in engine.module.named_parameters()
    }


def test_a_run_that_goes_on_is_the_run_that_was_not_interrupted(trained: tuple[Any, Path, Path]):
    _, place, adapter = trained
    straight = make_engine(adapter, weight_decay=0.1)
    for seed in range(2):
        update(straight, rollout(seed))
    resumed = make_engine(adapter, weight_decay=0.1)
    resumed.load_checkpoint(str(place))
    assert resumed.rollout == straight.rollout == 3
    for seed in range(2, 4):
        update(straight, rollout(seed))
        update(resumed, rollout(seed))
    expected, found = state(straight), state(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_exported_adapter_is_certified_and_plays_what_the_engine_plays(
    trained: tuple[Any, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    engine, place, _ = trained
    assert run("export", str(place.parent), "--base", "nano", "--as", "lora", "--out", str(tmp_path / "out")) == 0
    assert all(check.holds for check in verify(tmp_path / "out", "nano"))
    model = stiefel.load(load_model("nano", "float32"), tmp_path / "out")
    ids = torch.arange(20).view(2, 10)
    model.eval()
    with torch.no_grad(), engine.eval_mode():
        assert torch.equal(model(input_ids=ids).logits, engine.module(input_ids=ids).logits)
    for (name, mine), (_, theirs) in zip(lora_layers(model), lora_layers(engine.module), strict=True):
        for here, there in ((mine.lora_A, theirs.lora_A), (mine.lora_B, theirs.lora_B)):
            one, other = here["default"].weight, there["default"].weight
            other = other.full_tensor() if isinstance(other, DTensor) else other
            assert torch.equal(one, other), name
    assert run("verify", str(tmp_path / "out"), "--base", "nano") == 0
    assert run("inspect", str(tmp_path / "out"), "--base", "nano", "--json") == 0
    out = str(tmp_path / "scores")
    asked = ("--adapter", str(tmp_path / "out"), "--task", "nano-sort", "--limit", "4", "--out", out)
    assert run("eval", "nano", *asked) == 0
    capsys.readouterr()


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_merged_weights_of_a_checkpoint_play_its_policy(checkpoint: Path, adapters: Path, tmp_path: Path):
    engine = make_engine(adapters / "pissa")
    engine.load_checkpoint(str(checkpoint))
    assert run("export", str(checkpoint), "--base", "nano", "--as", "merged", "--out", str(tmp_path / "merged")) == 0
    ids = torch.arange(20).view(2, 10)
    merged, base = load_model(str(tmp_path / "merged"), "float32").eval(), load_model("nano", "float32").eval()
    with torch.no_grad(), engine.eval_mode():
        policy = engine.module(input_ids=ids).logits
        assert (merged(ids).logits - policy).abs().max() < 1e-4 * (base(ids).logits - policy).abs().max()


def test_a_checkpoint_of_full_fine_tuning_becomes_a_model(tmp_path: Path):
    engine = make_engine(None, lr=1e-3)
    update(engine, rollout())
    engine.save_checkpoint(str(tmp_path / "actor"), global_step=1)
    words = ["export", str(tmp_path / "actor"), "--base", "nano", "--as"]
    assert run(*words, "merged", "--out", str(tmp_path / "out")) == 0
    ids = torch.arange(20).view(2, 10)
    with torch.no_grad(), engine.eval_mode():
        policy = engine.module(input_ids=ids).logits
        assert torch.equal(load_model(str(tmp_path / "out"), "float32").eval()(ids).logits, policy)
    assert run(*words, "lora", "--out", str(tmp_path / "no")) == 2


def test_verls_own_merger_rounds_the_factors_and_ours_does_not(checkpoint: Path, tmp_path: Path):
    shutil.copytree(checkpoint, tmp_path / "actor")
    config = ModelMergerConfig(
        operation="merge",
        backend="fsdp",
        local_dir=str(tmp_path / "actor"),
        target_dir=str(tmp_path / "theirs"),
        hf_model_config_path=str(tmp_path / "actor" / "huggingface"),
        trust_remote_code=False,
    )
    FSDPModelMerger(config).merge_and_save()
    adapter_of(checkpoint, tmp_path / "ours")
    theirs = load_file(tmp_path / "theirs" / "lora_adapter" / "adapter_model.safetensors")
    ours = load_file(tmp_path / "ours" / "adapter_model.safetensors")
    assert theirs.keys() == ours.keys()
    assert {tensor.dtype for tensor in theirs.values()} == {torch.bfloat16}
    assert all(torch.equal(theirs[name], ours[name].to(torch.bfloat16)) for name in ours)  # [A₀ + ΔA; ΔA], rounded
    assert not any(torch.equal(theirs[name].to(torch.float32), ours[name]) for name in ours)


def test_the_base_that_verls_merger_writes_of_a_residual_adapter_is_the_residual(adapters: Path, tmp_path: Path):
    export(adapters / "pissa", "nano", "residual", tmp_path / "residual")
    engine = make_engine(tmp_path / "residual", str(tmp_path / "residual" / "base"))
    engine.save_checkpoint(str(tmp_path / "actor"), global_step=0)
    state = torch.load(tmp_path / "actor" / "model_world_size_1_rank_0.pt", weights_only=True)
    name = "model.layers.0.mlp.up_proj"
    base = whole(state[f"base_model.model.{name}.base_layer.weight"])
    W = load_model("nano", "float32").get_submodule(name).weight.detach()
    assert (base - W).norm() > 0.1 * W.norm()  # which its merger would give out as the model
    with pytest.raises(UserError, match="is of a residual adapter"):
        adapter_of(tmp_path / "actor", tmp_path / "out")


def test_a_run_stands_for_its_latest_checkpoint(checkpoint: Path):
    places = checkpoint.parents[1]
    assert verl_checkpoint(places) is None
    (places / "latest_checkpointed_iteration.txt").write_text("1")
    assert verl_checkpoint(places) == verl_checkpoint(checkpoint.parent) == verl_checkpoint(checkpoint) == checkpoint


def test_a_checkpoint_of_another_adapter_is_refused_by_name(checkpoint: Path, adapters: Path, tmp_path: Path):
    engine = make_engine(adapters / "other")
    before = log_probs(engine, rollout())
    with pytest.raises(UserError, match=r"is a checkpoint of another adapter than .*other"):
        engine.load_checkpoint(str(checkpoint))
    assert torch.equal(log_probs(engine, rollout()), before)
    shutil.rmtree(checkpoint / "start")
    with pytest.raises(UserError, match=r"has no start/"):
        engine.load_checkpoint(str(checkpoint))
    with pytest.raises(UserError, match=r"was not written with stiefel\.verl\.plugin"):
        adapter_of(checkpoint, tmp_path / "out")
    shutil.copytree(adapters / "other", checkpoint / "start")
    with pytest.raises(UserError, match=r"the shards are of another adapter"):
        adapter_of(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_rate_is_refused_by_name(
    adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its optimizer's states and its schedule would be taken over."""
    given = tmp_path / "verl.json"
    monkeypatch.setenv("STIEFEL_VERL", str(given))
    for lr in (1e-3, 1e-4):
        given.write_text(json.dumps({"settings": {"optim.lr": lr}}))
        engine = make_engine(adapters / "pissa", lr=lr)
        before = log_probs(engine, rollout())
        if lr == 1e-3:
            update(engine, rollout())
            engine.save_checkpoint(str(tmp_path / "actor"), global_step=1)
    with pytest.raises(UserError, match=r"was trained with optim.lr = 0.001, and this run has 0.0001"):
        engine.load_checkpoint(str(tmp_path / "actor"))
    assert torch.equal(log_probs(engine, rollout()), before)


def test_a_broken_or_missing_shard_is_refused_by_name(checkpoint: Path, tmp_path: Path, capsys: Any):
    shard = checkpoint / "model_world_size_1_rank_0.pt"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"rank_0\.pt cannot be read"):
        adapter_of(checkpoint, tmp_path / "out")
    shard.rename(checkpoint / "model_world_size_2_rank_1.pt")
    with pytest.raises(UserError, match=r"model_world_size_2_rank_0\.pt is missing"):
        adapter_of(checkpoint, tmp_path / "out")
    assert run("export", str(checkpoint), "--base", "nano", "--as", "lora", "--out", str(tmp_path / "out")) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Trick:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (eval, ("open('/tmp/never-written', 'w')",))


def test_a_shard_that_would_run_code_is_not_read(checkpoint: Path, tmp_path: Path):
    torch.save({"base_model.model.x.lora_A.default.weight": Trick()}, checkpoint / "model_world_size_1_rank_0.pt")
    with pytest.raises(UserError, match=r"rank_0\.pt cannot be read"):
        adapter_of(checkpoint, tmp_path / "out")


def test_another_base_is_refused(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = load_model("nano", "float32")
    with torch.no_grad():
        other.model.layers[0].mlp.up_proj.weight[0, 0] += 1
    other.save_pretrained(tmp_path / "other")
    assert (
        run(
            *(
                "export",
                str(checkpoint),
                "--base",
                str(tmp_path / "other"),
                "--as",
                "lora",
                "--out",
                str(tmp_path / "out"),
            )
        )
        == 2
    )
    assert "does not stand on" in capsys.readouterr().err


def test_a_checkpoint_with_the_adapter_alone_is_exported_too(checkpoint: Path, tmp_path: Path):
    """`actor.checkpoint.save_lora_only`: verl keeps the keys with lora_ in them."""
    path = checkpoint / "model_world_size_1_rank_0.pt"
    shard = torch.load(path, weights_only=True)
    adapter_of(checkpoint, tmp_path / "whole")
    torch.save({name: value for name, value in shard.items() if "lora_" in name}, path)
    adapter_of(checkpoint, tmp_path / "alone")
    for name in ("adapter_model.safetensors", "stiefel.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert json.loads((tmp_path / "alone" / "stiefel.json").read_text())["method"] == "pissa"
