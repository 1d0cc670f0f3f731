"""A run directory travels whole: whenever it is looked at, what arrives is what a kill at that moment would leave."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stiefel.comparison import mirror
from stiefel.comparison.mirror import Receiver, Sender, files_in, last_step, sweep


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a checkpoint and a journal, as far as names go."""
    place = tmp_path / "there" / "run"
    checkpoint(place, 2)
    (place / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    (place / "manifest.json").write_text('{"status": "running"}')
    (place / "empty.txt").touch()
    return place


@pytest.fixture
def arrived(tmp_path: Path) -> Path:
    """Where it is to arrive."""
    (tmp_path / "out" / "runs").mkdir(parents=True)
    (tmp_path / "out" / "base").mkdir()
    return tmp_path / "out" / "runs" / "run"


def checkpoint(run: Path, step: int) -> None:
    place = run / "checkpoints" / f"checkpoint-{step}"
    place.mkdir(parents=True)
    (place / "weights").write_bytes(bytes([step]) * 10)
    (place / "stiefel_state.json").write_text("{}")


def content(run: Path) -> dict[str, bytes]:
    return {path: (run / path).read_bytes() for path in files_in(run)}


def deliver(changes: Iterator[tuple[str, bytes] | list[str]], receiver: Receiver) -> list[str]:
    """Take all that was sent; the paths of the pieces."""
    paths = []
    for change in changes:
        if isinstance(change, list):
            receiver.whole(change)
        else:
            receiver.add(change)
            paths.append(change[0])
    return paths


def test_what_has_changed_travels_and_nothing_else(run: Path, arrived: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "PIECE", 4)
    sender, receiver = Sender(run, "manifest.json", run.parent / "kept"), Receiver(arrived, arrived.parents[1])
    assert set(deliver(sender.changes(), receiver)) == set(files_in(run))
    assert content(arrived) == content(run)
    assert deliver(sender.changes(), receiver) == []

    checkpoint(run, 4)
    shutil.rmtree(run / "checkpoints" / "checkpoint-2")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3}\n')
    (run / "checkpoints" / ".checkpoint-6.x").mkdir()  # being written
    (run / "checkpoints" / ".checkpoint-6.x" / "weights").touch()
    sent = deliver(sender.changes(), receiver)
    assert set(sent) == {
        "checkpoints/checkpoint-4/weights",
        "checkpoints/checkpoint-4/stiefel_state.json",
        "metrics.jsonl",
    }
    assert content(arrived) == content(run)
    receiver.close()
    assert sorted(path.name for path in arrived.parents[1].iterdir()) == ["base", "runs"]


def test_a_checkpoint_that_is_removed_on_its_way_arrives(run: Path, arrived: Path) -> None:
    """And the journals are at least as long as it says, since they are looked at after it."""
    sender, receiver = Sender(run, "manifest.json", run.parent / "kept"), Receiver(arrived, arrived.parents[1])
    expected, changes = content(run), sender.changes()
    receiver.add(next(changes))  # type: ignore[arg-type]
    shutil.rmtree(run / "checkpoints")
    deliver(changes, receiver)
    assert content(arrived) == expected
    paths = files_in(arrived)
    assert paths.index("checkpoints/checkpoint-2/stiefel_state.json") == 1
    assert paths.index("checkpoints/checkpoint-2/weights") == 0
    assert paths.index("metrics.jsonl") > 1


def test_nothing_travels_before_the_run_has_its_first_file(run: Path) -> None:
    (run / "manifest.json").unlink()
    assert list(Sender(run, "manifest.json", run.parent / "kept").changes()) == []


def test_half_a_delivery_changes_nothing_and_is_swept(run: Path, arrived: Path) -> None:
    sender, receiver = Sender(run, "manifest.json", run.parent / "kept"), Receiver(arrived, arrived.parents[1])
    deliver(sender.changes(), receiver)
    before = content(arrived)
    (run / "manifest.json").write_text('{"status": "finished"}')
    receiver.add(next(sender.changes()))  # type: ignore[arg-type]
    assert content(arrived) == before
    sweep(arrived.parents[1])
    assert content(arrived) == before
    assert sorted(path.name for path in arrived.parents[1].iterdir()) == ["base", "runs"]


def test_a_run_that_was_moved_aside_when_the_process_was_killed_goes_back(run: Path, arrived: Path) -> None:
    receiver = Receiver(arrived, arrived.parents[1])
    deliver(Sender(run, "manifest.json", run.parent / "kept").changes(), receiver)
    before = content(arrived)
    receiver.old.parent.mkdir()
    arrived.rename(receiver.old)
    sweep(arrived.parents[1])
    assert content(arrived) == before


def test_a_piece_stays_in_its_directory(arrived: Path) -> None:
    receiver = Receiver(arrived, arrived.parents[1])
    with pytest.raises(AssertionError):
        receiver.add(("../../../elsewhere", b"x"))


@pytest.mark.parametrize(("text", "step"), [('{"step": 3}\n', 3), ('{"step": 3}\n{"ste', 0), ("", 0)])
def test_the_last_step_is_read_while_it_is_written(text: str, step: int, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    assert last_step(tmp_path) == step
