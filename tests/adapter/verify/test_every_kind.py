"""`verify` and `export` of the methods that are more than two factors, or none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stiefel import UserError, attach, load, save
from stiefel.adapter.exported import export
from stiefel.adapter.files import CONFIG_FILE
from stiefel.adapter.streamed import prepare
from stiefel.adapter.verified import verify
from stiefel.artifacts import read_json, write_json
from stiefel.methods import used_settings
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH

NAMES = (
    "rlpo+dora",
    "pissa+dora",
    "pissa+rslora",
    "lora_fa",
    "adalora",
    "miss",
    "vera",
    "ia3",
    "ln_tuning",
    "full",
    "sparse",
)
IDS = torch.arange(24).view(2, 12) % 26


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Adapters whose every trainable number has been moved."""
    place = tmp_path_factory.mktemp("made")
    for name in NAMES:
        used = used_settings(name, rank=4, alpha=8, dropout=0.0, targets="all-linear")
        model = attach(load_model("nano"), name, **used)
        generator = torch.Generator().manual_seed(0)
        for p in model.parameters():
            if p.requires_grad and name != "sparse":
                p.data.add_(1e-2 * torch.randn(p.shape, generator=generator))
        save(model, place / name)
    return place


def holds(directory: Path, base: str = "nano") -> bool:
    return all(check.holds for check in verify(directory, base))


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_and_another_base_or_setting_does_not(name, made, tmp_path):
    assert holds(made / name)
    base = tmp_path / "base"
    shutil.copytree(NANO_PATH, base)
    weights = load_file(base / "model.safetensors")
    for key in ("model.layers.2.mlp.down_proj.weight", "model.layers.2.self_attn.q_norm.weight"):
        weights[key].view(-1)[0] = torch.nextafter(weights[key].view(-1)[0], torch.tensor(1e9))
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    assert not holds(made / name, str(base))
    with pytest.raises(UserError, match="another base"):
        load(load_model(str(base)), made / name)
    if (made / name / CONFIG_FILE).is_file():
        shutil.copytree(made / name, tmp_path / "changed")
        config = read_json(made / name / CONFIG_FILE)
        write_json(tmp_path / "changed" / CONFIG_FILE, config | {"peft_type": "LOHA"})
        assert not holds(tmp_path / "changed")


@pytest.mark.parametrize("name", NAMES)
def test_merged_weights_compute_what_the_adapter_computes(name, made, tmp_path):
    adapted = logits(load(load_model("nano"), made / name))
    export(made / name, "nano", "merged", tmp_path / "merged")
    merged = logits(load_model(str(tmp_path / "merged")))
    # sums in another order: the bound of the other merging tests
    assert (merged - adapted).abs().max() <= 1000 * torch.finfo(torch.float32).eps * adapted.abs().max()
    if name != "sparse":
        assert (adapted - logits(load_model("nano"))).abs().max() > 0.01, "the bound must be able to fail"


@pytest.mark.parametrize(
    ("name", "form"),
    [("ia3", "lora"), ("full", "lora"), ("vera", "residual"), ("pissa+dora", "residual"), ("lora_fa", "residual")],
)
def test_a_form_that_it_does_not_have_is_refused(name, form, made, tmp_path):
    with pytest.raises(UserError, match=form):
        export(made / name, "nano", form, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["ia3", "full", "dora", "rlpo+dora"])
def test_what_is_not_factors_alone_cannot_be_streamed(name, tmp_path):
    with pytest.raises(UserError, match=r"stiefel\.attach"):
        prepare("nano", name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["rlpo+rslora", "pissa+rslora", "random_orthonormal+lora_fa", "rlmo+lora_plus"])
def test_factors_are_streamed_with_their_scaling_and_their_optimizer(name, tmp_path):
    prepare("nano", name, tmp_path / "streamed", r=4, alpha=8, seed=5, cache=False)
    save(attach(load_model("nano"), name, r=4, alpha=8, seed=5, cache=False), tmp_path / "in_memory")
    for file in sorted(path.name for path in (tmp_path / "in_memory").glob("*.safetensors")):
        assert (tmp_path / "streamed" / file).read_bytes() == (tmp_path / "in_memory" / file).read_bytes()
    assert holds(tmp_path / "streamed")
    assert torch.equal(logits(load(load_model("nano"), tmp_path / "streamed")), logits(load_model("nano")))
