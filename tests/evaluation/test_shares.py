"""A measurement inside a run: processes share its batches, and a killed one goes on with what is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import stiefel.evaluation.run as run_module
from stiefel.evaluation.plan import Room
from stiefel.evaluation.run import evaluate
from stiefel.evaluation.sample import Sample
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from stiefel.tasks import Sampling, find_task

SAMPLING = Sampling(samples=2, temperature=1.0, top_p=1.0, top_k=0, max_tokens=16, seed=5)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "Room", lambda: Room(sequences=4))


def samples(**how: Any) -> list[Sample]:
    task = find_task("nano-sort")
    return evaluate(load_model("nano"), load_tokenizer("nano"), task, task.rows("test", 9, 0), SAMPLING, **how)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("of", [2, 3])
def test_the_shares_of_any_number_of_processes_are_the_whole(of: int) -> None:
    parts = [samples(shares=(number, of)) for number in range(of)]
    assert all(parts)
    together = sorted((one for part in parts for one in part), key=lambda one: (one.question, one.sample))
    assert together == samples()


@pytest.mark.usefixtures("small_batches")
def test_a_process_without_an_engine_writes_nothing() -> None:
    assert samples(shares=(1, 1)) == []


@pytest.mark.usefixtures("small_batches")
def test_what_is_done_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = run_module.sample_batch, []

    def interrupted(*args: Any) -> list[Sample]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(run_module, "sample_batch", interrupted)
    journal = tmp_path / "journal.jsonl"
    with pytest.raises(KeyboardInterrupt):
        samples(journal=journal)
    with journal.open("a") as file:
        file.write('{"task": "nano-s')  # half a line of a kill
    assert samples(journal=journal) == samples()
    assert len(calls) == 3 + 3 + 5, "two of five batches, an interruption, the other three, and all five of the second"


def test_a_run_that_is_killed_while_it_is_measured_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(
        {
            "adapter": {"method": "lora", "rank": 4, "alpha": 8},
            "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
            "optim": {"rollouts": 2, "updates_per_rollout": 1, "lr": 1e-3},
            "run": {"threads": 1, "save_every": 1},
            "eval": {"tasks": ["nano-sort", "nano-reverse"], "limit": 4},
        }
    )
    train(recipe, tmp_path / "whole")
    real, asked = run_module.sample_batch, []

    def interrupted(engine: Any, task: Any, *rest: Any) -> list[Sample]:
        asked.append(task.name)
        if len(asked) == 4:  # the second task after training
            raise KeyboardInterrupt
        return real(engine, task, *rest)

    monkeypatch.setattr(run_module, "sample_batch", interrupted)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out)
    assert (out / "measured").is_dir()
    train(recipe, out, resume=True)
    assert asked[4:] == ["nano-reverse"], "the base and the first task were there"
    assert not (out / "measured").exists()
    assert (out / "samples.jsonl").read_bytes() == (tmp_path / "whole" / "samples.jsonl").read_bytes()
    assert json.loads((out / "manifest.json").read_text())["status"] == "finished"
