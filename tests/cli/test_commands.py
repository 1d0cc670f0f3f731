"""What commands print, and how fast the first one answers."""

from __future__ import annotations

import json
import os
import pty
import resource
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from peft import PeftModel

from stiefel.artifacts import read_json
from stiefel.cli import main
from stiefel.methods import METHODS
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH
from stiefel.recipe.recipe import make_recipe


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
    for _ in range(3):  # of the processor: other tests run on the other core
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "stiefel", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
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


def test_on_a_terminal_a_bar_comes_and_goes_and_the_next_command_stays(tmp_path: Path) -> None:
    """In a pseudo-terminal, where plain lines for every matrix would push all else away."""
    command = ["init", "nano", "--method", "lora", "--rank", "2", "--out", str(tmp_path / "adapter")]
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "stiefel", *command], stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        printed = b""
        with suppress(OSError):  # how Linux ends a pseudo-terminal that nobody writes to any more
            while piece := os.read(ours, 65536):
                printed += piece
    os.close(ours)
    assert process.returncode == 0
    assert b"[1/28]" not in printed
    assert b"solving" in printed
    assert printed.splitlines()[-1].startswith(b"next: stiefel verify ")


def next_command(error: str) -> list[str]:
    """The words of the command that a command's last line names."""
    last = error.splitlines()[-1]
    assert last.startswith("next: "), last
    return shlex.split(last.removeprefix("next: "))


def test_each_command_names_one_that_runs_as_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a place whose name has a space, too."""
    out = tmp_path / "my adapter"
    with pytest.raises(SystemExit):
        main(["init", "nano", "--method", "pissa", "--rank", "4", "--alpha", "8", "--out", str(out)])
    program, *arguments = next_command(capsys.readouterr().err)
    assert (program, *arguments) == ("stiefel", "verify", str(out), "--base", "nano")
    with pytest.raises(SystemExit) as status:
        main(arguments)
    assert status.value.code == 0
    _, verb, *arguments = next_command(capsys.readouterr().err)
    assert verb == "train"
    change = arguments[arguments.index("--set") + 1]
    assert make_recipe({}, [change]).adapter.path == str(out)
    for form, model, adapter in (
        ("lora", str(NANO_PATH), tmp_path / "lora"),
        ("merged", str(tmp_path / "merged"), None),
        ("residual", str(tmp_path / "residual" / "base"), tmp_path / "residual"),
    ):
        with pytest.raises(SystemExit):
            main(["export", str(out), "--base", "nano", "--as", form, "--out", str(tmp_path / form)])
        words = next_command(capsys.readouterr().err)
        assert words[words.index("--model") + 1] == model
        assert Path(model, "config.json").is_file()
        if adapter is not None:
            assert words[-1] == f"adapter={adapter}"
            assert int(words[words.index("--max-lora-rank") + 1]) >= read_json(adapter / "adapter_config.json")["r"]


def test_a_dry_run_prints_the_resolved_recipe_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text("[profile.long.optim]\nrollouts = 500\n")
    printed = run(capsys, "train", "recipe.toml", "--dry-run", "--profile", "long", "--set", "optim.lr=1e-5")
    assert "rollouts = 500" in printed
    assert "lr = 1e-05" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]
