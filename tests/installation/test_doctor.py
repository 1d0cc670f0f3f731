"""`stiefel doctor` says what works by trying it, and fails where nothing works, not where an optional part lacks."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stiefel.cli import main
from stiefel.installation.doctor import examine
from stiefel.installation.finding import Finding
from stiefel.installation.packages import fitting, own_requirements
from stiefel.installation.places import answers, place
from stiefel.rewards.sandbox.find import found as probe


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_it_exits_with_0_without_the_optional_parts_and_imports_no_engine() -> None:
    code = "import sys\nfrom stiefel.cli import main\ntry: main(['doctor', '--json'])\n"
    code += "finally: print([name for name in ('vllm', 'verl', 'ray', 'transformers', 'trl') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text, _, imported = done.stdout.rpartition("}")
    assert imported.strip() == "[]"
    record = json.loads(text + "}")
    assert record["works"] is True
    names = {finding["name"] for finding in record["findings"]}
    assert names >= {"stiefel", "packages", "GPU", "bfloat16", "cores", "memory", "threads", "sandbox", "hub"}
    assert names >= {"cache of models", "cache of rows", "cache of spectra", "vLLM", "Ray", "reasoning-gym", "lm-eval"}
    assert names >= {"Optuna", "verl"}
    for finding in record["findings"]:
        assert finding["instead"] or finding["state"] == "works"


def test_the_command_says_what_to_do_and_fails_where_nothing_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first torch on the path is an old one."""
    (tmp_path / "torch-1.0.dist-info").mkdir()
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as status:
        main(["doctor"])
    assert status.value.code == 1
    text = capsys.readouterr().out
    assert "NOT packages: torch 1.0 is installed" in text
    assert "pip install" in text
    assert "vLLM" not in text  # nothing beyond it can be known


def test_packages_are_held_to_our_own_requirements() -> None:
    assert any(line.startswith("torch") for line in own_requirements())
    assert not any("pytest" in line for line in own_requirements())
    assert [line.partition(" ")[0].partition("=")[0] for line in own_requirements("gym")] == ["reasoning-gym"]
    assert fitting(own_requirements()).state == "works"
    wrong = fitting(["torch>=99", "no-such-package>=1", "numpy>=1"])
    assert wrong.instead.startswith("pip install 'torch>=99' 'no-such-package>=1', or"), "and no package that fits"
    assert wrong.fatal
    assert "torch" in wrong.found
    assert "no-such-package is not installed" in wrong.found
    assert "numpy" not in wrong.found


def test_the_sandbox_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_name(examine())["sandbox"].state == "works"
    probe.cache_clear()
    monkeypatch.setenv("STIEFEL_SANDBOX", "none")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    findings = by_name(examine())
    assert (findings["sandbox"].state, findings["sandbox"].found[:4]) == ("absent", "none")
    assert "HF_HUB_OFFLINE=1" in findings["hub"].found
    monkeypatch.setenv("STIEFEL_SANDBOX", "no-such-kind")
    probe.cache_clear()
    assert by_name(examine())["sandbox"].state == "absent"
    probe.cache_clear()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = place("models", tmp_path / "new" / "cache", 2**31, "HF_HOME").found
    assert found.startswith(f"{tmp_path}/new/cache: holds 2.0 GiB, ")
    broken = place("models", tmp_path / "file" / "cache", 0, "HF_HOME")
    assert (broken.state, broken.fatal) == ("absent", False)
    assert "HF_HOME" in broken.instead


def test_a_hub_answers_or_does_not_within_the_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # which takes a call and says nothing
        assert not answers(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert not answers("http://127.0.0.1:9")
