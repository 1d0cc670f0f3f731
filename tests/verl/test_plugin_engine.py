"""verl's real FSDP engine with the plug-in: its start, its reference, what it trains and what it sends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

import stiefel
from stiefel.adapter import FACTORS_FILE, anchored_factors, export, lora_layers
from stiefel.artifacts import read_json, read_jsonl
from stiefel.errors import UserError
from stiefel.verl.engine import StiefelEngine
from stiefel.verl.given import Given
from stiefel.verl.launching import launch
from stiefel.verl.residual import started_factors
from stiefel.verl.resumed import trained_with

from .engines import dapo, log_probs, make_engine, nano, rollout, update, verls_own
from .recipes import launched

METHODS = ("lora", "rlpo", "pissa", "geora")
ANCHORED = ("pissa", "geora")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of every method, and PiSSA's residual one."""
    place = tmp_path_factory.mktemp("adapters")
    for method in METHODS:
        stiefel.prepare("nano", method, place / method, r=4, alpha=8)
    export(place / "pissa", "nano", "residual", place / "residual")
    return place


@pytest.fixture(scope="module")
def base() -> torch.Tensor:
    """The log-probabilities of the rollout's tokens under verl's own engine around the bare model."""
    return log_probs(make_engine(None), rollout())


def residual(adapters: Path) -> Any:
    return make_engine(adapters / "residual", str(adapters / "residual" / "base"))


def parameters(engine: Any) -> dict[str, torch.Tensor]:
    return {
        name: parameter.detach().full_tensor().clone() if isinstance(parameter, DTensor) else parameter.detach().clone()
        for name, parameter in engine.module.named_parameters()
    }


def test_verl_builds_our_engine_by_its_own_registry(adapters: Path):
    assert type(make_engine(adapters / "rlpo")) is not FSDPEngineWithLMHead
    assert isinstance(make_engine(adapters / "rlpo"), StiefelEngine)


def test_the_plug_in_needs_no_trl():
    """Which verl's environment need not have."""
    program = (
        "import sys; from tests.verl.platform import on_cpu; on_cpu(); import stiefel.verl.plugin; "
        "assert 'stiefel.verl.engine' in sys.modules; assert not {'trl', 'vllm'} & sys.modules.keys()"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, cwd=root, capture_output=True)


@pytest.mark.parametrize("method", METHODS)
def test_the_start_and_the_reference_are_the_base_bit_for_bit(method: str, adapters: Path, base: torch.Tensor):
    engine = make_engine(adapters / method)
    assert torch.equal(log_probs(engine, rollout()), base)
    update(engine, rollout())
    assert not torch.equal(log_probs(engine, rollout()), base)
    assert torch.equal(log_probs(engine, rollout(), base=True), base)


def test_a_residual_adapter_has_the_base_for_its_reference_up_to_rounding(adapters: Path, base: torch.Tensor):
    engine = residual(adapters)
    start = log_probs(engine, rollout())
    update(engine, rollout())
    reference = log_probs(engine, rollout(), base=True)
    assert torch.equal(reference, start)  # it does not move while the policy does
    with engine.eval_mode(), PeftModel.disable_adapter(engine.module):  # what verl would take
        wrong = log_probs(engine, rollout())
    error, trap = (reference - base).abs().max(), (wrong - base).abs().max()
    assert error < 1e-3 * trap  # W − sB₀A₀ is rounded to float32 once; verl's reference leaves sB₀A₀ out
    assert trap > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_in_bfloat16_too_the_start_and_the_reference_are_the_base_and_factors_stay_float32(method: str, tmp_path: Path):
    """As on GPUs: a bfloat16 base, bfloat16 products, float32 factors and gradients' sums."""
    rounded = {"model_dtype": "bf16", "mixed_precision": {"param_dtype": "bf16", "reduce_dtype": "fp32"}}
    stiefel.prepare("nano", method, tmp_path / "adapter", r=4, alpha=8, dtype="bfloat16")
    expected = log_probs(make_engine(None, **rounded), rollout())
    engine = make_engine(tmp_path / "adapter", lr=1e-5, **rounded)
    assert torch.equal(log_probs(engine, rollout()), expected)
    before = parameters(engine)
    payload = {name: tensor.clone() for name, tensor in engine.get_per_tensor_param(base_sync_done=True)[0]}
    for seed in range(2):
        update(engine, rollout(seed))
    assert torch.equal(log_probs(engine, rollout(), base=True), expected)
    after = parameters(engine)
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(moved) == 2 * 28
    assert {after[name].dtype for name in moved} == {torch.float32}
    assert {value.dtype for name, value in after.items() if name not in moved} == {torch.bfloat16}
    sent = dict(engine.get_per_tensor_param(base_sync_done=True)[0])
    assert {tensor.dtype for tensor in sent.values()} == {torch.float32}
    # steps of 1e-5 are below half of bfloat16's unit at the factors' own size, and are sent all the same
    assert max((sent[name] - payload[name]).abs().max() for name in sent) > 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_an_update_moves_what_the_method_trains_and_nothing_else(method: str, adapters: Path):
    engine = make_engine(adapters / method)
    before, anchors = parameters(engine), [f.anchor.clone() for f in anchored_factors(engine.module)]
    update(engine, rollout())
    update(engine, rollout())  # B = 0 keeps A where it is for one
    moved = {name for name, value in parameters(engine).items() if not torch.equal(value, before[name])}
    word = "delta" if method in ANCHORED else "weight"
    assert moved == {name for name in before if name.endswith(f"default.{word}")}
    assert len(moved) == 2 * 28
    assert all(torch.equal(f.anchor, a) for f, a in zip(anchored_factors(engine.module), anchors, strict=True))
    assert all(value.dtype == torch.float32 for name, value in before.items() if name in moved)


@pytest.mark.parametrize("method", METHODS)
def test_a_sync_sends_exactly_the_factors(method: str, adapters: Path):
    engine = make_engine(adapters / method)
    update(engine, rollout())
    tensors, config = engine.get_per_tensor_param(base_sync_done=True)
    payload = dict(tensors)
    expected = {}
    for name, layer in lora_layers(engine.module):
        for side, factors in (("A", layer.lora_A), ("B", layer.lora_B)):
            factor = factors["default"]
            if method in ANCHORED:
                delta = factor.delta.full_tensor()
                whole = (
                    torch.cat([factor.anchor + delta, delta])
                    if side == "A"
                    else torch.cat([delta, factor.anchor], dim=1)
                )
            else:
                whole = factor.weight.full_tensor()
            expected[f"base_model.model.{name}.lora_{side}.weight"] = whole
    assert payload.keys() == expected.keys()
    assert all(torch.equal(payload[name], expected[name]) for name in expected)
    saved = read_json(adapters / method / "adapter_config.json")
    assert (
        (config["r"], config["lora_alpha"])
        == (saved["r"], saved["lora_alpha"])
        == ((8, 16) if method in ANCHORED else (4, 8))
    )


def test_what_was_sent_plays_the_policy_in_plain_peft(adapters: Path, tmp_path: Path):
    engine = make_engine(adapters / "pissa")
    update(engine, rollout())
    tensors, _ = engine.get_per_tensor_param(base_sync_done=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors}, tmp_path / FACTORS_FILE)
    (tmp_path / "adapter_config.json").write_bytes((adapters / "pissa" / "adapter_config.json").read_bytes())
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(nano()), str(tmp_path))
    ids = torch.arange(20).view(2, 10)
    with torch.no_grad(), engine.eval_mode():
        assert torch.equal(plain(input_ids=ids).logits, engine.module(input_ids=ids).logits)


def test_merged_weights_are_the_policy_and_the_base_stays(adapters: Path):
    engine = make_engine(adapters / "pissa", lora={"merge": True})
    update(engine, rollout())
    before = parameters(engine)
    tensors, config = engine.get_per_tensor_param(base_sync_done=True)
    assert config is None
    sent = dict(tensors)
    merged = AutoModelForCausalLM.from_pretrained(nano())
    missing = merged.load_state_dict(sent, strict=False)
    assert missing.unexpected_keys == []
    assert set(missing.missing_keys) <= {"lm_head.weight"}  # tied
    after = parameters(engine)
    assert all(torch.equal(before[name], after[name]) for name in before)
    ids = torch.arange(20).view(2, 10)
    with torch.no_grad(), engine.eval_mode():
        policy, start = engine.module(input_ids=ids).logits, AutoModelForCausalLM.from_pretrained(nano())(ids).logits
        assert (merged(ids).logits - policy).abs().max() < 1e-4 * (policy - start).abs().max()


def test_the_kl_to_the_base_and_the_survival_are_in_verls_metrics_and_syncs_in_the_run(
    adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = tmp_path / "verl.json"
    given.write_text(json.dumps({"kl_every": 1, "run": str(tmp_path), "rollout_dtype": "bfloat16"}))
    monkeypatch.setenv("STIEFEL_VERL", str(given))
    engine = make_engine(adapters / "pissa")
    dict(engine.get_per_tensor_param(base_sync_done=True)[0])
    log_probs(engine, rollout())
    first = update(engine, rollout())
    assert first["kl_base"] == [0.0]
    assert "sync_survival" not in first  # nothing has moved yet
    dict(engine.get_per_tensor_param(base_sync_done=True)[0])
    data = rollout()
    policy, reference = log_probs(engine, data), log_probs(engine, data, base=True)
    second = update(engine, data)
    mask = torch.zeros_like(policy)
    ends = data["input_ids"].offsets()[1:]
    for row, end in enumerate(ends.tolist()):
        tokens = int(data["response_mask"][row].sum())
        mask[end - tokens - 1 : end - 1] = 1  # a token's log-probability stands where the one before it does
    ratio = (reference - policy).double()
    k3 = ((ratio.exp() - 1 - ratio) * mask).sum() / mask.sum()
    assert second["kl_base"][0] == pytest.approx(float(k3), rel=1e-6)
    assert second["kl_base"][0] > 0
    assert second["sync_survival"][0] == pytest.approx(1.0, abs=5e-3)
    assert 0 < second["sync_error"][0] < 5e-3
    rows = read_jsonl(tmp_path / "syncs.jsonl")
    assert [(row["step"], row["all"] is None) for row in rows] == [(1, True), (2, False)]
    assert rows[1]["all"] == [second["sync_survival"][0], second["sync_error"][0]]


@pytest.mark.parametrize("method", [*METHODS, "residual"])
@pytest.mark.parametrize("decay_on", ["delta", "factors"])
def test_weight_decay_pulls_where_it_is_told_to(
    method: str, decay_on: str, adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = tmp_path / "verl.json"
    given.write_text(json.dumps({"weight_decay_on": decay_on}))
    monkeypatch.setenv("STIEFEL_VERL", str(given))
    lr, wd = 0.05, 0.2
    steps = {}
    for decay in (0.0, wd):
        model = str(adapters / "residual" / "base") if method == "residual" else ""
        engine = make_engine(adapters / method, model, lr=lr, weight_decay=decay)
        steps[decay] = before, after = parameters(engine), {}
        update(engine, rollout())
        after |= parameters(engine)
    starts = started_factors(engine.module)
    factors = anchored_factors(engine.module)
    (before, plain), (_, decayed) = steps[0.0], steps[wd]
    names = [name for name in before if "lora" in name]
    pulls = {name: plain[name] - decayed[name] for name in names}
    centres = [f.anchor for f in factors] or [s.start for s in starts] or [None] * len(names)
    anchors = dict(zip(names, centres, strict=True))
    for name in names:
        value = before[name]  # what decays by lr·wd of itself: A and B as published, or the change
        if method in ANCHORED:
            value = anchors[name] if decay_on == "factors" else torch.zeros_like(value)
        elif method == "residual" and decay_on == "delta":
            value = torch.zeros_like(value)
        scale = float(before[name].abs().max() + plain[name].abs().max() + value.abs().max())
        assert (pulls[name] - lr * wd * value).abs().max() <= 4 * torch.finfo(torch.float32).eps * scale, name


def test_dropout_is_what_the_recipe_says_whatever_the_directory_says(
    adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    directory = tmp_path / "adapter"
    directory.mkdir()
    for path in (adapters / "rlpo").iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    config = read_json(directory / "adapter_config.json")
    (directory / "adapter_config.json").write_text(json.dumps({**config, "lora_dropout": 0.05}))
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(nano()), str(directory), is_trainable=True)
    assert rates(plain) == {0.05}  # verl's own loader keeps it
    assert rates(make_engine(directory).module) == {0.0}
    given = tmp_path / "verl.json"
    given.write_text(json.dumps({"dropout": 0.1}))
    monkeypatch.setenv("STIEFEL_VERL", str(given))
    engine = make_engine(directory)
    assert rates(engine.module) == {0.1}
    assert torch.equal(log_probs(engine, rollout()), log_probs(make_engine(None), rollout()))  # none when scoring


def test_dropout_is_on_the_factors_where_the_recipe_says_so(
    adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = tmp_path / "verl.json"
    given.write_text(json.dumps({"dropout": 0.1, "dropout_on": "factors"}))
    monkeypatch.setenv("STIEFEL_VERL", str(given))
    for method in METHODS:
        remembering = [layer.lora_A["default"] for _, layer in lora_layers(make_engine(adapters / method).module)]
        assert all(factor.lost_of is not None for factor in remembering if method in ANCHORED)
    assert rates(make_engine(adapters / "pissa").module) == {0.1}


def rates(model: Any) -> set[float]:
    found = [layer.lora_dropout["default"] for _, layer in lora_layers(model)]
    return {one.p if isinstance(one, torch.nn.Dropout) else 0.0 for one in found}


def test_verl_alone_ignores_an_adapter_of_rank_0_and_trains_every_factor_of_an_anchored_one(adapters: Path):
    engine = verls_own(adapters / "pissa", lora_rank=0)
    assert not isinstance(engine.module, PeftModel)
    assert all(parameter.requires_grad for parameter in engine.module.parameters())
    engine = verls_own(adapters / "pissa")
    before = {name: value for name, value in parameters(engine).items() if "lora_" in name}
    with engine.train_mode():
        for seed in range(2):  # at the first the anchors' gradients are 0, as the changes are
            engine.train_batch(rollout(seed), dapo())
    after = parameters(engine)
    for name in [name for name in before if "lora_B" in name]:  # [ΔB, B₀]
        assert not torch.equal(after[name][:, 4:], before[name][:, 4:])


def test_what_verl_would_get_wrong_in_silence_is_refused(adapters: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"lora_rank = 0, and the adapter in .* says 8"):
        make_engine(adapters / "pissa", lora_rank=0)
    with pytest.raises(UserError, match=r"lora_alpha = 8, and the adapter in .* says 16"):
        make_engine(adapters / "pissa", lora_alpha=8)
    with pytest.raises(UserError, match=r"strategy = fsdp with a Stiefel adapter"):
        make_engine(adapters / "pissa", strategy="fsdp")
    with pytest.raises(UserError, match=r"without model\.lora_adapter_path"):
        make_engine(None, lora_rank=8)
    with pytest.raises(UserError, match="residual/base"):
        make_engine(adapters / "residual")
    other = AutoModelForCausalLM.from_pretrained(nano())
    with torch.no_grad():
        other.model.layers[0].mlp.up_proj.weight[0, 0] += 1
    other.save_pretrained(tmp_path / "other")
    for path in Path(nano()).glob("*token*"):
        (tmp_path / "other" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="made for another base"):
        make_engine(adapters / "pissa", str(tmp_path / "other"))
    with pytest.raises(UserError, match="optimizer = SGD"):
        make_engine(adapters / "pissa", optimizer="SGD")


def test_a_saved_pissa_of_peft_would_move_the_base_and_is_refused(adapters: Path, tmp_path: Path):
    directory = tmp_path / "adapter"
    directory.mkdir()
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(nano()), str(adapters / "lora"))
    plain.save_pretrained(str(directory))
    config = read_json(directory / "adapter_config.json")
    (directory / "adapter_config.json").write_text(json.dumps({**config, "init_lora_weights": "pissa"}))
    bare = AutoModelForCausalLM.from_pretrained(nano())
    ids = torch.arange(20).view(2, 10)
    with torch.no_grad():
        start = bare(ids).logits
        loaded = PeftModel.from_pretrained(bare, str(directory))  # as verl's engine does
        with loaded.disable_adapter():
            assert (loaded(ids).logits - start).abs().max() > 0.1
    with pytest.raises(UserError, match="init_lora_weights = 'pissa'"):
        make_engine(directory)


def test_a_launch_tells_the_plug_in_what_the_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    changes = ("adapter.method=pissa", "adapter.dropout=0.1", "optim.weight_decay_on=factors", "run.kl_every=3")
    recipe = launched("nano-dapo", *changes)
    home = launch(recipe, "…", tmp_path / "run" / "launch.sh", say=lambda line: None).parent
    monkeypatch.setenv("STIEFEL_VERL", str(home / "verl.json"))
    engine = make_engine(home / "adapter")
    assert engine.given == Given(
        weight_decay_on="factors",
        dropout=0.1,
        kl_every=3,
        rollout_dtype=recipe.model.dtype,
        run=str(home),
        settings=trained_with(recipe),
    )
    assert rates(engine.module) == {0.1}


def test_the_settings_beside_the_adapter_are_checked(adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STIEFEL_VERL", str(tmp_path / "absent.json"))
    with pytest.raises(UserError, match=r"absent\.json is no file"):
        make_engine(adapters / "rlpo")
    (tmp_path / "verl.json").write_text(json.dumps({"weight_decay_on": "nothing"}))
    monkeypatch.setenv("STIEFEL_VERL", str(tmp_path / "verl.json"))
    with pytest.raises(UserError, match="weight_decay_on"):
        make_engine(adapters / "rlpo")
