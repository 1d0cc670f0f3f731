"""`inspect` of real directories: its ΔW is what the model itself computes, whoever wrote the adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, LlamaForCausalLM

import stiefel
from benchmarks.families import make
from benchmarks.synthetic import heavy_tailed
from stiefel import UserError
from stiefel.adapter.wrap import lora_layers
from stiefel.foresight.change import own_matrices
from stiefel.geometry import Inspection, inspect
from stiefel.geometry.inspection import FIGURES
from stiefel.geometry.layer import ALSO
from stiefel.geometry.watched import full_matrices

from . import reference
from .merged import close_to

RANK, ALPHA = 4, 8


@pytest.fixture(scope="module")
def base(make_model, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "base"
    make_model().save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def trained(make_model, take_steps, tmp_path_factory) -> Callable[[str], tuple[Path, Any]]:
    """trained(method): the saved adapter after three steps, and the model with it merged in float64."""
    known: dict[str, tuple[Path, Any]] = {}

    def get(method: str) -> tuple[Path, Any]:
        if method not in known:
            adapted = stiefel.attach(make_model(), method, r=RANK, alpha=ALPHA)
            take_steps(adapted)
            directory = tmp_path_factory.mktemp(method) / "adapter"
            stiefel.save(adapted, directory)
            known[method] = directory, adapted.double().merge_and_unload()
        return known[method]

    return get


METHODS = ["lora", "rlpo", "rlmo", "pissa", "milora", "geora"]


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_s_figures_are_those_of_the_merged_model(method, base, trained, make_model) -> None:
    directory, merged = trained(method)
    found = inspect(directory, str(base))
    assert (found.method, found.rank, len(found.layers)) == (method, RANK, 14)
    for layer in found.layers:
        assert layer.directions == RANK  # the method's, not the saved 2r
        close_to(merged, make_model().double(), layer, relative=1e-5)  # W + ΔW is rounded where it is merged
        certificate = json.loads((directory / "stiefel.json").read_text())
        start = next(one for one in certificate["layers"] if one["name"] == layer.name)
        assert layer.start_norm == pytest.approx(start["anchor_norm"] / (ALPHA / RANK), rel=1e-6)
        assert layer.orthonormality_error_at_start == pytest.approx(start["orthonormality_error"])


def test_full_weights_have_the_figures_of_the_adapter_they_were_merged_from(base, trained, tmp_path) -> None:
    directory, merged = trained("pissa")
    merged.float().save_pretrained(tmp_path / "merged")
    merged.double()
    adapter, full = inspect(directory, str(base)), inspect(tmp_path / "merged", str(base), rank=RANK)
    assert (full.method, full.rank) == ("full weights", RANK)
    for factored, dense in zip(adapter.layers, full.layers, strict=True):
        # the merged weights were rounded to float32: 2⁻²⁴ of an entry of W, 3e-6 of ΔW
        noise = 2**-24 * factored.norm / factored.delta_norm
        for figure in ("delta_norm", "relative", "nss", "s_head", "s_head_joint", "s_tail", "stable_rank"):
            ours, theirs = vars(factored)[figure], vars(dense)[figure]
            assert theirs == pytest.approx(ours, rel=4 * noise, abs=4 * noise)
        assert dense.similarity_top is None  # there is no A
    assert [vector.delta_norm for vector in full.vectors] == [0.0] * len(full.vectors)
    assert {"model.norm.weight", "model.embed_tokens.weight"} <= {vector.name for vector in full.vectors}


def test_full_weights_name_the_vectors_that_changed(base, make_model, tmp_path) -> None:
    model = make_model()
    with torch.no_grad():
        model.model.norm.weight += 0.5
    model.save_pretrained(tmp_path / "changed")
    found = inspect(tmp_path / "changed", str(base))
    moved = [vector for vector in found.vectors if vector.delta_norm]
    assert [vector.name for vector in moved] == ["model.norm.weight"]
    assert moved[0].delta_norm == pytest.approx(0.5 * 32**0.5)
    assert moved[0].bf16_changed == 1.0
    assert found.summary["changed"] == 0
    assert "model.norm.weight" in " ".join(found.reading)


def test_a_layer_whose_weight_is_read_without_a_call_is_measured_where_weights_train(tmp_path) -> None:
    """No adapter stands on Granite 4's out_proj, which a kernel of its mixer reads; full fine-tuning changes it."""
    tiny = make("granitemoehybrid", tmp_path / "base")
    model = stiefel.attach(tiny.load(), "full")
    with torch.no_grad():
        model.get_submodule("model.layers.0.mamba.out_proj").weight.add_(0.1)
    assert "model.layers.0.mamba.out_proj" in {matrix.name for matrix in own_matrices(model)}
    assert "model.layers.0.mamba.out_proj" in {matrix.name for matrix in full_matrices(model, None)}
    stiefel.save(model, tmp_path / "own")
    model.save_pretrained(tmp_path / "whole")
    for trained in ("own", "whole"):
        found = inspect(tmp_path / trained, str(tiny.directory))
        changed = {layer.name for layer in found.layers if layer.delta_norm > 0}
        assert changed == {"model.layers.0.mamba.out_proj"}, trained
        assert "model.layers.0.mamba.out_proj.weight" not in {vector.name for vector in found.vectors}


@pytest.mark.parametrize("method", ["full", "sparse", "pissa+dora", "milora+rslora", "rlpo+lora_fa"])
def test_what_composes_and_the_models_own_weights(method, base, make_model, take_steps, tmp_path) -> None:
    settings = {} if method in ("full", "sparse") else {"r": RANK, "alpha": ALPHA}
    model = stiefel.attach(make_model(), method, **settings)
    # AdamW would decay the entries outside of the mask, which our own optimizer does not
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    take_steps(model, optimizer=torch.optim.SGD(trained, lr=0.5) if method == "sparse" else None)
    stiefel.save(model, tmp_path / "adapter")
    found = inspect(tmp_path / "adapter", str(base), rank=RANK)
    assert (found.method, len(found.layers)) == (method, 14)
    merged = model.double().merge_and_unload() if isinstance(model, PeftModel) else model.double()
    for layer in found.layers:
        close_to(merged, make_model().double(), layer, relative=1e-5)
    vectors = {vector.name: vector.delta_norm for vector in found.vectors}
    assert ("model.norm.weight" in vectors) == (method == "full")
    other = make_model()
    with torch.no_grad():
        other.model.layers[1].mlp.up_proj.weight[0, 0] += 1.0
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match=r"up_proj(\.weight)? is not the (matrix|weight) that it was made for"):
        inspect(tmp_path / "adapter", str(tmp_path / "other"))


@pytest.mark.parametrize("method", ["full", "sparse"])
def test_a_run_in_bfloat16_is_measured_from_the_rounded_base(method, base, make_model, take_steps, tmp_path) -> None:
    model = stiefel.attach(make_model().to(torch.bfloat16), method)
    stiefel.save(model, tmp_path / "untrained")
    assert inspect(tmp_path / "untrained", str(base)).summary["changed"] == 0  # the base on disk is in float32
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    take_steps(model, optimizer=torch.optim.SGD(trained, lr=0.5))
    stiefel.save(model, tmp_path / "adapter")
    found = inspect(tmp_path / "adapter", str(base))
    for layer in found.layers:
        before, after = (m.get_submodule(layer.name).weight.detach().double() for m in (make_model().bfloat16(), model))
        assert layer.delta_norm == pytest.approx(float((after - before).norm()), rel=1e-6)
    assert all(vector.delta_norm >= 0 for vector in found.vectors)


PEFT_SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2, r"layers\.1\..*up_proj": 6}, "alpha_pattern": {"q_proj": 32}},
    "dora": {"use_dora": True},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "gaussian": {"init_lora_weights": "gaussian"},
}


@pytest.mark.parametrize("name", PEFT_SETTINGS)
def test_any_lora_of_peft_is_measured_as_peft_merges_it(name, base, make_model, take_steps, tmp_path) -> None:
    settings = {"target_modules": "all-linear", "task_type": "CAUSAL_LM", **PEFT_SETTINGS[name]}
    adapted = get_peft_model(make_model(), LoraConfig(r=RANK, lora_alpha=ALPHA, **settings))
    take_steps(adapted)
    adapted.save_pretrained(tmp_path / "adapter")
    merged = adapted.double().merge_and_unload()
    found = inspect(tmp_path / "adapter", str(base))
    assert found.method == ("DoRA" if name == "dora" else "LoRA")
    assert not found.left_out
    ranks = {layer.name.rsplit(".", 1)[-1]: layer.directions for layer in found.layers if layer.depth == 1}
    assert (ranks["q_proj"], ranks["up_proj"], ranks["o_proj"]) == ((2, 6, 4) if name == "patterns" else (4, 4, 4))
    for layer in found.layers:
        close_to(merged, make_model().double(), layer, relative=1e-5)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_what_peft_converted_is_counted_at_its_rank(start, base, make_model, take_steps, tmp_path) -> None:
    """[B, −B₀][A; A₀], as the message about such starts advises; its settings say rank 2r and nothing of a start."""
    settings = {"r": RANK, "lora_alpha": ALPHA, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    adapted = get_peft_model(make_model(), LoraConfig(init_lora_weights=start, **settings))
    config = adapted.peft_config["default"]
    config.init_lora_weights = True
    adapted.save_pretrained(tmp_path / "initial")

    def converted(name: str) -> Inspection:
        config.init_lora_weights = start
        initial = str(tmp_path / "initial")
        with pytest.warns(UserWarning, match="changes the base weights"):  # of the initial adapter that it loads
            adapted.save_pretrained(tmp_path / name, path_initial_model_for_weight_conversion=initial)
        return inspect(tmp_path / name, str(base))

    untrained = converted("untrained")
    assert untrained.summary["changed"] == 0
    assert "Nothing changed" in untrained.reading[0]
    starts = {
        name: (layer.lora_A["default"].weight.detach().clone(), layer.lora_B["default"].weight.detach().clone())
        for name, layer in lora_layers(adapted)
    }
    take_steps(adapted)
    found = converted("trained")
    assert (found.rank, {layer.directions for layer in found.layers}) == (RANK, {RANK})
    original = dict(make_model().double().named_modules())
    for name, layer in lora_layers(adapted):
        (one,) = [one for one in found.layers if one.name == name]
        A0, B0 = (factor.double().numpy() for factor in starts[name])
        A, B = (side["default"].weight.detach().double().numpy() for side in (layer.lora_A, layer.lora_B))
        W, D = original[name].weight.detach().numpy(), ALPHA / RANK * (B @ A - B0 @ A0)
        assert one.delta_norm == pytest.approx(np.linalg.norm(D), rel=1e-5)
        assert one.s_head_joint == pytest.approx(reference.head(W, D, RANK)["joint"], rel=1e-5)
        assert one.similarity_top == pytest.approx(reference.similarity(A, W, RANK), rel=1e-6)
        assert one.start_norm == pytest.approx(np.linalg.norm(B0 @ A0), rel=1e-6)
        assert one.orthonormality_error == pytest.approx(np.abs(A @ A.T - np.eye(RANK)).max(), rel=1e-6)
        assert one.product is not None


def test_a_lora_of_peft_on_a_tied_output_head(make_model, take_steps, tmp_path) -> None:
    make_model(tie_word_embeddings=True).save_pretrained(tmp_path / "base")
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["q_proj", "lm_head"], task_type="CAUSAL_LM")
    with pytest.warns(UserWarning, match="tie_word_embeddings"):
        adapted = get_peft_model(make_model(tie_word_embeddings=True), config)
    take_steps(adapted)
    adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    head = inspect(tmp_path / "adapter", str(tmp_path / "base")).layers[-1]
    module = adapted.get_base_model().lm_head
    W, D = (X.detach().double().numpy() for X in (module.base_layer.weight, module.get_delta_weight("default")))
    assert (head.name, head.shape) == ("lm_head", W.shape)
    assert head.norm == pytest.approx(np.linalg.norm(W))
    assert head.s_head_left == pytest.approx(reference.head(W, D, RANK)["left"], rel=1e-5)


def test_gpt2_s_transposed_matrices(take_steps, tmp_path) -> None:
    config = GPT2Config(vocab_size=29, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=2)
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(config).eval()
    base.save_pretrained(tmp_path / "base")
    adapted = stiefel.attach(base, "pissa", r=RANK, alpha=ALPHA, target_modules=["c_attn", "c_proj"])
    take_steps(adapted)
    stiefel.save(adapted, tmp_path / "adapter")
    found = inspect(tmp_path / "adapter", str(tmp_path / "base"))
    assert {layer.kind for layer in found.layers} == {"attn.c_attn", "attn.c_proj", "mlp.c_proj"}
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "base").double()
    merged = adapted.double().merge_and_unload()
    for layer in found.layers:
        for model in (before, merged):
            weight = model.get_submodule(layer.name).weight
            weight.data = weight.data.T.contiguous()  # (out, in), as the figures see it
        close_to(merged, before, layer, relative=1e-5)


def test_an_untrained_adapter_changed_nothing(base, make_model, tmp_path) -> None:
    for method in ("rlpo", "pissa"):
        stiefel.save(stiefel.attach(make_model(), method, r=RANK, alpha=ALPHA), tmp_path / method)
        found = inspect(tmp_path / method, str(base))
        assert found.summary["changed"] == 0
        assert "Nothing changed" in found.reading[0]
        for layer in found.layers:
            assert (layer.delta_norm, layer.relative, layer.s_head, layer.nss, layer.angles) == (0, 0, None, None, None)
            assert layer.similarity_top == pytest.approx(1.0, abs=1e-6)
        json.dumps(found.to_json(), allow_nan=False)


def test_an_untrained_dora_changed_nothing_but_by_the_rounding_of_its_norms(base, make_model, tmp_path) -> None:
    config = LoraConfig(r=RANK, use_dora=True, target_modules=["q_proj", "down_proj"])
    get_peft_model(make_model(), config).save_pretrained(tmp_path / "peft")
    stiefel.save(stiefel.attach(make_model(), "dora", r=RANK, alpha=ALPHA), tmp_path / "ours")
    for adapter in ("peft", "ours"):
        assert inspect(tmp_path / adapter, str(base)).summary["changed"] == 0


def test_the_json_has_what_is_promised(base, trained) -> None:
    found = inspect(trained("rlpo")[0], str(base)).to_json()
    assert {"summary", "layers"} <= found.keys()
    promised = ("name", "shape", "delta_norm", "nss", "s_head", "s_head_left", "s_head_right", "stable_rank")
    for layer in found["layers"]:
        assert {*promised, "similarity_top", "similarity_bottom"} <= layer.keys()
        assert None not in [layer[name] for name in promised]
    assert json.loads(json.dumps(found, allow_nan=False))["summary"]["matrices"] == 14
    kinds = found["summary"]["by_kind"]
    assert kinds["self_attn.q_proj"]["s_head"] == pytest.approx(
        np.mean([layer["s_head"] for layer in found["layers"] if layer["kind"] == "self_attn.q_proj"])
    )
    assert found["summary"]["by_depth"].keys() == {"0", "1"}
    energies = [layer["delta_norm"] ** 2 for layer in found["layers"]]
    assert found["summary"]["delta_norm"] == pytest.approx(sum(energies) ** 0.5)


def test_rank_chooses_the_directions(base, trained) -> None:
    found = inspect(trained("lora")[0], str(base), rank=2)
    assert {layer.directions for layer in found.layers} == {2}
    assert len(found.layers[0].singular_values) == 2


def test_a_run_stands_for_the_adapter_it_ended_with(base, trained, tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "adapter").symlink_to(trained("rlpo")[0])
    assert inspect(tmp_path / "run", str(base)).layers == inspect(trained("rlpo")[0], str(base)).layers


def test_the_curves_sum_to_one_and_tell_the_change_from_the_product(base, trained) -> None:
    for method in ("rlpo", "pissa"):
        for layer in inspect(trained(method)[0], str(base)).layers:
            for curve in filter(None, (layer.update, layer.product)):
                assert sum(curve.distribution) == pytest.approx(1)
                assert curve.energy[-1] == pytest.approx(1)
                assert np.diff(curve.energy).min() >= -1e-12
            assert (layer.product is None) == (method == "rlpo")
            if layer.product is not None:
                # PiSSA's sBA is nearly W's own principal part: its first r directions hold the energy
                assert layer.product.energy[RANK - 1] > 0.9


def wide(directory: Path) -> Path:
    """A base whose up_proj (600, 576) is beyond LAPACK's share, with a heavy-tailed spectrum as trained ones have."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 29, "hidden_size": 576, "intermediate_size": 600}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_hidden_layers=1, num_attention_heads=2))
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.copy_(heavy_tailed(600, 576, seed=0))
    model.save_pretrained(directory)
    return directory


def test_large_matrices_are_asked_for_their_dear_figures(tmp_path) -> None:
    base = wide(tmp_path / "wide")
    adapted = stiefel.attach(
        AutoModelForCausalLM.from_pretrained(base), "lora", r=RANK, alpha=ALPHA, target_modules=["up_proj"]
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=1e-3)
    stiefel.save(adapted, tmp_path / "adapter")
    (cheap,) = inspect(tmp_path / "adapter", str(base)).layers
    assert (cheap.nss, cheap.s_tail, cheap.similarity_bottom, cheap.masks, cheap.update) == (None,) * 5
    (whole,) = inspect(tmp_path / "adapter", str(base), also=ALSO).layers
    assert whole.masks is not None
    assert whole.update is not None
    module = adapted.get_base_model().get_submodule(whole.name)
    W, D = (X.detach().double().numpy() for X in (module.base_layer.weight, module.get_delta_weight("default")))
    assert whole.delta_norm == pytest.approx(np.linalg.norm(D), rel=1e-5)
    head = reference.head(W, D, RANK)
    for layer in (cheap, whole):
        # the solver's span holds 0.999 of the best energy: what it misses of a direction is a few per cent at most
        assert layer.s_head_left == pytest.approx(head["left"], rel=0.05)
        assert layer.s_head_right == pytest.approx(head["right"], rel=0.05)
    # both spectra carry float32's rounding of QR, some 1e-7·σ₁ a value
    rounding = 4 * 576**0.5 * float(np.finfo(np.float32).eps) * whole.singular_values[0] / whole.norm
    assert whole.nss == pytest.approx(reference.nss(W, D), abs=rounding)
    c = reference.coefficients(W, D)
    assert whole.update.energy[49] == pytest.approx(np.cumsum(c**2)[287] / np.sum(c**2), rel=1e-6)


def test_the_reading_is_made_of_the_numbers(base, trained) -> None:
    found: Inspection = inspect(trained("rlpo")[0], str(base))
    head = np.mean([layer.s_head for layer in found.layers])
    text = " ".join(found.reading)
    assert f"{100 * head:.0f}% of the update lies in W's leading {RANK} directions" in text
    assert "began orthonormal" in text
    assert "beyond what bfloat16" not in text
    for figure in FIGURES:
        assert figure in found.summary


def test_a_change_below_bfloat16_is_said_to_be(base, make_model, tmp_path) -> None:
    adapted = stiefel.attach(make_model(), "lora", r=RANK, alpha=ALPHA)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(1e-5)
    stiefel.save(adapted, tmp_path / "adapter")
    found = inspect(tmp_path / "adapter", str(base))
    assert all(layer.bf16_rounding > 1 for layer in found.layers)
    assert "beyond what bfloat16 weights resolve" in " ".join(found.reading)
