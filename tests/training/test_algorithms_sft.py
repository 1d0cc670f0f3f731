"""Supervised runs on nano: what they learn from, what they leave, that they repeat themselves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from stiefel import attach
from stiefel.artifacts import read_json, read_jsonl
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.directory import finished, status
from stiefel.run.reaction import Diverged
from stiefel.run.run import train
from stiefel.tasks import MADE_HERE, training_task
from stiefel.training.rows import sft_rows
from stiefel.training.sft import SFTTrainer

SHORT: dict[str, Any] = {
    "algorithm": {"name": "sft", "epochs": 2, "batch": 8},
    "task": {"train_rows": 20},
    "optim": {"lr": 1e-3},
    "run": {"threads": 1},
    "eval": {"tasks": ["nano-sort"], "limit": 10, "temperature": 0.0},
}


CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}


def timeless(run: Path) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row.keys() - CLOCK} for row in read_jsonl(run / "metrics.jsonl")]


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sft") / "run"
    train(make_recipe(SHORT), out)
    return out


def test_a_run_leaves_the_same_directory_as_rollouts_do(short_run: Path) -> None:
    names = {path.name for path in short_run.iterdir()}
    assert names == {
        "recipe.toml",
        "manifest.json",
        "metrics.jsonl",
        "samples.jsonl",
        "eval.json",
        "adapter",
        "checkpoints",
    }
    assert finished(short_run)
    assert read_json(short_run / "eval.json")["nano-sort"]["after"]["questions"] == 10


def test_every_update_has_a_row(short_run: Path) -> None:
    rows = read_jsonl(short_run / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 2 * math.ceil(20 / 8) + 1))
    keys = {"step", "loss", "grad_norm", "learning_rate", "tokens_per_second", "peak_memory_bytes", "seconds"}
    assert all(row.keys() == keys for row in rows)
    assert all(row["learning_rate"] == 1e-3 for row in rows)


def test_the_same_recipe_gives_the_same_weights(short_run: Path, tmp_path: Path) -> None:
    train(make_recipe({**SHORT, "eval": {}}), tmp_path / "run")
    first, second = (load_file(run / "adapter" / "adapter_model.safetensors") for run in (short_run, tmp_path / "run"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("adapter", "update"),
    [
        ({"method": "rlpo", "dropout": 0.1}, 2),
        ({"method": "adalora"}, 5),  # in the second pass; update 3 is the last of the first
        ({"method": "pissa"}, 4),
        ({"method": "full"}, 5),
    ],
    ids=str,
)
def test_an_interrupted_run_goes_on_from_its_last_update(adapter: dict[str, Any], update: int, tmp_path: Path) -> None:
    tables = {**SHORT, "adapter": adapter, "run": {"threads": 1, "save_every": 1}}
    recipe = make_recipe({**tables, "optim": {"lr": 1e-3, "schedule": "cosine"}})
    train(recipe, tmp_path / "whole")

    def stop(row: dict[str, Any]) -> None:
        if row["step"] == update:  # its checkpoint is not written yet
            raise KeyboardInterrupt

    out, seen = tmp_path / "run", []
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out, on_row=stop)
    train(recipe, out, resume=True, on_row=lambda row: seen.append(row["step"]))
    assert seen == list(range(update, 7))
    (name,) = [path.name for path in (out / "adapter").glob("*.safetensors") if "anchors" not in path.name]
    first, second = (load_file(run / "adapter" / name) for run in (tmp_path / "whole", out))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert timeless(out) == timeless(tmp_path / "whole")
    assert (out / "samples.jsonl").read_text() == (tmp_path / "whole" / "samples.jsonl").read_text()
    assert len(list((out / "checkpoints").glob("checkpoint-*"))) == 2


def test_adalora_with_too_few_updates_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    tables = {**SHORT, "algorithm": {"name": "sft", "batch": 32}, "adapter": {"method": "adalora"}}
    with pytest.raises(UserError, match="no step to cut its rank in: 1 optimizer steps"):
        train(make_recipe(tables), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", MADE_HERE, ids=lambda task: task.name)
def test_every_target_is_graded_right(task: Any) -> None:
    """The grader accepts what supervised training teaches."""
    rows = task.rows("train", 200, 0)
    assert all(task.grader(row.target, row.answer).score == 1.0 for row in rows)


def test_the_loss_is_the_cross_entropy_of_the_completion_and_its_end(tmp_path: Path) -> None:
    """The first update's loss, at a rate of zero, against a forward pass of our own over all rows at once."""
    tables = {**SHORT, "algorithm": {"name": "sft", "batch": 20}, "optim": {"lr": 0.0}, "eval": {}}
    train(make_recipe(tables), tmp_path / "run")
    logged = read_jsonl(tmp_path / "run" / "metrics.jsonl")[0]["loss"]
    model, tokenizer = load_model("nano"), load_tokenizer("nano")
    total, count = 0.0, 0
    for row in training_task(make_recipe(tables).task).rows("train", 20, 0):
        prompt = tokenizer(row.text)["input_ids"]
        target = [*tokenizer(row.target, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
        logps = logits.double().log_softmax(-1)[torch.arange(len(target)), torch.tensor(target)]
        total, count = total - float(logps.sum()), count + len(target)
    # float32 logits of order 10 carry errors of about 10·eps·√(layers·width) ≈ 3e-5 at most, their mean far less
    assert logged == pytest.approx(total / count, abs=3e-5)


@pytest.mark.parametrize("method", ["pissa", "rlpo", "milora"])
@pytest.mark.parametrize("weight_decay_on", ["delta", "factors"])
def test_every_kind_of_start_learns(method: str, weight_decay_on: str, tmp_path: Path) -> None:
    optim = {"lr": 1e-3, "weight_decay_on": weight_decay_on}
    tables = {**SHORT, "adapter": {"method": method}, "optim": optim, "eval": {}}
    train(make_recipe({**tables, "algorithm": {"name": "sft", "epochs": 4, "batch": 20}}), tmp_path / "run")
    losses = [row["loss"] for row in read_jsonl(tmp_path / "run" / "metrics.jsonl")]
    assert losses[-1] < losses[0]  # one batch, seen four times


def test_a_task_without_end_asks_for_a_number_of_rows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set task\.train_rows"):
        train(make_recipe({**SHORT, "task": {}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_target_that_would_be_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="teaches not to stop"):
        train(make_recipe({**SHORT, "rollout": {"max_completion_tokens": 3}}), tmp_path / "run")


def test_a_run_that_diverges_is_noted_and_named(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="is nan in update"):
        train(make_recipe({**SHORT, "optim": {"lr": 1e30}, "eval": {}}), tmp_path / "run")
    assert status(tmp_path / "run") == "diverged"
    for row in read_jsonl(tmp_path / "run" / "metrics.jsonl"):
        json.dumps(row, allow_nan=False)


def test_a_chat_is_rendered_by_its_template_and_only_the_answer_is_learned(tmp_path: Path) -> None:
    data = tmp_path / "chat.jsonl"
    data.write_text(json.dumps({"prompt": [{"role": "user", "content": "1+2?"}], "answer": "3"}) + "\n")
    tables = {**SHORT, "task": {"data": str(data)}, "algorithm": {"name": "sft", "batch": 1}}
    recipe = make_recipe(tables)
    tokenizer = load_tokenizer("nano")
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}r{{ m.content }}s{% else %}{{ m.content }}<eos>{% endif %}"
        "{% endfor %}"
    )
    rows = sft_rows(recipe, training_task(recipe.task, graded=False), tokenizer)
    assert rows[0]["completion"] == [{"role": "assistant", "content": "3"}]
    trainer = SFTTrainer(recipe, tmp_path / "run", attach(load_model("nano"), "lora"), tokenizer, rows, print)
    row = trainer.train_dataset[0]
    learned = [token for token in row["labels"] if token != -100]
    assert tokenizer.decode(row["input_ids"]).endswith("r1+2?s3<eos>")
    assert tokenizer.decode(learned) == "3<eos>"
