"""A recipe's [task]: a named benchmark, its rows from a file, and data of one's own beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from stiefel.artifacts import read_jsonl
from stiefel.errors import UserError
from stiefel.recipe.recipe import make_recipe
from stiefel.rewards import GRADERS, grade_all
from stiefel.run.run import train
from stiefel.tasks import training_task

ROWS = [{"question": f"What is {n}+1?", "answer": f"<<{n}+1={n + 1}>>\n#### {n + 1}"} for n in range(10)]


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "gsm8k.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def task_of(**keys: Any) -> Any:
    return training_task(make_recipe({"task": keys}).task)


def test_a_benchmarks_name_gives_its_template_and_grader_to_a_file_of_its_columns(data: str) -> None:
    task = task_of(name="gsm8k", data=data)
    assert (task.name, task.size, task.grader, task.chat) == ("gsm8k", 10, GRADERS["gsm8k"], True)
    rows = task.rows("train", 10, 0)
    assert {row.answer for row in rows} == {str(n + 1) for n in range(10)}
    assert all("\\boxed{}" in row.text for row in rows)
    assert task.origin("train")["path"] == data
    own = task_of(data=data, prompt_column="question", reward="math").origin("train")
    assert own == task.origin("train")
    with pytest.raises(UserError, match="a file has none"):
        task_of(name="gsm8k", data=data, revision="main")
    with pytest.raises(UserError, match="nano-sort takes no data"):
        task_of(name="nano-sort", revision="main")


def test_naming_a_column_makes_the_file_ones_own(data: str) -> None:
    task = task_of(name="gsm8k", data=data, prompt_column="question", reward="gsm8k")
    assert {row.text for row in task.rows("train", 10, 0)} == {row["question"] for row in ROWS}
    with pytest.raises(UserError, match=r"without task\.reward"):
        task_of(name="gsm8k", data=data, prompt_column="question")


def test_a_file_of_other_columns_says_what_the_benchmark_needs(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"prompt": "1+1?", "answer": "2"}\n')
    with pytest.raises(UserError, match="has no column question") as error:
        task_of(name="gsm8k", data=str(path))
    assert "another task.name" in error.value.instead


def test_every_row_of_a_file_is_checked_before_training(data: str) -> None:
    with Path(data).open("a") as file:
        file.write('{"question": "1+1?", "answer": ""}\n')
    with pytest.raises(UserError, match=r"row 11 of .* has an empty answer"):
        task_of(name="gsm8k", data=data)


def test_the_first_rows_and_another_reward(data: str) -> None:
    task = task_of(name="gsm8k", data=data, train_rows=3, reward="math")
    assert (task.size, task.grader) == (3, GRADERS["math"])
    rows = task.rows("train", 9, 0)
    assert {row.answer for row in rows} == {"1", "2", "3"}
    assert all(row.columns["prompt"] == row.prompt for row in rows)


def test_without_data_the_hub_is_asked_for_the_training_split() -> None:
    with pytest.raises(UserError, match="no data set openai/gsm8k, configuration main, with a split train"):
        task_of(name="gsm8k")
    with pytest.raises(UserError, match="with a split test"):
        task_of(name="gsm8k", split="test")
    with pytest.raises(UserError, match="math500 has no train split"):
        task_of(name="math500")


@pytest.fixture
def model(tmp_path: Path, make_model: Callable[..., Any]) -> str:
    """A tiny model whose tokens are bytes, which can read any question."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate(["<pad>", "<bos>", "<eos>", *alphabet])}
    bytewise = Tokenizer(models.BPE(words, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    directory = tmp_path / "bytes"
    make_model(vocab_size=len(words), max_position_embeddings=512).save_pretrained(directory)
    PreTrainedTokenizerFast(
        tokenizer_object=bytewise, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    ).save_pretrained(directory)
    return str(directory)


@pytest.mark.parametrize("algorithm", ["dapo", "sft"])
def test_a_benchmark_is_trained_on(algorithm: str, model: str, data: str, tmp_path: Path) -> None:
    tables: dict[str, Any] = {
        "model": {"path": model},
        "adapter": {"method": "lora", "rank": 2, "alpha": 4},
        "task": {"name": "gsm8k", "data": data},
        "rollout": {"max_prompt_tokens": 256, "max_completion_tokens": 40},
        "algorithm": {"name": algorithm},
        "run": {"threads": 1},
    }
    if algorithm == "dapo":
        tables["optim"] = {"rollouts": 1}
        tables["rollout"] |= {"prompts": 2, "completions": 2}
        tables["run"] |= {"save_every": 0}
    said: list[str] = []
    train(make_recipe(tables), tmp_path / "run", progress=said.append)
    assert read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert f"gsm8k: 10 rows of {data}" in said


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("He has 3*6 = <<3*6=18>>18 eggs.\n#### 18", "He has 3*6 = 18 eggs.\n\\boxed{18}\n#### 18"),
        ("18", "\\boxed{18}\n#### 18"),
        ("It costs $1,000 each.\n#### 2,125", "It costs $1,000 each.\n\\boxed{2,125}\n#### 2,125"),
        ("Down 3 degrees.\n#### -3", "Down 3 degrees.\n\\boxed{-3}\n#### -3"),
    ],
)
def test_what_gsm8k_teaches_is_found_by_the_strict_match_of_lm_eval(answer: str, target: str, tmp_path: Path) -> None:
    path = tmp_path / "gsm8k.jsonl"
    path.write_text(json.dumps({"question": "How many?", "answer": answer}) + "\n")
    (row,) = task_of(name="gsm8k", data=str(path)).rows("train", 1, 0)
    assert row.target == target
    found = re.findall(r"#### (\-?[0-9\.\,]+)", row.target)  # lm-eval's gsm8k.yaml, "strict-match"
    assert found == [row.answer]
    (grade,) = grade_all(GRADERS["gsm8k"], [row.target], [row.answer], [row.columns])
    assert grade.score == 1.0


def test_only_gsm8k_teaches_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "svamp.jsonl"
    path.write_text(json.dumps({"Body": "Ann has 20 pens.", "Question": "How many?", "Answer": 20}) + "\n")
    (row,) = task_of(name="svamp", data=str(path)).rows("train", 1, 0)
    assert row.target == "\\boxed{20}"
