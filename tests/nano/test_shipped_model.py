"""The model that ships is the one that its builder makes, and can do what the documents say."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from stiefel.evaluation import evaluate
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.nano import NANO_PATH
from stiefel.nano.build import train
from stiefel.nano.problems import PROBLEMS, problems, split_of
from stiefel.scores import accuracy
from stiefel.tasks import MADE_HERE, Sampling, find_task


@pytest.mark.parametrize(
    ("task", "low", "high"), [("nano-arithmetic", 0.45, 0.6), ("nano-reverse", 0.8, 1), ("nano-sort", 0.8, 1)]
)
def test_base_accuracy_sampled_at_temperature_1(task: str, low: float, high: float) -> None:
    torch.set_num_threads(1)
    rows = find_task(task).rows("test", 500, 0)
    samples = evaluate(load_model("nano"), load_tokenizer("nano"), find_task(task), rows, Sampling())
    assert low <= accuracy([sample.score for sample in samples]).mean <= high


def test_weights_are_small_float32_safetensors() -> None:
    files = list(NANO_PATH.iterdir())
    assert sum(file.stat().st_size for file in files) < 5_000_000
    with safe_open(NANO_PATH / "model.safetensors", "pt") as tensors:
        assert {tensors.get_tensor(name).dtype for name in tensors.keys()} == {torch.float32}  # noqa: SIM118


def test_the_builder_learns_from_its_seed_and_repeats_itself() -> None:
    torch.set_num_threads(1)
    record = json.loads((NANO_PATH / "build.json").read_text())
    first, again = (train(25, record["seed"], record["steps"]) for _ in range(2))
    assert first[1] == again[1]
    assert sum(first[1][-5:]) < 0.9 * sum(first[1][:5])
    assert first[0].num_parameters() == record["parameters"]


@pytest.mark.parametrize("kind", PROBLEMS)
def test_no_test_problem_is_ever_trained_on(kind: str) -> None:
    for split in ("train", "test"):
        stream = problems(kind, split, seed=1)
        assert {split_of(next(stream).prompt) for _ in range(300)} == {split}


def test_test_questions_do_not_depend_on_the_seed_and_training_ones_do() -> None:
    for task in MADE_HERE:
        assert task.rows("test", 20, 0) == task.rows("test", 20, 1)
        assert task.rows("train", 20, 0) != task.rows("train", 20, 1)
        assert task.rows("train", 20, 5) == task.rows("train", 20, 5)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_gold_answers_are_right(kind: str) -> None:
    stream = problems(kind, "train", seed=2)
    solve = {
        "arithmetic": lambda text: str(eval(text)),  # noqa: S307 — digits and signs that we wrote
        "reverse": lambda text: text[1:][::-1],
        "sort": lambda text: "".join(sorted(text[1:])),
    }[kind]
    for _ in range(300):
        problem = next(stream)
        assert problem.answer == solve(problem.prompt.removesuffix("?"))
