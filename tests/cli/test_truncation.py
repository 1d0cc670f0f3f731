"""Completions that the limit cut off are said of runs, evaluations, preflights and in reports, large shares loudly."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stiefel.artifacts import read_json, read_jsonl
from stiefel.cli import main
from stiefel.progress import RunNote
from stiefel.report.cells import cells
from stiefel.report.runs import read_runs
from stiefel.report.table import table
from stiefel.scores import MANY_CUT_OFF, cut_off_warning

RECIPE = (
    "[optim]\nrollouts = 2\n[rollout]\nprompts = 2\ncompletions = 4\nmax_completion_tokens = {tokens}\n"
    '[run]\nthreads = 1\n[eval]\ntasks = ["nano-arithmetic"]\nlimit = 4\n'
)
SHORT, ENOUGH = 6, 64  # tokens: of nano's chains of sums hardly one ends within the first, nearly all within the second


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, list[str]]:
    """Stdout, and the lines of stderr that warn."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    assert ended.value.code in (0, None), printed.err
    return printed.out, [line for line in printed.err.splitlines() if "were cut off" in line]


def recipe(tmp_path: Path, tokens: int) -> str:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(tokens=tokens))
    return str(path)


def test_train_warns_once_of_its_rollouts_and_of_each_measurement_and_shows_the_shares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    printed, warned = command(capsys, "train", recipe(tmp_path, SHORT), "--out", str(out))
    assert [line.partition(" of ")[2].partition(" were")[0] for line in warned] == [
        "the answers to nano-arithmetic (before)",
        "the completions of rollout 1",
        "the answers to nano-arithmetic (after)",
    ]
    assert all("rollout.max_completion_tokens = 6" in line for line in warned)
    first, last = (row["truncated_fraction"] for row in read_jsonl(out / "metrics.jsonl"))
    assert f"truncated, first → last {first:.3f} → {last:.3f}" in printed
    assert re.search(r"nano-arithmetic .* 4 questions, \d+% truncated", printed)
    assert read_json(out / "eval.json")["nano-arithmetic"].keys() == {
        *("before", "after", "difference", "during", "unreadable", "pass_at")
    }
    command(capsys, "report", str(out))
    page = (out / "report.html").read_text()
    assert "of the last rollouts&#39; completions were cut off at 6 tokens" in page
    assert "of the answers to nano-arithmetic after training were cut off at 6 tokens" in page
    assert "share of the rollout&#39;s completions that were cut off" in page  # its chart
    (row,) = table(read_runs(out))
    assert f"{last:.3f}" == cells([row]).body[0][cells([row]).header.index("truncated")]


def test_where_nothing_is_cut_off_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    printed, warned = command(capsys, "train", recipe(tmp_path, ENOUGH), "--out", str(out))
    shares = [row["truncated_fraction"] for row in read_jsonl(out / "metrics.jsonl")]
    assert max(shares) < MANY_CUT_OFF
    assert warned == []
    assert ("truncated, first → last" in printed) == any(shares)
    command(capsys, "report", str(out))
    assert "were cut off at" not in (out / "report.html").read_text().partition('id="definitions"')[0]


def test_eval_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("eval", "nano", "--task", "nano-arithmetic", "--limit", "4")
    printed, warned = command(capsys, *asked, "--max-tokens", str(SHORT), "--out", str(tmp_path / "short"))
    assert [line for line in warned if "at 6 tokens" in line and "--max-tokens" in line] == warned
    assert len(warned) == 1
    assert "truncated" in printed
    assert command(capsys, *asked, "--max-tokens", str(ENOUGH), "--out", str(tmp_path / "enough"))[1] == []


def test_preflight_shows_the_share_and_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ("--set", "eval.tasks=[]", "--set", "task.reward=tests.real.reward:distinct")
    printed, _ = command(capsys, "preflight", recipe(tmp_path, SHORT), *changes)
    share = re.search(r"(\d+)% truncated", printed)
    assert share is not None
    assert int(share[1]) > 100 * MANY_CUT_OFF
    assert f"warning: {share[1]}% of the completions were cut off at rollout.max_completion_tokens = 6" in " ".join(
        printed.split()
    )
    found, _ = command(capsys, "preflight", recipe(tmp_path, SHORT), *changes, "--json")
    assert 100 * json.loads(found)["rollout"]["truncated"] == pytest.approx(int(share[1]), abs=0.5)


def test_a_comparison_ends_on_what_was_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = tmp_path / "grid.toml"
    tables = RECIPE.format(tokens=SHORT).replace("[", "[recipe.", 3).replace("[eval]", "[recipe.eval]")
    grid.write_text(tables + '[axes]\n"run.seed" = [0]\n')
    _, warned = command(capsys, "compare", str(grid), "--out", str(tmp_path / "out"))
    assert any("of the last rollouts' completions were cut off at 6 tokens" in line for line in warned)


def test_a_line_of_the_progress_names_the_share_where_there_is_one() -> None:
    note = RunNote()
    assert note.of({"step": 1, "reward": 0.5, "truncated_fraction": 0.62}) == "reward 0.500  truncated 62%"
    assert note.of({"step": 2, "reward": 0.5, "truncated_fraction": 0.0}) == "reward 0.500"


@pytest.mark.parametrize(("share", "said"), [(0.0, False), (0.099, False), (0.1, True), (1.0, True)])
def test_a_tenth_is_many(share: float, said: bool) -> None:
    assert bool(cut_off_warning(share, "them", "6 tokens", "more")) == said
