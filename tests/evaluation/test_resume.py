"""Killed and resumed, an evaluation equals one that was never interrupted, and samples nothing twice."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import read_json
from stiefel.errors import UserError
from stiefel.evaluation import directory
from stiefel.evaluation.directory import evaluate_into
from stiefel.evaluation.plan import ON_CPU, Room, plan
from stiefel.evaluation.prepared import as_begun, prepare_evaluation
from stiefel.evaluation.sample import Completion
from stiefel.evaluation.settings import Drawn, Wanted
from stiefel.evaluation.subject import Subject

DRAWN = Drawn(samples=3, temperature=0.8, top_p=0.95, max_tokens=24, seed=7)


def wanted(out: Path, **changes: Any) -> Wanted:
    """90 completions in 12 batches."""
    usual = Wanted(subject=Subject("nano"), task="nano-arithmetic", out=out, drawn=DRAWN, limit=30, batch=8)
    return replace(usual, **changes)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    evaluate_into(prepare_evaluation(wanted(out)))
    return out


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of all completions that the real engine was asked for."""
    asked: list[int] = []

    class Counting(directory.HFEngine):
        def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Completion]:
            asked.extend(seeds)
            return super().__call__(prompts, seeds)

    monkeypatch.setattr(directory, "HFEngine", Counting)
    return asked


def start(out: Path, **changes: Any) -> int:
    """Evaluate in a child of this warm process; its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            evaluate_into(prepare_evaluation(wanted(out, **changes)), resume=True)
            status = 0
        finally:
            os._exit(status)
    return child


def lines_of(out: Path) -> int:
    path = out / "samples.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_killed_at_random_moments_it_ends_in_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    """Once before a sample is there, then within or after the next batches: at most 8 + 16 + 8 lines an attempt."""
    out, rng = tmp_path / "out", random.Random(0)
    for attempt in range(4):
        wanted_lines = lines_of(out) + rng.randint(1, 9) if attempt else 0
        child = start(out)
        deadline = time.monotonic() + 120
        while lines_of(out) < wanted_lines and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"attempt {attempt + 1} had ended by itself: nothing was killed"
    assert lines_of(out) < 90
    _, status = os.waitpid(start(out), 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0
    assert contents(out) == contents(whole)


@pytest.mark.parametrize("cut", [0.0, 0.05, 0.33, 0.5, 0.77, 0.999, 1.0])
def test_from_any_byte_of_the_samples_it_goes_on(cut: float, whole: Path, tmp_path: Path, counted: list[int]) -> None:
    """A file that ends in the middle of a line, of a batch, or nowhere; nothing that is there whole is drawn again."""
    out = tmp_path / "out"
    out.mkdir()
    samples = (whole / "samples.jsonl").read_bytes()
    kept = samples[: int(cut * len(samples))]
    (out / "samples.jsonl").write_bytes(kept)
    (out / "manifest.json").write_text(json.dumps({**read_json(whole / "manifest.json"), "status": "running"}))
    evaluate_into(prepare_evaluation(wanted(out)), resume=True)
    assert contents(out) == contents(whole)
    batches = kept.count(b"\n") // 8 if cut < 1 else 12  # the last batch has two
    assert len(counted) == len(set(counted)) == max(0, 90 - 8 * batches)


def test_a_finished_one_is_left_alone(whole: Path, counted: list[int]) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    lines: list[str] = []
    found = evaluate_into(prepare_evaluation(wanted(whole)), resume=True, say=lines.append)
    assert lines == [f"{whole} is finished"]
    assert found.summary == read_json(whole / "eval.json")
    assert len(found.samples) == 90
    assert counted == []
    assert {path: path.stat().st_mtime_ns for path in whole.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"drawn": replace(DRAWN, temperature=0.7)}, "sampling.temperature was 0.8, is 0.7"),
        ({"drawn": replace(DRAWN, seed=8)}, "sampling.seed was 7, is 8"),
        ({"task": "nano-sort"}, "task was 'nano-arithmetic', is 'nano-sort'"),
        ({"limit": 31}, "questions.count was 30, is 31"),
        ({"batch": 9}, "batch.sequences was 8, is 9"),
        ({"subject": Subject("nano", dtype="bfloat16")}, "dtype was 'auto', is 'bfloat16'"),
    ],
)
def test_other_settings_are_refused_by_name(changes: dict[str, Any], named: str, whole: Path) -> None:
    before = contents(whole)
    with pytest.raises(UserError) as error:
        evaluate_into(prepare_evaluation(wanted(whole, **changes)), resume=True)
    assert named in str(error.value)
    assert contents(whole) == before


def test_a_file_that_it_did_not_write_is_refused_and_kept(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    lines = (whole / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (out / "manifest.json").write_text(json.dumps({**read_json(whole / "manifest.json"), "status": "running"}))
    for broken, where in (([*lines[:3], b"{}\n", *lines[4:]], 4), ([lines[1], lines[0]], 1)):
        (out / "samples.jsonl").write_bytes(b"".join(broken))
        with pytest.raises(UserError, match=f"line {where} is not what this evaluation wrote"):
            evaluate_into(prepare_evaluation(wanted(out)), resume=True)
        assert (out / "samples.jsonl").read_bytes() == b"".join(broken)


def test_the_batches_decide_nothing_but_the_random_numbers(whole: Path, tmp_path: Path) -> None:
    """Greedy, another batch size writes the same completions."""
    greedy = Drawn(samples=1, temperature=0.0, max_tokens=40)
    found = [
        evaluate_into(prepare_evaluation(wanted(tmp_path / str(batch), drawn=greedy, batch=batch))).samples
        for batch in (1, 30)
    ]
    assert found[0] == found[1]


def begun(whole: Path, out: Path, batch: dict[str, Any] | None, lines: int) -> None:
    """An evaluation that was killed after so many lines, by a version that made such batches."""
    out.mkdir()
    settings = {**read_json(whole / "manifest.json"), "status": "running"}
    (out / "manifest.json").write_text(json.dumps(settings if batch is None else {**settings, "batch": batch}))
    kept = (whole / "samples.jsonl").read_bytes().splitlines(keepends=True)[:lines]
    (out / "samples.jsonl").write_bytes(b"".join(kept))


@pytest.mark.parametrize("lines", [0, 1, 29, 30, 61, 89])
def test_what_a_kill_loses_is_a_question_or_a_few(lines: int, tmp_path: Path, counted: list[int]) -> None:
    """Without --batch: three samples a question, of which ten questions are written together on a CPU."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    evaluate_into(prepare_evaluation(wanted(whole, batch=None)))
    counted.clear()
    begun(whole, out, None, lines)
    evaluate_into(prepare_evaluation(wanted(out, batch=None)), resume=True)
    assert contents(out) == contents(whole)
    assert len(counted) == 90 - lines // 30 * 30
    assert ON_CPU == 32


@pytest.mark.parametrize(("samples", "most"), [(1, 16), (3, 15), (8, 16), (9, 9), (16, 16), (40, 16)])
def test_a_batch_holds_whole_questions_where_one_fits(samples: int, most: int) -> None:
    batches = plan([5] * 40, samples, 10, Room(sequences=16, whole=True))
    assert sorted(job for jobs in batches for job in jobs) == [(q, s) for q in range(40) for s in range(samples)]
    assert {len(jobs) for jobs in batches[:-1]} == {most}
    if samples <= 16:
        assert all({sample for _, sample in jobs} == set(range(samples)) for jobs in batches)


def test_one_that_began_in_other_batches_goes_on_in_them(tmp_path: Path, counted: list[int]) -> None:
    """As earlier versions made them, 250 at a time whatever the machine."""
    usual = {"sequences": 250, "tokens": 2**18}
    whole, out = tmp_path / "whole", tmp_path / "out"
    prepared = as_begun(prepare_evaluation(wanted(whole, batch=None)), {"batch": usual})
    assert [len(jobs) for jobs in prepared.batches] == [90]
    evaluate_into(prepared)
    assert read_json(whole / "manifest.json")["batch"] == usual
    begun(whole, out, usual, 0)
    evaluate_into(prepare_evaluation(wanted(out, batch=None)), resume=True)
    assert contents(out) == contents(whole)
    with pytest.raises(UserError, match=r"batch\.sequences was 250, is 8"):
        evaluate_into(prepare_evaluation(wanted(out)), resume=True)


@pytest.mark.parametrize(("batch", "together"), [(4, 1), (None, ON_CPU // 4)], ids=["a question", "the usual"])
def test_a_kill_costs_the_questions_that_are_written_together_and_no_other(
    batch: int | None, together: int, tmp_path: Path, counted: list[int]
) -> None:
    """Four samples a question: --batch 4 writes a question at a time, the usual batch on a CPU eight."""
    drawn = replace(DRAWN, samples=4)
    out, whole = tmp_path / "out", tmp_path / "whole"
    changes: dict[str, Any] = {"drawn": drawn, "batch": batch, "limit": 20}
    child = start(out, **changes)
    deadline = time.monotonic() + 120
    while not 0 < lines_of(out) < 80 and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    kept = (out / "samples.jsonl").read_bytes()
    lines = [json.loads(line) for line in kept.splitlines(keepends=True) if line.endswith(b"\n")]
    assert 0 < len(lines) < 80
    sampled: list[int] = [line["question"] for line in lines]
    done = {question for question in sampled if sampled.count(question) == 4}
    finished = len(lines) // (4 * together) * together  # of whole batches
    assert len(done) >= finished
    said: list[str] = []
    evaluate_into(prepare_evaluation(wanted(out, **changes)), resume=True, say=said.append)
    assert f"{out}: going on after {finished * 4} of 80 samples" in said
    assert len(counted) == len(set(counted)) == 80 - finished * 4
    assert (out / "samples.jsonl").read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    evaluate_into(prepare_evaluation(wanted(whole, **changes)))
    assert contents(out) == contents(whole)
