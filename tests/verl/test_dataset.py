"""verl's data set hook gives what verl's own gives, in the rows and the order of `stiefel train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from omegaconf import OmegaConf
from torchdata.stateful_dataloader import StatefulDataLoader
from verl.trainer.ppo.utils import create_rl_dataset, create_rl_sampler
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn, get_dataset_class

from stiefel.errors import UserError
from stiefel.model import load_tokenizer
from stiefel.tasks import prompt_tokens, training_task
from stiefel.training import training_rows
from stiefel.verl.dataset import Rows
from tests.chats import chat_model, chat_tokenizer
from tests.verl.launches import DATA, HAS_DATA, hand_over, written
from tests.verl.recipes import composed, overrides


def data_config(recipe: Any) -> Any:
    return composed(overrides(recipe)).data


def model_for_chats(home: Path) -> str:
    """A tiny one with Qwen's template and room for whole questions."""
    directory = chat_model(home / "chat", chat_tokenizer())
    config = json.loads((home / "chat" / "config.json").read_text())
    (home / "chat" / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8192}))
    return directory


def rows_of(recipe: Any, home: Path, patch: pytest.MonkeyPatch, which: str = "train") -> Rows:
    hand_over(recipe, home, patch)
    config = data_config(recipe)
    made = create_rl_dataset(
        config[f"{'train' if which == 'train' else 'val'}_files"], config, None, None, max_samples=-1
    )
    assert isinstance(made, Rows)
    return made


def test_verl_finds_the_class_by_its_name_and_makes_our_loop_known(tmp_path: Path) -> None:
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    config = composed(overrides(written(tmp_path)))
    assert get_dataset_class(config.data) is Rows
    assert config.actor_rollout_ref.rollout.agent.default_agent_loop in _agent_loop_registry


def test_the_rows_are_those_of_train_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path)
    rows = rows_of(recipe, tmp_path, monkeypatch)
    tokenizer = load_tokenizer("nano")
    expected = training_rows(recipe, training_task(recipe.task), tokenizer)
    assert len(rows) == len(expected) == 3 * 2
    for row, entry in zip((rows[place] for place in range(len(rows))), expected, strict=True):
        assert row["reward_model"] == {"style": "rule", "ground_truth": entry["answer"]}
        assert row["extra_info"]["prompt_ids"] == prompt_tokens(entry["prompt"], tokenizer, chat=False)
        assert row["raw_prompt"] == [{"role": "user", "content": entry["prompt"]}]


def test_a_row_has_every_field_of_verls_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path)
    ours = rows_of(recipe, tmp_path, monkeypatch)[0]
    given = [{"data_source": "x", "prompt": [{"role": "user", "content": "1+1?"}], "ability": "x",
              "reward_model": {"style": "rule", "ground_truth": "2"}, "extra_info": {"index": 0}}]  # fmt: skip
    Dataset.from_list(given).to_parquet(tmp_path / "rows.parquet")
    config = data_config(recipe)
    OmegaConf.set_struct(config, False)
    config.cache_dir = str(tmp_path)
    theirs = RLHFDataset(str(tmp_path / "rows.parquet"), load_tokenizer("nano"), config)[0]
    assert theirs.keys() <= ours.keys()
    assert [type(ours[key]) for key in theirs] == [type(theirs[key]) for key in theirs]


def test_batches_become_what_verl_hands_to_its_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path)
    rows = rows_of(recipe, tmp_path, monkeypatch)
    loader = StatefulDataLoader(
        rows, batch_size=2, drop_last=True, collate_fn=collate_fn, sampler=create_rl_sampler(data_config(recipe), rows)
    )
    batches = [tu.get_tensordict(batch) for batch in loader]
    assert len(batches) == recipe.optim.rollouts  # an epoch is the run
    golds = [entry["ground_truth"] for batch in batches for entry in batch["reward_model"]]
    assert golds == [row["reward_model"]["ground_truth"] for row in rows.rows]


def test_a_resumed_loader_goes_on_with_the_next_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path)
    rows = rows_of(recipe, tmp_path, monkeypatch)

    def loader() -> Any:
        return StatefulDataLoader(rows, batch_size=2, collate_fn=collate_fn, num_workers=0)

    first = loader()
    begun = iter(first)
    next(begun)
    again = loader()
    again.load_state_dict(first.state_dict())
    assert [list(batch["index"]) for batch in again] == [[2, 3], [4, 5]]


def test_questions_are_the_tasks_own_where_verl_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path, measured='tasks = ["nano-reverse", "nano-sort"]\nlimit = 3')
    rows = rows_of(recipe, tmp_path, monkeypatch, "eval")
    assert [rows[place]["data_source"] for place in range(len(rows))] == ["nano-reverse"] * 3 + ["nano-sort"] * 3
    assert {row["extra_info"]["split"] for row in rows.rows} == {"eval"}


@pytest.mark.parametrize("measured", ["", 'tasks = ["nano-reverse"]\nsampling = "task"'])
def test_where_verl_measures_nothing_its_loader_has_a_row(
    measured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = written(tmp_path, measured=measured)
    assert len(rows_of(recipe, tmp_path, monkeypatch, "eval")) == 1
    assert composed(overrides(recipe)).trainer.val_before_train is False


def test_a_chat_is_rendered_by_the_models_template_with_the_recipes_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_for_chats(tmp_path)
    recipe = written(tmp_path, model=model, task='name = "reasoning_gym:gcd"\nchat = true', room=256)
    recipe = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"chat_template_options": {"enable_thinking": False}})}
    )
    row = rows_of(recipe, tmp_path, monkeypatch)[0]
    tokenizer = load_tokenizer(model)
    text = tokenizer.decode(row["extra_info"]["prompt_ids"])
    assert text.startswith("<|im_start|>user\n")
    assert text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert {tokenizer.convert_tokens_to_ids("<|im_end|>"), tokenizer.eos_token_id} <= set(row["extra_info"]["ends"])


def test_an_unreadable_gold_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "rows.jsonl"
    good = [json.dumps({"prompt": f"{n}+1?", "answer": str(n + 1)}) for n in range(5)]
    data.write_text("\n".join([*good[:3], '{"prompt": "x?", "answer": "\\\\frac{"}', *good[3:]]))
    recipe = written(tmp_path, task=f'name = "own"\ndata = "{data}"\nreward = "gsm8k"')
    rows = rows_of(recipe, tmp_path, monkeypatch)
    assert len(rows) == 6
    assert "\\frac{" not in {row["reward_model"]["ground_truth"] for row in rows.rows}
    assert "1 of " in (said := capsys.readouterr().out)
    assert "cannot be read: unreadable gold" in said


def test_a_question_that_verl_would_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path, measured='tasks = ["nano-reverse"]', room=4)
    with pytest.raises(UserError, match="a question of nano-reverse has") as refused:
        rows_of(recipe, tmp_path, monkeypatch, "eval")
    assert "rollout.max_prompt_tokens" in refused.value.instead


def test_a_note_of_a_broken_reward_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = hand_over(recipe := written(tmp_path), tmp_path, monkeypatch)
    rows = rows_of(recipe, tmp_path, monkeypatch)
    rows[0]
    Path(told["failed"]).write_text("ZeroDivisionError: in mine.py")
    with pytest.raises(UserError, match="a reward has failed") as refused:
        rows[0]
    assert "mine.py" in refused.value.why


@HAS_DATA
def test_real_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_for_chats(tmp_path)
    task = f'name = "gsm8k"\ndata = "{DATA}/gsm8k_train_1000.jsonl"'
    recipe = written(tmp_path, model=model, task=task, room=4000)
    row = rows_of(recipe, tmp_path, monkeypatch)[0]
    assert row["data_source"] == "gsm8k"
    assert float(row["reward_model"]["ground_truth"].replace(",", "")) >= 0
