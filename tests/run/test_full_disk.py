"""A disk that fills up during a run: one message of the file that the user knows, nothing half-written, a way on."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from stiefel import attach, save
from stiefel.adapter.exported import export
from stiefel.artifacts import append_text, discard, read_jsonl, whole_directory, write_json
from stiefel.errors import UserError
from stiefel.evaluation.sample import Sample
from stiefel.model.weights import load_model
from stiefel.recipe.recipe import Recipe, make_recipe
from stiefel.run.measurements import append_samples
from stiefel.run.run import train
from stiefel.training.checkpoints import checkpoints_in, load_states, save_states
from stiefel.training.metrics import append_row

LONG = {"note": "x" * 20_000}
SAMPLE = Sample("t", 0, 0, "p", "a", "c" * 20_000, 1, False, 1.0, None, "")


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may be longer: what the kernel then says of a write is what it says of a full disk."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)


def with_safetensors(path: Path) -> None:
    with whole_directory(path) as building:
        save_file({"a": torch.zeros(10_000)}, building / "a.safetensors")


def with_states(path: Path) -> None:
    with whole_directory(path) as building:
        save_states({"a": torch.zeros(10_000)}, building / "a.pt")


def with_an_adapter(path: Path) -> None:
    with whole_directory(path) as building:
        save(attach(load_model("nano"), "pissa", r=8, alpha=16), building / "adapter")


def with_json(path: Path) -> None:
    with whole_directory(path) as building:
        write_json(building / "a.json", LONG)


@pytest.mark.parametrize("write", [with_safetensors, with_states, with_an_adapter, with_json])
def test_whatever_writes_a_part_of_a_directory_the_directory_is_named(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    with room(4096), pytest.raises(UserError) as raised:
        write(tmp_path / "wanted")
    assert raised.value.what == f"{tmp_path / 'wanted'} could not be written"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "add",
    [
        lambda path: append_row(path, LONG),
        lambda path: append_samples(path, "before", {"t": [SAMPLE]}),
        lambda path: append_text(path, "x" * 20_000, synced=True),
    ],
)
def test_a_row_is_added_whole_or_not_at_all(add: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for before in (None, {"step": 1}):
        if before:
            append_row(path, before)
        with room(4096), pytest.raises(UserError) as raised:
            add(path)
        assert raised.value.what == f"{path} could not be written"
        assert (read_jsonl(path) if path.exists() else None) == (before and [before])
    add(path)
    assert len(path.read_text()) > 20_000


def test_torchs_and_safetensors_other_errors_stay_theirs(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="mine"), whole_directory(tmp_path / "a"):
        raise RuntimeError("mine")
    with pytest.raises(Exception, match="No such file"), whole_directory(tmp_path / "b") as building:
        save_file({"a": torch.zeros(3)}, building / "nowhere" / "a.safetensors")
    save_states({"a": torch.ones(3)}, tmp_path / "c.pt")
    assert torch.equal(load_states(tmp_path / "c.pt")["a"], torch.ones(3))


def test_an_export_without_room_leaves_nothing(tmp_path: Path) -> None:
    save(attach(load_model("nano"), "rlpo", r=2, alpha=4), tmp_path / "adapter")
    with room(100_000), pytest.raises(UserError, match="merged could not be written"):
        export(tmp_path / "adapter", "nano", "merged", tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


@pytest.mark.parametrize("kind", ["dapo", "sft"])
def test_a_run_whose_checkpoint_has_no_room_goes_on_once_it_has(kind: str, tmp_path: Path) -> None:
    """The limits fall on different writers: an adapter's factors, the optimizer's state, what comes after."""
    steps = {"algorithm": {"name": "sft", "batch": 8}, "task": {"train_rows": 24}} if kind == "sft" else {
        "optim": {"rollouts": 3, "updates_per_rollout": 1}, "rollout": {"prompts": 2, "completions": 4}}  # fmt: skip
    recipe = make_recipe({**steps, "run": {"threads": 1, "save_every": 1}, "adapter": {"rank": 4}})
    train(recipe, tmp_path / "whole")
    for size in (10_000, 60_000, 200_000):
        filled_up(recipe, tmp_path / f"run{size}", size)
        first, second = (
            load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("whole", f"run{size}")
        )
        assert all(torch.equal(first[name], second[name]) for name in first), size


def filled_up(recipe: Recipe, out: Path, size: int) -> None:
    """A run for whose second checkpoint there was no room, gone on with."""

    def narrow(row: dict[str, Any]) -> None:
        if row["step"] == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    with room(2**40), pytest.raises(UserError, match="could not be written") as raised:
        train(recipe, out, on_row=narrow)
    assert "." not in {part[0] for part in Path(raised.value.what.split(" could")[0]).parts}
    assert not list(out.rglob(".*"))
    assert [path.name for path in checkpoints_in(out / "checkpoints")] == ["checkpoint-1"]
    json.loads((out / "manifest.json").read_text())
    train(recipe, out, resume=True)


def test_an_earlier_directory_stays_where_it_cannot_be_replaced(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        discard(tmp_path / "nowhere")
