"""A run whose reward fell is told so where it ends, and on its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stiefel.cli import main

FELL = [0.2, *[0.6] * 5, *[0.1] * 5]
KEPT = [*[0.6] * 5, *[0.4] * 6]
SAID = "he reward fell: 0.600 at its best, 0.100 at the end (means of 5 rollouts); docs/collapsed.md says what"
SHORT = (
    "[optim]\nrollouts = 1\n[rollout]\nprompts = 2\ncompletions = 4\nmax_completion_tokens = 8\n"
    "[run]\nthreads = 1\n[eval]\ntasks = []\n"
)


def errors_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines of stderr of a command that succeeds."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    assert ended.value.code in (0, None), printed.err
    return printed.err.splitlines()


def test_train_ends_on_it_and_the_page_says_it_above_its_charts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(SHORT)
    train = ("train", str(recipe), "--out", str(out))
    assert not [line for line in errors_of(capsys, *train) if "fell" in line]
    for rewards, fell in ((FELL, True), (KEPT, False)):  # in the place of those of a run that goes on as long
        rows = [{"step": step, "reward": reward} for step, reward in enumerate(rewards, start=1)]
        (out / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        *_, before, last = errors_of(capsys, *train, "--resume")
        assert before.startswith(f"warning: t{SAID}") == fell
        assert last.startswith("next: stiefel report")
        errors_of(capsys, "report", str(out))
        page = (out / "report.html").read_text()
        assert (SAID in page.partition('<section id="training">')[0]) == fell
        assert ("he reward fell:" in page) == fell
