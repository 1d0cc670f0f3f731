"""A terminal that is not UTF-8 is shown what it can show, by every verb, and no traceback."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from stiefel.cli import main


def told(monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: str) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a command, on streams of an encoding that raise for what they cannot encode."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode("utf-8", "replace") for stream in streams)
    return int(ended.value.code or 0), out, err


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stiefel import attach, save
    from stiefel.model.weights import load_model

    out = tmp_path_factory.mktemp("größe-ℝ") / "adapter"
    save(attach(load_model("nano"), "rlpo", r=2, alpha=4), out)
    return out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["methods"],
        ["methods", "--json"],
        ["cite", "rlpo"],
        ["--help"],
        ["nonsense-ℝ"],
        ["init", "ℝ", "--method", "rlpo", "--out", "ℝ"],
    ],
    ids=str,
)
def test_a_verb_that_loads_nothing(arguments: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = told(monkeypatch, encoding, *arguments)
    assert "Traceback" not in err
    assert status == (2 if "ℝ" in arguments[-1] or "ℝ" in arguments else 0)
    if arguments == ["methods"] and encoding != "utf-16":
        assert all(name in out for name in ("rlpo", "geora_euclidean", "ln_tuning"))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize(
    "verb", ["verify", "inspect", "inspect-json", "preflight", "train", "eval", "show", "report", "grade"]
)
def test_every_verb_prints_what_can_be_printed(
    verb: str, encoding: str, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "ℝ.toml"
    recipe.write_text('[task]\nname = "nano-arithmetic"\n[expected]\nsource = "Größe ℝ"\n', encoding="utf-8")
    lines = tmp_path / "ℝ.jsonl"
    lines.write_text(json.dumps({"completion": "ℝ", "answer": "ß"}) + "\n")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"question": "ℝ 😀 1+1?", "answer": "#### 2"}) + "\n", encoding="utf-8")
    short = ["--set", "optim.rollouts=1", "--set", "optim.updates_per_rollout=1", "--set", "rollout.prompts=2"]
    commands = {
        "verify": ["verify", str(adapter), "--base", "nano"],
        "inspect": ["inspect", str(adapter), "--base", "nano"],
        "inspect-json": ["inspect", str(adapter), "--base", "nano", "--json"],
        "preflight": ["preflight", str(recipe), "--methods", "lora"],
        "train": ["train", str(recipe), *short, "--set", "run.save_every=0", "--out", str(tmp_path / "ℝ")],
        "eval": ["eval", "nano", "--task", "nano-sort", "--limit", "2", "--out", str(tmp_path / "ℝ-eval")],
        "show": ["eval", "nano", "--task", "gsm8k", "--data", str(rows), "--show", "1", "--json"],
        "report": ["report", str(tmp_path / "ℝ")],
        "grade": ["grade", "--task", "exact", "--input", str(lines)],
    }
    if verb == "report":
        assert told(monkeypatch, "utf-8", *commands["train"])[0] == 0
    status, out, err = told(monkeypatch, encoding, *commands[verb])
    assert (status, "Traceback" in err) == (0, False), err[-2000:]
    if verb in ("inspect-json", "show"):
        json.loads(out)
    if verb == "show":
        assert json.loads(out)[0]["prompt"]
