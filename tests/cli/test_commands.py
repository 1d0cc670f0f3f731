"""What commands print, and how fast the first one answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from peft import PeftModel

from stiefel.cli import main
from stiefel.methods import METHODS
from stiefel.weights import load_model


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The standard output of a command that succeeds."""
    with pytest.raises(SystemExit) as status:
        main(list(arguments))
    assert status.value.code == 0
    return capsys.readouterr().out


def test_help_is_fast_and_imports_no_torch() -> None:
    probe = "import sys; sys.argv = ['stiefel', '--help']\nfrom stiefel.cli import main\ntry: main()\nfinally: "
    loaded = subprocess.run(
        [sys.executable, "-c", probe + "print('torch' in sys.modules, file=sys.stderr)"], capture_output=True, text=True
    )
    assert loaded.stderr.strip() == "False"
    assert "compare" in loaded.stdout
    seconds = []
    for _ in range(5):  # the fastest of five: other tests run on the other core
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "stiefel", "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.4


def test_methods_as_json_has_what_the_design_names(capsys: pytest.CaptureFixture[str]) -> None:
    records = json.loads(run(capsys, "methods", "--json"))
    assert [record["name"] for record in records] == [method.name for method in METHODS]
    assert all(record.keys() >= {"name", "kind", "definition", "paper", "claims", "needs"} for record in records)


def test_methods_as_a_table_names_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    table = run(capsys, "methods")
    assert all(method.name in table for method in METHODS)


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_every_method_can_be_cited(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry = run(capsys, "cite", method)
    assert entry.startswith("@misc{")
    assert "eprint = {2" in entry


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert "0.1.0" in run(capsys, "--version")


def test_init_leaves_an_adapter_that_plain_peft_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "adapter"
    printed = run(capsys, "init", "nano", "--method", "pissa", "--rank", "4", "--alpha", "8", "--out", str(out))
    assert "28 matrices" in printed
    assert PeftModel.from_pretrained(load_model("nano"), str(out)).peft_config["default"].r == 8


def test_a_dry_run_prints_the_resolved_recipe_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text("[profile.long.optim]\nrollouts = 500\n")
    printed = run(capsys, "train", "recipe.toml", "--dry-run", "--profile", "long", "--set", "optim.lr=1e-5")
    assert "rollouts = 500" in printed
    assert "lr = 1e-05" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]
