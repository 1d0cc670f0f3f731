"""On real weights every start is the base to the bit, certified, and comes back from the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stiefel import attach, load, prepare, save
from stiefel.adapter import certificate_of, export, verify
from stiefel.methods import STARTS
from stiefel.model import load_model

from .conftest import FEW


@pytest.mark.parametrize("model", ["float32", "bfloat16"], indirect=True)
@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.name)
def test_every_start_is_the_base_to_the_bit(start: Any, model: Any, base: torch.Tensor, logits: Any) -> None:
    adapted = attach(model, start.name, r=16, alpha=32, target_modules=FEW)
    try:
        assert torch.equal(logits(adapted), base)
        with adapted.disable_adapter():
            assert torch.equal(logits(adapted), base)
        layers = certificate_of(adapted).layers
        assert len(layers) == 14
        assert {layer.start_error for layer in layers} == {0.0}
        if start.claims.a_orthonormal:
            assert max(layer.orthonormality_error for layer in layers) <= 1e-6
    finally:
        adapted.unload()


@pytest.mark.parametrize("method", ["rlpo", "pissa", "geora"])
def test_what_init_writes_is_certified_and_what_attach_gives(
    method: str, place: Path, model: Any, tmp_path: Path
) -> None:
    prepare(str(place), method, tmp_path / "streamed", r=8, alpha=16, target_modules=FEW, cache=False)
    checks = verify(tmp_path / "streamed", str(place), method=method)
    assert [check for check in checks if not check.holds] == []
    adapted = attach(model, method, r=8, alpha=16, target_modules=FEW, cache=False)
    try:
        save(adapted, tmp_path / "attached")
    finally:
        adapted.unload()
    for path in (tmp_path / "attached").glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "streamed" / path.name).read_bytes()


@pytest.mark.parametrize("method", ["rlpo", "pissa"])
def test_a_trained_adapter_comes_back_and_is_exported(
    method: str, place: Path, model: Any, logits: Any, tmp_path: Path
) -> None:
    base = logits(model)
    adapted = attach(model, method, r=8, alpha=16, target_modules=FEW)
    try:
        generator = torch.Generator().manual_seed(0)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data.add_(0.01 * torch.randn(parameter.shape, generator=generator))
        save(adapted, tmp_path / "adapter")
        trained = logits(adapted)
    finally:
        adapted.unload()
    assert torch.equal(logits(model), base)
    again = load(model, tmp_path / "adapter")
    assert torch.equal(logits(again), trained)
    again.unload()
    moved = (trained - base).abs().max()
    for form in ("merged", "residual") if method == "pissa" else ("merged",):
        export(tmp_path / "adapter", str(place), form, tmp_path / form)
    # float32 sums over 576 to 1536 terms in another order, 30 layers deep, of logits of size 20: a thousandth at most
    merged = logits(load_model(str(tmp_path / "merged"), "float32"))
    assert (merged - trained).abs().max() < min(1e-3, 0.05 * moved)
