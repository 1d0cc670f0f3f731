"""Inspections of finished runs: measured once, kept, and measured again when the weights are others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import stiefel
from stiefel.artifacts import INSPECTION, is_ours
from stiefel.report import write_report
from stiefel.report.evidence import read_evidence
from stiefel.report.runs import read_runs

from .conftest import Maker


@pytest.fixture(scope="module")
def base(make_model: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "base"
    make_model().save_pretrained(directory)
    return directory


@pytest.fixture
def save_trained(make_model: Callable, take_steps: Callable) -> Callable[..., None]:
    """save_trained(method, run, steps): the adapter of a real model after some steps."""

    def save(method: str, run: Path, steps: int = 3) -> None:
        adapted = stiefel.attach(make_model(), method, **({"r": 4, "alpha": 8} if method != "ia3" else {}))
        take_steps(adapted, steps)
        stiefel.save(adapted, run / "adapter")

    return save


@pytest.fixture
def trained(make: Maker, save_trained: Callable[..., None], base: Path) -> Callable[..., Path]:
    """trained(method): a finished run that ended with such an adapter."""

    def build(method: str, model: Path = base) -> Path:
        run = make.run(method, changes=[f'model.path="{model}"'], path=make.root / "runs" / method)
        save_trained(method, run)
        return run

    return build


def test_directions_of_full_weights_are_counted_at_the_recipe_s_rank(
    make: Maker, make_model: Callable, take_steps: Callable, base: Path
) -> None:
    run = make.run("full", changes=[f'model.path="{base}"', "adapter.rank=4"], path=make.root / "runs" / "full")
    adapted = stiefel.attach(make_model(), "full")
    take_steps(adapted, 3)
    stiefel.save(adapted, run / "adapter")
    (matrices,) = read_evidence(read_runs(run), lambda line: None).matrices.values()
    assert {matrix.directions for matrix in matrices} == {4}


def test_an_inspection_is_kept_until_the_weights_are_others(
    trained: Callable[..., Path], save_trained: Callable[..., None], base: Path
) -> None:
    run = trained("pissa")
    said: list[str] = []
    write_report(run, say=said.append)
    assert said == ["pissa: measuring what training did to its weights"]
    kept = json.loads((run / INSPECTION).read_text())
    expected = json.loads(json.dumps(stiefel.inspect(run / "adapter", str(base)).to_json()))
    assert kept["layers"] == expected["layers"]
    assert is_ours(run)

    write_report(run, say=said.append)
    assert len(said) == 1, "a kept inspection is read"
    page = (run / "report.html").read_text()
    assert "figure-03-alignment" in page
    assert "twelve-methods" in page

    shutil.rmtree(run / "adapter")
    save_trained("pissa", run, steps=5)
    evidence = read_evidence(read_runs(run), said.append)
    assert len(said) == 2, "other weights are measured"
    norms = [layer["delta_norm"] for layer in kept["layers"]]
    assert [one.delta_norm for one in evidence.matrices["pissa"]] != norms


def test_spectra_are_those_of_the_merged_model(trained: Callable[..., Path], base: Path) -> None:
    run = trained("milora")
    (inspected,) = [one for one in stiefel.inspect(run, str(base)).layers if one.name == "model.layers.1.mlp.up_proj"]
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64)
    before = torch.linalg.svdvals(model.get_submodule(inspected.name).weight.detach())
    merged = stiefel.load(model, run / "adapter").merge_and_unload()
    after = torch.linalg.svdvals(merged.get_submodule(inspected.name).weight.detach())
    assert inspected.spectra is not None
    assert inspected.spectra.places == list(range(1, 33))
    assert inspected.spectra.before == pytest.approx(before.tolist(), rel=1e-6)
    assert inspected.spectra.after == pytest.approx(after.tolist(), rel=1e-5)
    assert inspected.singular_values_bottom == pytest.approx(before[-4:].tolist(), rel=1e-6)


def test_a_method_without_a_change_per_matrix_is_said_not_drawn(trained: Callable[..., Path], make: Maker) -> None:
    trained("ia3")
    trained("lora")
    said: list[str] = []
    text = write_report(make.root, say=said.append).read_text()
    assert "Left out: ia3 (" in text
    assert "adapter of type IA3" in text
    assert said == ["lora: measuring what training did to its weights"]


def test_a_large_model_is_measured_only_when_figures_are_asked_for(
    trained: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("rlpo")
    monkeypatch.setattr("stiefel.geometry.basis.SMALL", 16)  # so that 32 × 32 is large
    said: list[str] = []
    page = write_report(run, say=said.append)
    assert said == []
    assert "its matrices are large, and a report alone does not measure them: add --figures" in page.read_text()
    assert not (run / INSPECTION).exists()
    evidence = read_evidence(read_runs(run), said.append, large=True)
    assert evidence.matrices["rlpo"][0].update is not None
    assert said[:2] == [
        "rlpo: measuring what training did to its weights",
        "rlpo: [1/14] model.layers.0.self_attn.q_proj",
    ]


def test_a_base_that_is_gone_is_named(trained: Callable[..., Path], tmp_path: Path) -> None:
    run = trained("lora", model=tmp_path / "gone")
    page = write_report(run)
    assert str(tmp_path / "gone") in page.read_text().partition("Not drawn")[2]
