"""A start depends on no history, and its certificate says what of it is right; an older one still holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stiefel import attach, load, prepare
from stiefel.adapter.verified import verify
from stiefel.geometry import inspect
from stiefel.model import load_model

TARGETS = ["up_proj", "k_proj"]


@pytest.fixture
def base(make_model: Callable[..., Any], tmp_path: Path) -> Path:
    """Matrices of 300 × 200, which the fast solver takes, and of 128 × 200, which LAPACK does."""
    sizes = {"hidden_size": 200, "intermediate_size": 300, "num_hidden_layers": 1, "head_dim": 128}
    make_model(**sizes).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def written(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.safetensors")}


@pytest.mark.parametrize("method", ["rlpo", "rlmo", "pissa", "geora", "geora_tail"])
def test_a_start_is_the_same_after_any_history(method, base, tmp_path, monkeypatch):
    """Rank 4, rank 8, rank 4 again, and after an inspection, which asks for other things of the same matrices."""
    monkeypatch.setenv("STIEFEL_CACHE", str(tmp_path / "spectra"))

    def made(name: str, r: int, *, cache: bool = True) -> dict[str, bytes]:
        prepare(str(base), method, tmp_path / name, r=r, alpha=2 * r, target_modules=TARGETS, cache=cache)
        return written(tmp_path / name)

    without = {r: made(f"without {r}", r, cache=False) for r in (4, 8)}
    assert [made(f"with {turn}", r) == without[r] for turn, r in enumerate((8, 4, 8, 4))] == [True] * 4
    monkeypatch.setenv("STIEFEL_CACHE", str(tmp_path / "inspected"))
    monkeypatch.setattr("stiefel.geometry.basis.SMALL", 1)  # as a larger model's
    inspect(str(tmp_path / "without 8"), str(base))
    assert list((tmp_path / "inspected").iterdir())
    assert made("after an inspection", 4) == without[4]


@pytest.mark.parametrize(
    ("method", "promise"), [("geora", "product"), ("rlpo", "product"), ("rlmo", "energy"), ("lora", "")]
)
def test_the_certificate_says_what_is_promised(method, promise, base, tmp_path):
    """A matrix as narrow as this one is solved for the product even where the energy would do."""
    certificate = prepare(str(base), method, tmp_path / "made", r=4, target_modules=["up_proj"], cache=False)
    assert [layer.promise for layer in certificate.layers] == [promise]
    assert json.loads((tmp_path / "made" / "stiefel.json").read_text())["layers"][0]["promise"] == promise


@pytest.mark.parametrize("method", ["geora", "rlpo"])
def test_a_certificate_of_an_earlier_version_is_read(method, tmp_path):
    """It holds no promise."""
    prepare("nano", method, tmp_path / "made", r=4, alpha=8)
    path = tmp_path / "made" / "stiefel.json"
    said = json.loads(path.read_text())
    for layer in said["layers"]:
        assert layer.pop("promise") == "product"
    path.write_text(json.dumps(said))
    assert [check for check in verify(tmp_path / "made", "nano") if not check.holds] == []
    model, fresh = load(load_model("nano"), tmp_path / "made"), attach(load_model("nano"), method, r=4, alpha=8)
    tokens = torch.arange(8)[None]
    assert torch.equal(model(tokens).logits, fresh(tokens).logits)
