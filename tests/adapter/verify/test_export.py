"""Exports, and other libraries' loaders, give the adapter's own policy."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from stiefel.adapter.attached import attach
from stiefel.adapter.exported import export
from stiefel.adapter.files import CONFIG_FILE, FACTORS_FILE
from stiefel.adapter.saved import load, save
from stiefel.adapter.streamed import prepare
from stiefel.adapter.verified import verify
from stiefel.artifacts import read_json
from stiefel.errors import UserError
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH

IDS = torch.tensor([[1, 4, 5, 13, 6, 7, 18, 19]])
METHODS = ("rlpo", "pissa", "milora", "geora")
# float32 sums over 128 to 384 terms, four layers deep, in another order: logits of size ten, some hundred units
BOUND = 2e-4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters that have moved from their start."""
    place = tmp_path_factory.mktemp("trained")
    for method in METHODS:
        prepare("nano", method, place / "start" / method, r=4, alpha=8)
        model = load(load_model("nano"), place / "start" / method)
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data.add_(0.02 * torch.randn(parameter.shape, generator=generator))
        save(model, place / method)
    return place


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits


def expected(directory: Path) -> torch.Tensor:
    return logits(load(load_model("nano"), directory))


@pytest.mark.parametrize("method", METHODS)
def test_the_adapter_moved(method: str, trained: Path) -> None:
    assert (expected(trained / method) - logits(load_model("nano"))).abs().max() > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_a_plain_lora_is_loaded_by_peft(method: str, trained: Path, tmp_path: Path) -> None:
    export(trained / method, "nano", "lora", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [CONFIG_FILE, FACTORS_FILE]
    assert torch.equal(
        logits(PeftModel.from_pretrained(load_model("nano"), tmp_path / "out")), expected(trained / method)
    )


@pytest.mark.parametrize("method", METHODS)
def test_merged_weights_are_the_adapted_policy(method: str, trained: Path, tmp_path: Path) -> None:
    export(trained / method, "nano", "merged", tmp_path / "out")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (logits(merged) - expected(trained / method)).abs().max() < BOUND


@pytest.mark.parametrize("method", ["pissa", "milora", "geora"])
def test_the_residual_form_is_the_adapted_policy(method: str, trained: Path, tmp_path: Path) -> None:
    export(trained / method, "nano", "residual", tmp_path / "out")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "base")
    adapted = PeftModel.from_pretrained(base, tmp_path / "out")
    assert adapted.peft_config["default"].r == 4
    assert (logits(adapted) - expected(trained / method)).abs().max() < BOUND


def test_a_method_that_leaves_the_base_alone_has_no_residual_form(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no residual form"):
        export(trained / "rlpo", "nano", "residual", tmp_path / "out")
    with pytest.raises(UserError, match="did you mean merged"):
        export(trained / "rlpo", "nano", "merge", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["merged", "residual"])
def test_the_written_type_may_be_another_than_the_bases(form: str, trained: Path, tmp_path: Path) -> None:
    """The sum is formed in float32 and rounded once: to the bit the float32 export, rounded."""
    for dtype in ("auto", "bfloat16"):
        export(trained / "pissa", "nano", form, tmp_path / dtype, dtype=dtype)
    place = Path("base" if form == "residual" else ".")
    whole, rounded = (load_file(tmp_path / dtype / place / "model.safetensors") for dtype in ("auto", "bfloat16"))
    assert whole.keys() == rounded.keys()
    assert all(torch.equal(whole[name].bfloat16(), rounded[name]) for name in whole)


def test_an_adapter_made_for_another_type_is_merged_into_weights_of_that_type(tmp_path: Path) -> None:
    prepare("nano", "pissa", tmp_path / "made", r=4, alpha=8, dtype="bfloat16")
    with pytest.raises(UserError, match="another base"):
        export(tmp_path / "made", "nano", "merged", tmp_path / "out")
    export(tmp_path / "made", "nano", "merged", tmp_path / "out", dtype="bfloat16")
    merged, base = AutoModelForCausalLM.from_pretrained(tmp_path / "out"), load_model("nano", "bfloat16")
    assert torch.equal(logits(merged), logits(base))


def test_an_adapter_is_not_replaced_by_its_export(trained: Path) -> None:
    before = {path.name: path.read_bytes() for path in (trained / "pissa").iterdir()}
    with pytest.raises(UserError, match="itself"):
        export(trained / "pissa", "nano", "lora", trained / "start" / ".." / "pissa", force=True)
    assert {path.name: path.read_bytes() for path in (trained / "pissa").iterdir()} == before


def test_a_plain_lora_is_written_without_loading_the_model(trained: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", None)
    export(trained / "rlpo", "nano", "lora", tmp_path / "out")
    (tmp_path / "other").mkdir()
    for path in NANO_PATH.iterdir():
        (tmp_path / "other" / path.name).write_bytes(path.read_bytes())
    weights = load_file(NANO_PATH / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] += 1
    save_file(weights, tmp_path / "other" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"layers\.0\.mlp\.up_proj"):
        export(trained / "rlpo", str(tmp_path / "other"), "lora", tmp_path / "out", force=True)


@pytest.mark.parametrize("method", METHODS)
def test_transformers_loads_it(method: str, trained: Path) -> None:
    model = load_model("nano")
    model.load_adapter(str(trained / method))
    assert torch.equal(logits(model), expected(trained / method))


@pytest.mark.parametrize("method", METHODS)
def test_peft_merges_it(method: str, trained: Path) -> None:
    adapted = PeftModel.from_pretrained(load_model("nano"), trained / method)
    assert (logits(adapted.merge_and_unload(safe_merge=True)) - expected(trained / method)).abs().max() < BOUND
    ours = load(load_model("nano"), trained / method)
    assert (logits(ours.merge_and_unload(safe_merge=True)) - expected(trained / method)).abs().max() < BOUND


def test_peft_adds_two_of_them(trained: Path) -> None:
    """The weighted sum of two adapters is the sum of their changes, the anchors included."""
    adapted = PeftModel.from_pretrained(load_model("nano"), trained / "pissa", adapter_name="one")
    adapted.load_adapter(str(trained / "geora"), adapter_name="two")
    adapted.add_weighted_adapter(["one", "two"], [0.5, 0.5], "sum", combination_type="cat")
    adapted.set_adapter("sum")
    base = dict(load_model("nano").named_parameters())
    merged = dict(adapted.merge_and_unload().named_parameters())
    single = [
        dict(PeftModel.from_pretrained(load_model("nano"), trained / method).merge_and_unload().named_parameters())
        for method in ("pissa", "geora")
    ]
    for name, weight in base.items():
        change = sum(0.5 * (one[name] - weight) for one in single)
        assert (merged[name] - weight - change).abs().max() < 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_names_and_settings_are_what_serving_engines_read(method: str, trained: Path) -> None:
    """vLLM reads `base_model.model.<module>.lora_{A,B}.weight`, one rank and one alpha; it ignores the patterns."""
    with safe_open(trained / method / FACTORS_FILE, "pt") as file:
        names = list(file.keys())
    assert all(
        re.fullmatch(r"base_model\.model\.model\.layers\.\d+\.[\w.]+\.lora_[AB]\.weight", name) for name in names
    )
    config = read_json(trained / method / CONFIG_FILE)
    width = 1 if method == "rlpo" else 2
    assert (config["r"], config["lora_alpha"]) == (width * 4, width * 8)
    assert config["rank_pattern"] == config["alpha_pattern"] == {}
    assert config["bias"] == "none"
    assert not config["use_dora"]
    assert not config["modules_to_save"]
    assert set(config["target_modules"]) == {name.split(".")[-3] for name in names}


def run_of(adapter: Path, out: Path) -> Path:
    """A run directory that ended with this adapter, and with a checkpoint of it."""
    for place in (out / "adapter", out / "checkpoints" / "checkpoint-1" / "adapter"):
        shutil.copytree(adapter, place)
    (out / "recipe.toml").write_text("")
    (out / "checkpoints" / "checkpoint-1" / "stiefel_state.json").write_text("{}")
    return out


@pytest.mark.parametrize("place", ["", "checkpoints/checkpoint-1"])
def test_a_run_stands_for_its_adapter_everywhere(place: str, trained: Path, tmp_path: Path) -> None:
    run = run_of(trained / "pissa", tmp_path / "run") / place
    assert all(check.holds for check in verify(run, "nano"))
    assert torch.equal(logits(load(load_model("nano"), run)), expected(trained / "pissa"))
    for form in ("lora", "merged", "residual"):
        export(run, "nano", form, tmp_path / form)
        export(trained / "pissa", "nano", form, tmp_path / f"{form} of the adapter")
        for path in (tmp_path / form).rglob("*.safetensors"):
            other = tmp_path / f"{form} of the adapter" / path.relative_to(tmp_path / form)
            assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("command", [verify, lambda run, base: export(run, base, "lora", run / "out")])
def test_a_run_that_has_not_ended_is_named(command: Any, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("")
    with pytest.raises(UserError, match="is a run without an adapter"):
        command(tmp_path, "nano")


def test_targets_are_written_in_order_whatever_the_process(tmp_path: Path) -> None:
    """Python draws the order of a set of words anew in each process."""
    targets = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    prepare("nano", "rlpo", tmp_path / "streamed", r=2, target_modules=targets[::-1])
    save(attach(load_model("nano"), "rlpo", r=2, target_modules=targets[::-1]), tmp_path / "saved")
    for name in ("streamed", "saved"):
        assert read_json(tmp_path / name / CONFIG_FILE)["target_modules"] == targets
