"""`stiefel preflight` end to end on nano."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.preflight import METHODS, PAGE
from stiefel.cli import main
from stiefel.cli.geometry import next_command

RECIPE = (
    "[optim]\nrollouts = 9\n[rollout]\nprompts = 4\ncompletions = 4\nmax_completion_tokens = 24\n[run]\nthreads = 1\n"
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """What a command that succeeds prints on stdout and stderr."""
    with pytest.raises(SystemExit) as status:
        main(["preflight", *arguments])
    printed = capsys.readouterr()
    assert status.value.code == 0, printed.err
    return printed.out, printed.err


def test_a_table_over_methods_and_the_next_command(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe.write_text('[adapter]\nmethod = "dora"\n' + RECIPE)
    out, err = run(capsys, str(recipe), "--methods", "lora,ln_tuning,rlpo+dora", "--kl-budget", "1e-4")
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert {"lora", "ln_tuning", "rlpo+dora"} <= rows.keys()
    assert "16 completions of the base" in out
    assert "q_proj" in out
    assert "rlpo+dora's first step is" in " ".join(out.split())
    assert "ln_tuning has no ratio" in out
    assert f"next: stiefel train {recipe} --set adapter.method=lora --set optim.lr=" in err
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]  # nothing is written


def found(*methods: tuple[str, bool]) -> Any:
    """A preflight of these methods, each with whether it can spend the budget."""
    return SimpleNamespace(
        methods=[
            SimpleNamespace(method=name, budget=SimpleNamespace(reached=reached, rate=rate))
            for rate, (name, reached) in enumerate(methods, start=1)
        ]
    )


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ([("lora", True), ("rlpo", True)], "--set optim.lr=2"),  # its own, though it stands second
        ([("lora", True), ("rlpo", False)], "--set adapter.method=lora --set optim.lr=1"),
        ([("pissa", False), ("lora", True)], "--set adapter.method=lora --set optim.lr=2"),  # its own was not asked for
        ([("rlpo", True)], "--set optim.lr=1"),
        ([("lora", False), ("rlpo", False)], ""),
    ],
)
def test_the_next_step_is_the_recipes_own_method_where_it_can_be(methods: list[tuple[str, bool]], words: str) -> None:
    command = next_command(Path("r.toml"), "", (), found(*methods), "rlpo")
    assert command == " ".join(f"stiefel train r.toml {words} --out run".split())


def test_json_is_complete_and_is_kept_where_it_is_asked_for(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.json"
    out, err = run(capsys, str(recipe), "--json", "--out", str(kept), "--set", "optim.lr=1e-3")
    found = json.loads(out)
    assert found == json.loads(kept.read_text())
    (one,) = found["methods"]
    assert one["method"] == "rlpo"
    assert one["ratio_bound"] == 4.0
    assert 0 < one["ratio"] < 4.0
    assert len(one["layers"]) == len(found["gradient"]["layers"]) == 28
    assert one["by_kind"].keys() == found["gradient"]["by_kind"].keys()
    assert one["budget"]["reached"]
    assert abs(one["budget"]["kl"] / found["kl_budget"] - 1) <= found["kl_tolerance"]
    assert f"optim.lr={one['budget']['rate']:.3g}" in err
    run(capsys, str(recipe), "--json", "--out", str(kept), "--force")
    assert json.loads(kept.read_text())["lr"] == 3e-4


def test_the_page_shows_what_the_command_prints() -> None:
    page = PAGE.read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row in METHODS] == list(METHODS)
    assert "KL at lr" in page
    assert f"--methods {','.join(METHODS)}" in page
