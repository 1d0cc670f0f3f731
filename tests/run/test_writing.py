"""What measures a run: the processes' shares are the whole, and what is kept of it is known by the policy's numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import stiefel
from stiefel.recipe.recipe import make_recipe
from stiefel.run import attempt
from stiefel.run.measurements import By
from stiefel.run.run import train
from stiefel.run.writing import policy_digest, shares_of


@pytest.mark.parametrize(
    ("mode", "tensor_parallel", "processes"),
    [(mode, size, size * groups) for mode in ("colocate", "server") for size in (1, 2, 4) for groups in (1, 2, 3)],
)
def test_the_shares_of_those_who_speak_are_every_batch_once(mode: str, tensor_parallel: int, processes: int) -> None:
    """As `evaluate` takes them: share n of k is batches n, n + k, …, and nothing where n ≥ k."""
    batches, written = list(range(23)), []
    for process in range(processes):
        (number, of), speaks = shares_of(mode, tensor_parallel, process, processes)
        mine = batches[number::of] if number < of else []
        if speaks:
            written += mine
        elif mode == "colocate":  # the others of its group write the same completions with it
            leader = process - process % tensor_parallel
            assert shares_of(mode, tensor_parallel, leader, processes) == ((number, of), True)
        else:
            assert mine == []
    assert sorted(written) == batches


@pytest.mark.parametrize("method", ["lora", "pissa", "full"])
def test_the_digest_is_of_every_number_that_trains(method: str, make_model: Callable[..., Any]) -> None:
    settings = {} if method == "full" else {"r": 4, "alpha": 8}
    model = stiefel.attach(make_model(), method, **settings)
    found = {policy_digest(model)}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter in trained:
            last = parameter.view(-1)[-1:]
            last.copy_(torch.nextafter(last, torch.full_like(last, torch.inf)))  # the smallest change
            found.add(policy_digest(model))
    assert len(found) == len(trained) + 1
    before = policy_digest(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.requires_grad:
                parameter.add_(1.0)
    assert policy_digest(model) == before


def test_the_digest_does_not_ask_for_the_order() -> None:
    def made(*names: str) -> nn.Module:
        model = nn.Module()
        for name in names:
            model.register_parameter(name, nn.Parameter(torch.full((3,), float(ord(name)))))
        return model

    assert policy_digest(made("a", "b", "c")) == policy_digest(made("c", "a", "b"))
    swapped = made("a", "b", "c")
    swapped.a.data, swapped.b.data = swapped.b.data, swapped.a.data
    assert policy_digest(swapped) != policy_digest(made("a", "b", "c")), "a number is that of its name"


def test_a_run_without_an_engine_is_measured_by_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, found = attempt.measured_by, {}

    def measured_by(trainer: Any, tokenizer: Any, ends: Any, when: str, out: Path) -> By:
        found[when] = (real(trainer, tokenizer, ends, when, out), policy_digest(trainer.model))
        return found[when][0]

    monkeypatch.setattr(attempt, "measured_by", measured_by)
    recipe = {
        "adapter": {"method": "lora", "rank": 4, "alpha": 8},
        "rollout": {"prompts": 2, "completions": 2, "max_completion_tokens": 4},
        "optim": {"rollouts": 1, "updates_per_rollout": 1},
        "run": {"threads": 1, "save_every": 0},
        "eval": {"tasks": ["nano-sort"], "limit": 2},
    }
    train(make_recipe(recipe), tmp_path / "run")
    ((by, digest),) = found.values()
    assert list(found) == ["after"]
    assert (by.writer, by.shares, by.speaks) == (None, None, True)
    assert by.journals == tmp_path / "run" / "measured" / f"after-{digest}"


def test_a_journal_is_of_its_questions_and_of_its_process(tmp_path: Path) -> None:
    from stiefel.tasks import find_task

    task, by = find_task("nano-sort"), By(journals=tmp_path)
    rows = task.rows("test", 4, 0)
    place = by.journal(task, rows)
    assert place is not None
    assert place.parent == tmp_path
    assert place.name.startswith("nano_sort-")
    assert place.name.endswith("-0-of-1.jsonl")
    assert by.journal(task, rows) == place
    assert by.journal(task, rows[:3]) != place
    assert By().journal(task, rows) is None
