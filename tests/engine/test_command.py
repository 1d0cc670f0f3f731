"""The command that serves: in the checkpoint's own type, with the rank that is needed, and what a CPU must be told."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from stiefel.adapter.attached import attach
from stiefel.adapter.saved import save
from stiefel.cli import main
from stiefel.engine import ON_CPU, rank_served, serve_command
from stiefel.errors import UserError
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH


def test_a_model_in_float32_is_served_in_it_and_one_in_bfloat16_by_itself(tmp_path: Path) -> None:
    command = serve_command("nano")
    assert f"api_server --model {shlex.quote(str(NANO_PATH))} --dtype float32" in command
    load_model("nano", "bfloat16").save_pretrained(str(tmp_path))
    assert "--dtype" not in serve_command(str(tmp_path))


def test_a_gpu_is_told_nothing_of_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shlex.join(ON_CPU) in serve_command("nano")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert serve_command("nano") == f"vllm serve {shlex.quote(str(NANO_PATH))} --dtype float32"


@pytest.mark.parametrize(("rank", "most"), [(3, 8), (9, 16), (300, 320)])
def test_a_lora_gets_the_smallest_rank_that_suffices(rank: int, most: int, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": rank}))
    words = shlex.split(serve_command("nano", tmp_path))
    assert words[words.index("--max-lora-rank") + 1] == str(most)
    assert words[-2:] == ["--lora-modules", f"adapter={tmp_path}"]


def test_what_vllm_does_not_serve_beside_a_model_is_merged_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PEFT loads a DoRA in its lora form, and vLLM does not: the command that is named next runs as it stands."""
    save(attach(load_model("nano"), "rlpo+dora", r=2, alpha=4), tmp_path / "adapter")
    arguments = ["export", str(tmp_path / "adapter"), "--base", "nano", "--as", "lora", "--out", str(tmp_path / "lora")]
    for expected in ("stiefel export", " -m vllm."):
        with pytest.raises(SystemExit) as status:
            main(arguments)
        assert status.value.code == 0
        last = capsys.readouterr().err.splitlines()[-1].removeprefix("next: ")
        assert expected in last
        arguments = shlex.split(last)[1:]


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("place", ["here", "own", "elsewhere"])
def test_the_command_that_export_names_is_of_where_vllm_is(
    place: str, gpu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(attach(load_model("nano"), "rlpo", r=2, alpha=4), tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # on which there is no vllm
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    for module in ("engine.command", "cli.adapters"):
        monkeypatch.setattr(f"stiefel.{module}.find_spec", lambda name: object() if place == "here" else None)
    if place == "own":
        python = tmp_path / ".venv-vllm" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
    with pytest.raises(SystemExit) as status:
        main(["export", "adapter", "--base", "nano", "--as", "lora", "--out", "lora"])
    assert status.value.code == 0
    *before, last = capsys.readouterr().err.splitlines()
    names = {"here": sys.executable, "own": ".venv-vllm/bin/python", "elsewhere": "python"}
    assert last.startswith("next: vllm serve " if gpu else f"next: {names[place]} -m vllm.")
    told = any("vLLM is not installed here" in line for line in before)
    assert told == (place == "elsewhere" or (gpu and place == "own")), "that one is the CPU's build"


def test_a_rank_above_all_of_vllms_is_refused_by_name() -> None:
    assert rank_served(512) == 512
    with pytest.raises(UserError, match="513"):
        rank_served(513)
