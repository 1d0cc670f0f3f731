"""Rewards through verl's own managers: our grades, ±1 where overlong answers are shaped, nothing lost in silence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.dapo import DAPORewardManager
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils.dataset.rl_dataset import collate_fn

from stiefel.errors import UserError
from stiefel.recipe import Recipe
from stiefel.verl import reward
from stiefel.verl.dataset import Rows
from tests.chats import chat_model, chat_tokenizer
from tests.verl.launches import DATA, HAS_DATA, hand_over, written
from tests.verl.recipes import composed, overrides

OVERLONG = "overlong_buffer = 16"  # of 64


def sequence(row: dict[str, Any], text: str, tokenizer: Any, tokens: int = 0) -> DataProto:
    """One completion as verl's agent loop hands it to a reward worker, of so many tokens where that is given."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = [*[tokenizer.pad_token_id] * (tokens - len(ids)), *ids] if tokens else ids
    prompt, response = torch.tensor([row["extra_info"]["prompt_ids"]]), torch.tensor([ids])
    both = torch.cat([prompt, response], 1)
    tensors = {"prompts": prompt, "responses": response, "input_ids": both, "attention_mask": torch.ones_like(both)}
    fields = {key: value for key, value in row.items() if key != "dummy_tensor"}
    return DataProto(
        batch=TensorDict(tensors, batch_size=1), non_tensor_batch={key: np.array([fields[key]] * 1) for key in fields}
    )


def scored(recipe: Recipe, rows: Rows, texts: list[tuple[int, str]], *, tokens: int = 0) -> list[dict[str, Any]]:
    """What verl's manager makes of completions of rows, all at once, as its loop gathers them."""

    async def run() -> list[Any]:
        manager = load_reward_manager(composed(overrides(recipe)), rows.tokenizer)
        assert type(manager) is DAPORewardManager
        wanted = [sequence(rows[place], text, rows.tokenizer, tokens) for place, text in texts]
        return await asyncio.gather(*(manager.run_single(one) for one in wanted), return_exceptions=True)

    return asyncio.run(run())


@pytest.fixture
def nano(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Recipe, Rows]:
    recipe = written(tmp_path, algorithm=OVERLONG)
    hand_over(recipe, tmp_path, monkeypatch)
    return recipe, Rows("train", None, None)


def right(rows: Rows, place: int) -> str:
    return f">{rows.rows[place]['reward_model']['ground_truth']}"


def test_right_and_wrong_are_one_and_minus_one_under_verls_dapo_manager(nano: tuple[Recipe, Rows]) -> None:
    recipe, rows = nano
    good, bad = scored(recipe, rows, [(0, right(rows, 0)), (1, ">nothing")])
    assert (good["reward_score"], good["reward_extra_info"]["acc"]) == (1.0, 1.0)
    assert (bad["reward_score"], bad["reward_extra_info"]["acc"]) == (-1.0, 0.0)


@pytest.mark.parametrize(("tokens", "penalty"), [(48, 0.0), (56, 0.5), (64, 1.0)])
def test_verls_overlong_penalty_is_ours(nano: tuple[Recipe, Rows], tokens: int, penalty: float) -> None:
    """16 of 64 tokens: half the penalty in the middle of the buffer."""
    recipe, rows = nano
    (found,) = scored(recipe, rows, [(0, right(rows, 0))], tokens=tokens)
    assert float(found["reward_score"]) == pytest.approx(1.0 - penalty)
    assert found["reward_extra_info"]["acc"] == 1.0  # by which dynamic sampling filters


def test_without_shaping_a_reward_is_the_grade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path)
    hand_over(recipe, tmp_path, monkeypatch)
    rows = Rows("train", None, None)
    good, bad = scored(recipe, rows, [(0, right(rows, 0)), (0, ">no")])
    assert (good["reward_score"], bad["reward_score"]) == (1.0, 0.0)


def test_verls_naive_manager_gives_the_same(nano: tuple[Recipe, Rows]) -> None:
    recipe, rows = nano

    async def run() -> Any:
        config = composed([*overrides(recipe), "reward.reward_manager.name=naive"])
        manager = load_reward_manager(config, rows.tokenizer)
        assert type(manager) is NaiveRewardManager
        return await manager.run_single(sequence(rows[0], right(rows, 0), rows.tokenizer))

    assert asyncio.run(run())["reward_score"] == 1.0


@HAS_DATA
def test_real_rows_are_graded_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = chat_model(tmp_path / "chat", chat_tokenizer())
    config = json.loads((tmp_path / "chat" / "config.json").read_text())
    (tmp_path / "chat" / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8192}))
    task = f'name = "gsm8k"\ndata = "{DATA}/gsm8k_train_1000.jsonl"'
    recipe = written(tmp_path, model=directory, task=task, algorithm=OVERLONG, room=4000)
    hand_over(recipe, tmp_path, monkeypatch)
    rows, sizes = Rows("train", None, None), []
    grade_all = reward.grade_all
    monkeypatch.setattr(
        reward, "grade_all", lambda grader, texts, *rest: (sizes.append(len(texts)), grade_all(grader, texts, *rest))[1]
    )
    golds = [row["reward_model"]["ground_truth"] for row in rows.rows]
    texts = [(place, f"so the answer is {golds[place]}.") for place in range(6)]
    texts += [(place, f"It is {float(golds[place].replace(',', '')) + 1}") for place in range(6)]
    found = [one["reward_score"] for one in scored(recipe, rows, texts)]
    assert found == [1.0] * 6 + [-1.0] * 6
    assert sum(sizes) == 12
    assert len(sizes) <= 3  # and not one by one


def test_a_users_own_function_is_asked_with_its_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_verl.py").write_text(
        "def half(completion, answer, bonus):\n    return 0.5 * (answer in completion) + bonus\n"
    )
    data = tmp_path / "rows.jsonl"
    data.write_text(
        "".join(json.dumps({"prompt": f"{n}+1?", "answer": str(n + 1), "bonus": 0.25}) + "\n" for n in range(8))
    )
    monkeypatch.chdir(tmp_path)
    task = f'name = "own"\ndata = "{data}"\nreward = "mine_for_verl:half"'
    recipe = written(tmp_path, task=task)
    hand_over(recipe, tmp_path, monkeypatch)
    monkeypatch.chdir("/")  # where ray may start its workers
    rows = Rows("train", None, None)
    answer = rows.rows[0]["reward_model"]["ground_truth"]
    assert [one["reward_score"] for one in scored(recipe, rows, [(0, answer), (0, "?")])] == [0.75, 0.25]


def test_a_broken_reward_raises_and_leaves_a_note_that_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_for_verl.py").write_text("def score(completion, answer):\n    return 1 / 0\n")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{n}+1?", "answer": str(n + 1)}) + "\n" for n in range(8)))
    monkeypatch.chdir(tmp_path)
    recipe = written(tmp_path, task=f'name = "own"\ndata = "{data}"\nreward = "broken_for_verl:score"')
    told = hand_over(recipe, tmp_path, monkeypatch)
    rows = Rows("train", None, None)
    (found,) = scored(recipe, rows, [(0, "1")])
    assert isinstance(found, UserError)
    assert "broken_for_verl" in Path(told["failed"]).read_text()
    with pytest.raises(UserError, match="a reward has failed"):
        rows[1]


def test_a_gold_that_cannot_be_read_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path, task='name = "nano-arithmetic"\nreward = "gsm8k"')
    told = hand_over(recipe, tmp_path, monkeypatch)
    rows = Rows("train", None, None)
    rows.rows[0]["reward_model"]["ground_truth"] = "\\frac{"
    (found,) = scored(recipe, rows, [(0, "5")])
    assert isinstance(found, UserError)
    assert "cannot be read" in str(found)
    assert Path(told["failed"]).is_file()


def test_a_scorer_of_reasoning_gym_grades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path, task='name = "reasoning_gym:gcd"', room=4000, model=room_for_text(tmp_path))
    hand_over(recipe, tmp_path, monkeypatch)
    rows = Rows("train", None, None)
    entry = json.loads(rows.rows[0]["extra_info"]["columns"])
    answer = entry["entry"]["answer"] if "entry" in entry else entry["answer"]
    good, bad = scored(recipe, rows, [(0, f"<answer>{answer}</answer>"), (0, "<answer>no</answer>")])
    assert (good["reward_score"], bad["reward_score"]) == (1.0, 0.0)


def room_for_text(home: Path) -> str:
    directory = chat_model(home / "chat", chat_tokenizer())
    config = json.loads((home / "chat" / "config.json").read_text())
    (home / "chat" / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8192}))
    return directory


@pytest.mark.parametrize(
    ("grader", "text"),
    [("gsm8k", "it is 12</think>{gold}"), ("exact", "{gold}<end>"), ("exact", "{gold}\n\nand on")],
)
def test_the_thought_that_a_prompt_opens_and_the_ends_of_a_turn_are_no_part_of_the_answer(
    grader: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(written(tmp_path, task=f'name = "nano-arithmetic"\nreward = "{grader}"'), tmp_path, monkeypatch)
    row = Rows("train", None, None).rows[0]
    gold, opened = row["reward_model"]["ground_truth"], "<think>\n" if "think" in text else ""
    about = {**row["extra_info"], "opening": opened, "endings": ["<end>"], "stops": ["\n\n"]}
    made = reward.compute_score("nano-arithmetic", text.format(gold=gold), gold, about)
    assert asyncio.run(made)["score"] == 1.0


def test_rows_reach_the_reward_as_verls_collate_leaves_them(nano: tuple[Recipe, Rows]) -> None:
    _, rows = nano
    batch = collate_fn([rows[0], rows[1]])
    assert batch["extra_info"][1] == rows.rows[1]["extra_info"]
    assert batch["reward_model"][0] == rows.rows[0]["reward_model"]
