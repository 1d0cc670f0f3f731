"""`stiefel reproduce`: its list, its dry run, and every mistake as one message."""

from __future__ import annotations

from pathlib import Path

import pytest

from stiefel.cli import main
from stiefel.recipe import Recipe
from stiefel.reproduction.catalogue import entries
from stiefel.reproduction.missing import HUBS, data, lacks, memory
from stiefel.reproduction.work import find_work


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["reproduce", *words])
    found = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, found.out, found.err


def test_without_a_name_it_lists_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys)
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == list(entries())
    assert all("  nano " in line for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rlpo/tabel1"], "did you mean rlpo/table1"),
        (["rlpo/table1"], "--profile nano"),
        (["rlpo/table1", "--profile", "papr"], "did you mean paper?"),
        (["rlpo/table1", "--profile", "nano"], "no --out was given"),
        (["rlpo/table1", "--profile", "nano", "--set", "run.seed=[1"], "run.seed"),
        (["rlpo/table1", "--profile", "nano", "--set", "adapter.method=pissa", "--dry-run"], "which"),
        (["rlpo/main", "--profile", "nano", "--out", "x", "--jobs", "2"], "--jobs 2"),
        (["rlpo/main", "--profile", "nano", "--out", "x", "--resume", "--force"], "--resume and --force"),
        (["rlpo/table1", "--profile", "nano", "--out", "nowhere", "--resume"], "nothing to resume"),
        (["rlpo/table4", "--profile", "nano", "--out", "nowhere", "--resume"], "nothing to resume"),
    ],
)
def test_mistakes_are_named(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["rlpo/table1", "rlpo/table4", "rlpo/main"])
def test_an_out_in_use_is_refused(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for more in ([], ["--force"]):
        code, _, err = said(capsys, name, "--profile", "nano", "--out", str(tmp_path), *more)
        assert code == 2
        assert "already exists" in err or "was not written by Stiefel" in err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_record_of_starts_is_not_anothers_to_resume(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert said(capsys, "rlpo/table4", "--profile", "nano", "--out", out)[0] == 0
    code, _, err = said(capsys, "rlpo/table7", "--profile", "nano", "--out", out, "--resume")
    assert code == 2
    assert "another reproduction than rlpo/table7" in err
    assert said(capsys, "rlpo/table4", "--profile", "nano", "--out", out, "--resume")[0] == 0
    assert said(capsys, "rlpo/table4", "--profile", "nano", "--out", out, "--force")[0] == 0


def test_a_dry_run_says_what_is_missing_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, "rlpo/table1", "--profile", "paper", "--dry-run")
    assert code == 1
    for words in (
        "missing model: deepseek-ai/",
        "missing data: BytedTsinghua-SIA/DAPO-Math-17k",
        "missing GPU: 8 GPUs",
    ):
        assert words in out
    assert "are for `stiefel launch`" in err
    code, out, _ = said(capsys, "rlpo/table1", "--profile", "smollm2", "--dry-run")
    assert code == 1
    assert "missing model: there is no directory .models/smollm2-warm" in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["rlpo/fig9", "rlpo/table7", "peft12/main"])
def test_a_dry_run_of_the_embedded_model_lacks_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, name, "--profile", "nano", "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "nothing is missing")


def test_too_little_memory_is_seen(tmp_path: Path) -> None:
    (recipe,) = find_work("rlpo/main", "nano", ["rollout.max_completion_tokens=64"]).runs.values()
    assert list(memory(recipe)) == []
    longer = recipe.rollout.model_copy(update={"max_completion_tokens": 10**9})
    (lack,) = memory(recipe.model_copy(update={"rollout": longer}))
    assert lack.kind == "memory"
    assert "GB" in lack.what


def test_what_a_recipe_names_by_itself_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, held-out rows and the rows of the cap, as files and as data sets of the hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (recipe,) = find_work("rlpo/main", "nano").runs.values()

    def found(rows: str, heldout: str, cap: str) -> list[str]:
        task = recipe.task.model_copy(update={"data": rows, "heldout": heldout})
        optim = recipe.optim.model_copy(update={"kl_cap": 1e-3, "kl_cap_rows": cap})
        return [
            str(lack).removeprefix("missing data: ").rpartition(": ")[0]
            for lack in data(recipe.model_copy(update={"task": task, "optim": optim}))
        ]

    assert found("", "", "") == []
    assert found("Nobody-Here/Such-Rows", "Nobody-Here/Other-Rows", "cap.jsonl") == [
        "Nobody-Here/Such-Rows is not on this machine, for task.data",
        "Nobody-Here/Other-Rows is not on this machine, for task.heldout",
        "there is no file cap.jsonl",
    ]
    assert found("lists/rows.jsonl", "no id/rows", "") == [
        "there is no file lists/rows.jsonl",
        "there is no file no id/rows",
    ]
    (tmp_path / "cap.jsonl").write_text("")
    for name in ("such-rows", "other-rows"):  # as `datasets` calls them
        (tmp_path / "cache" / f"Nobody-Here___{name}").mkdir(parents=True)
    assert found("Nobody-Here/Such-Rows", "Nobody-Here/Other-Rows", "cap.jsonl") == []


def test_a_task_of_the_hub_is_looked_for_unless_all_that_is_read_of_it_is_the_recipe_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    (recipe,) = find_work("rlpo/main", "nano").runs.values()
    (tmp_path / "rows.jsonl").write_text("")
    rows, hub = str(tmp_path / "rows.jsonl"), HUBS["medqa"].id
    measured = recipe.eval.model_copy(update={"tasks": ["medqa"]})
    for own, wanted in (({}, True), ({"data": rows}, True), ({"data": rows, "heldout": rows}, False)):
        task = recipe.task.model_copy(update={"name": "medqa", **own})
        lacking = [
            str(lack).removeprefix("missing data: ").rpartition(": ")[0]
            for lack in data(recipe.model_copy(update={"task": task, "eval": measured}))
        ]
        assert lacking == ([f"{hub} is not on this machine, for medqa"] if wanted else [])


def test_what_is_missing_is_said_once_with_all_that_it_is_for(tmp_path: Path) -> None:
    """AIME's years are one data set, and GLUE's tasks are."""
    for name, hub, uses in (
        ("rlpo/table1", "AI-MO/aimo-validation-aime", ("aime22", "aime23", "aime24")),
        ("rlpo/table8", "nyu-mll/glue", ("cola", "mrpc")),
    ):
        found = lacks(find_work(name, "paper"), tmp_path / "out")
        assert len({lack.what for lack in found}) == len(found)
        (lack,) = [lack for lack in found if lack.what.startswith(hub)]
        assert set(uses) <= set(lack.uses)
        assert str(lack).startswith(f"missing data: {hub} is not on this machine, for {lack.uses[0]}, {lack.uses[1]}")


def test_every_name_s_paper_profile_can_be_looked_at(tmp_path: Path) -> None:
    """Without a model, a data set or a GPU: nothing of it raises."""
    for name in entries():
        found = lacks(find_work(name, "paper"), tmp_path / "out")
        assert any(lack.kind == "model" for lack in found), name
        assert isinstance(next(iter(find_work(name, "paper").runs.values())), Recipe)
