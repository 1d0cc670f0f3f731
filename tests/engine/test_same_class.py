"""Where vLLM would run another class than the one that is trained, its names differ: it is refused before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

import stiefel
from benchmarks.families import make
from stiefel.artifacts import read_json, write_json
from stiefel.engine import require_same_class, servable
from stiefel.errors import UserError
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH
from stiefel.recipe import make_recipe
from stiefel.run import checks
from stiefel.verl.launching import launch
from tests.verl.recipes import launched

WHOLE, ALONE = "Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3.5 reads images; `AutoModelForCausalLM` loads its language model alone, and vLLM the whole."""
    return make("qwen3_5", tmp_path_factory.mktemp("qwen")).directory


def test_the_language_model_alone_has_other_names_than_the_files_class(qwen: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(qwen)
    assert (type(model).__name__, read_json(qwen / "config.json")["architectures"]) == (ALONE, [WHOLE])
    with pytest.raises(UserError, match=f"weights of {ALONE} for vLLM, which runs .* as {WHOLE}"):
        require_same_class(model, qwen, "so")


def test_the_same_class_is_taken_behind_fsdp2s_own_too(tmp_path: Path) -> None:
    model = load_model("nano")
    require_same_class(model, NANO_PATH, "so")
    model.__class__ = type("FSDPQwen3ForCausalLM", (type(model),), {})
    require_same_class(model, NANO_PATH, "so")
    write_json(tmp_path / "config.json", {})  # nothing is named there, and vLLM itself will say so
    require_same_class(model, tmp_path, "so")


def test_an_adapter_is_not_served_beside_it(qwen: Path, tmp_path: Path) -> None:
    stiefel.prepare(str(qwen), "rlpo", tmp_path / "adapter", r=4, notice=lambda line: None)
    with pytest.raises(UserError, match=f"which runs .* as {WHOLE}") as refused:
        servable(tmp_path / "adapter", str(qwen), "", qwen, tmp_path)
    assert "--engine hf" in refused.value.instead


def test_a_run_with_vllm_is_refused_before_anything_is_loaded(
    qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "require_vllm", lambda *words: None)
    recipe = make_recipe({"model": {"path": str(qwen)}, "rollout": {"engine": "vllm"}})
    with pytest.raises(UserError, match=f"which runs .* as {WHOLE}"):
        checks.check_run(recipe, tmp_path / "run")


def test_a_launch_on_verl_is_refused_and_leaves_nothing(qwen: Path, tmp_path: Path) -> None:
    recipe = launched("nano-dapo", f"model.path='{qwen}'")
    with pytest.raises(UserError, match=f"which runs .* as {WHOLE}"):
        launch(recipe, "", tmp_path / "out" / "launch.sh", say=lambda line: None)
    assert not (tmp_path / "out").exists()
