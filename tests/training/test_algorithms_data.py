"""Data and rewards of one's own, through whole runs and at the edges of the prompt's length."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from stiefel.artifacts import read_jsonl
from stiefel.errors import UserError
from stiefel.model.weights import load_tokenizer
from stiefel.nano import NANO_PATH
from stiefel.recipe.recipe import make_recipe
from stiefel.rewards import GRADERS, Grade
from stiefel.run.directory import status
from stiefel.run.reporting import report_into, require_reporters
from stiefel.run.run import train
from stiefel.tasks import training_task
from stiefel.training.rewards import GradedReward, opening_of
from stiefel.training.rows import last_tokens, prompt_length, sft_rows, training_rows
from stiefel.training.settings import grpo_config

SHORT: dict[str, Any] = {
    "optim": {"rollouts": 2, "lr": 1e-3},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 24},
    "run": {"threads": 1},
}
CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}
CHAT = "<bos>{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}?{% endif %}"


def timeless(out: Path) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row.keys() - CLOCK} for row in read_jsonl(out / "metrics.jsonl")]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_run_on_own_rows_with_an_own_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reward sees each completion with its own row's columns; fewer rows than prompts are repeated."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "graded_by_me.py").write_text(
        "SEEN = []\n"
        "def score(completion, answer, *, level, prompt, **row):\n"
        "    SEEN.append((prompt, answer, level))\n"
        "    return float(completion.endswith('>' + answer))\n"
    )
    rows = [{"prompt": f"{n}+{n}?", "answer": 2 * n, "level": {"n": n}} for n in (11, 12, 13)]
    tables = {**SHORT, "task": {"data": write_rows(tmp_path / "my.jsonl", rows), "reward": "graded_by_me:score"}}
    train(make_recipe(tables), tmp_path / "run")
    seen = sys.modules["graded_by_me"].SEEN
    assert len(seen) == 1 + 2 * 4 * 4  # it is tried once before anything is sampled
    assert {prompt for prompt, _, _ in seen} == {"11+11?", "12+12?", "13+13?"}
    assert all(
        prompt == f"{level['n']}+{level['n']}?" and answer == str(2 * level["n"]) for prompt, answer, level in seen
    )
    assert all(0 <= row["correct"] <= 1 for row in read_jsonl(tmp_path / "run" / "metrics.jsonl"))


def test_an_own_reward_can_grade_a_named_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "half.py").write_text("def half(completion, answer, *, prompt, **row):\n    return 0.5\n")
    train(make_recipe({**SHORT, "task": {"reward": "half:half"}}), tmp_path / "run")
    assert {row["correct"] for row in timeless(tmp_path / "run")} == {0.5}


def test_a_reward_that_breaks_ends_the_run_with_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "breaks.py").write_text(
        "CALLS = []\n"
        "def score(completion, answer, **row):\n"
        "    CALLS.append(completion)\n"
        "    return 0.0 if len(CALLS) < 9 else float('nan')\n"  # in a rollout, and not when it is tried
    )
    with pytest.raises(UserError, match="the reward breaks:score returned nan"):
        train(make_recipe({**SHORT, "task": {"reward": "breaks:score"}}), tmp_path / "run")
    assert status(tmp_path / "run") == "running"  # and can be resumed once the function is mended


def test_an_answer_that_cannot_be_read_gives_no_score_and_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Not zero: TRL leaves a completion without a score out of its group."""
    graded = GradedReward(lambda completion, answer: Grade(None if answer == "x" else 1.0, None, "no number in it"))
    logged: list[tuple[str, float]] = []  # TRL takes the mean of each name, over batches and processes
    assert graded(["1", "2", "3", "4"], ["x", "2", "3", "x"], lambda *pair: logged.append(pair)) == [None, 1, 1, None]
    assert [value for name, value in logged if name == "correct"] == [1.0, 1.0]
    assert [value for name, value in logged if name == "unreadable_fraction"] == [1.0, 0.0, 0.0, 1.0]
    graded(["1"], ["x"], lambda *pair: None)
    assert capsys.readouterr().err == "warning: the answer 'x' cannot be read: no number in it\n"  # said once


def test_a_chat_is_rendered_and_graded_by_what_the_assistant_wrote(tmp_path: Path) -> None:
    model = tmp_path / "nano"
    shutil.copytree(NANO_PATH, model)
    (model / "chat_template.jinja").write_text(CHAT)
    rows = [{"prompt": [{"role": "user", "content": "12+34"}], "answer": ">46"}]
    task = {"data": write_rows(tmp_path / "chat.jsonl", rows), "reward": "exact"}
    train(make_recipe({**SHORT, "task": task, "model": {"path": str(model)}}), tmp_path / "chat")
    rows = [{"prompt": "12+34?", "answer": ">46"}]
    task = {"data": write_rows(tmp_path / "text.jsonl", rows), "reward": "exact"}
    train(make_recipe({**SHORT, "task": task}), tmp_path / "text")
    # the template writes the very tokens of the text, so that the runs are one
    assert timeless(tmp_path / "chat") == timeless(tmp_path / "text")
    assert any(row["correct"] > 0 for row in timeless(tmp_path / "chat"))


def test_a_rollout_that_the_limit_cut_off_needs_a_mark() -> None:
    graded = GradedReward(GRADERS["math"], limit=3, ends=[0])
    texts, ids = ["so it is 7"] * 3 + ["\\boxed{7}"], [[5, 6, 0], [5, 6, 7], [5, 0], [5, 6, 7]]
    scores = graded(texts, ["7"] * 4, lambda *pair: None, completion_ids=ids)
    assert scores == [1.0, 0.0, 1.0, 1.0]
    assert graded(texts, ["7"] * 4, lambda *pair: None) == [1.0] * 4  # it is not known which were cut off


OPENS = "<bos>{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}?<think>\n{% endif %}"


def test_a_thought_that_the_template_opened_is_no_answer_while_it_has_no_end() -> None:
    """As DeepSeek-R1-Distill's: the completion holds no mark but the end of its thought, if it gets there."""
    tokenizer: PreTrainedTokenizerFast = load_tokenizer("nano")
    chat = [{"role": "user", "content": "3+4"}]
    tokenizer.chat_template = OPENS
    opening = opening_of(chat, tokenizer)
    assert opening == "<think>\n"
    cut, whole = "Is it \\boxed{7}? Let me see:", "Is it 8?</think>\\boxed{7}"
    messages = [[{"role": "assistant", "content": text}] for text in (cut, whole)]
    assert GradedReward(GRADERS["math"])(messages, ["7", "7"], lambda *pair: None) == [1.0, 1.0]  # the trap
    assert GradedReward(GRADERS["math"], opening)(messages, ["7", "7"], lambda *pair: None) == [0.0, 1.0]
    assert opening_of("3+4?", tokenizer) == ""  # a text is not rendered
    tokenizer.chat_template = CHAT
    assert opening_of(chat, tokenizer) == ""
    tokenizer.chat_template, tokenizer.response_template = OPENS, {"fields": {}}
    assert opening_of(chat, tokenizer) == ""  # TRL grades what follows the thought


def test_a_run_grades_completions_behind_what_the_template_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "opened_by.py").write_text(
        "SEEN = []\ndef score(completion, answer, **row):\n    SEEN.append(completion)\n    return 0.0\n"
    )
    model = tmp_path / "nano"
    shutil.copytree(NANO_PATH, model)
    (model / "chat_template.jinja").write_text(OPENS)
    rows = [{"prompt": [{"role": "user", "content": "12+34"}], "answer": "46"}]
    task = {"data": write_rows(tmp_path / "chat.jsonl", rows), "reward": "opened_by:score"}
    train(make_recipe({**SHORT, "task": task, "model": {"path": str(model)}}), tmp_path / "run")
    tried, *seen = sys.modules["opened_by"].SEEN
    assert tried == "46"  # before anything is sampled
    assert len(seen) == 2 * 4 * 4
    assert all(text.startswith("<think>\n") for text in seen)


def test_a_chat_without_a_template_is_refused(tmp_path: Path) -> None:
    rows = [{"prompt": [{"role": "user", "content": "12+34?"}], "answer": "46"}]
    task = {"data": write_rows(tmp_path / "chat.jsonl", rows), "reward": "exact"}
    with pytest.raises(UserError, match="no chat template"):
        train(make_recipe({**SHORT, "task": task}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_without_a_pad_token_gives_the_same_run(tmp_path: Path) -> None:
    """Padding is masked, and the end of a sequence is learned and stopped at though it is the same token."""
    bare = tmp_path / "bare"
    shutil.copytree(NANO_PATH, bare)
    config = json.loads((bare / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (bare / "tokenizer_config.json").write_text(json.dumps(config))
    assert load_tokenizer(str(bare)).pad_token == "<eos>"
    for name, path in {"bare": str(bare), "nano": "nano"}.items():
        train(make_recipe({**SHORT, "model": {"path": path}}), tmp_path / "runs" / name)
    first, second = (timeless(tmp_path / "runs" / name) for name in ("bare", "nano"))
    assert first == second
    assert first[0]["truncated_fraction"] < 1  # some completions did stop


@pytest.mark.parametrize(
    ("missing", "message"),
    [(["eos_token"], "no end-of-sequence token"), (["eos_token", "pad_token"], "neither a pad nor an end-of-sequence")],
)
def test_a_tokenizer_without_an_end_of_sequence_is_refused(missing: list[str], message: str, tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    shutil.copytree(NANO_PATH, endless)
    config = json.loads((endless / "tokenizer_config.json").read_text())
    for key in missing:
        del config[key]
    (endless / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        train(make_recipe({**SHORT, "model": {"path": str(endless)}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Prompts that are too long

LONG, FITS = "12+34-5+6-7?", "1+2?"


def rows_of(tmp_path: Path, prompts: list[Any], **rollout: Any) -> list[str]:
    task = {
        "data": write_rows(tmp_path / "rows.jsonl", [{"prompt": p, "answer": "1"} for p in prompts]),
        "reward": "exact",
    }
    recipe = make_recipe({**SHORT, "task": task, "rollout": {**SHORT["rollout"], "max_prompt_tokens": 6, **rollout}})
    return training_rows(recipe, training_task(recipe.task), load_tokenizer("nano"))["prompt"]


def test_a_long_prompt_is_an_error_that_names_the_limit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has 13 tokens.*'12\+34") as error:
        rows_of(tmp_path, [FITS, LONG])
    assert "rollout.max_prompt_tokens to 13" in error.value.instead


def test_a_long_prompt_loses_its_first_tokens(tmp_path: Path) -> None:
    assert set(rows_of(tmp_path, [FITS, LONG], truncate="left")) == {FITS, LONG[-5:]}  # <bos> is one of the six


def test_a_long_prompt_is_left_out_and_replaced(tmp_path: Path) -> None:
    found = rows_of(tmp_path, [FITS, LONG, "3+4?"], truncate="drop")
    assert set(found) == {FITS, "3+4?"}
    assert len(found) == 2 * 4


def test_dropping_every_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no prompt of .* has at most 6 tokens"):
        rows_of(tmp_path, [LONG], truncate="drop")


def test_the_end_of_a_text_is_the_longest_that_fits() -> None:
    tokenizer = load_tokenizer("nano")
    for limit in range(2, 13):
        end = last_tokens(LONG, limit, tokenizer)
        assert LONG.endswith(end)
        assert prompt_length(end, tokenizer) == limit
    with pytest.raises(UserError, match="no room for a prompt"):
        last_tokens(LONG, 1, tokenizer)


def test_a_chat_is_not_cut(tmp_path: Path) -> None:
    tokenizer: PreTrainedTokenizerFast = load_tokenizer("nano")
    tokenizer.chat_template = CHAT
    rows = [{"prompt": [{"role": "user", "content": LONG}], "answer": "1"}]
    task = {"data": write_rows(tmp_path / "rows.jsonl", rows), "reward": "exact"}
    recipe = make_recipe({**SHORT, "task": task, "rollout": {"max_prompt_tokens": 6, "truncate": "left"}})
    with pytest.raises(UserError, match=r"a prompt of .* tokens") as error:
        training_rows(recipe, training_task(recipe.task), tokenizer)
    assert "a chat cannot lose its first tokens" in error.value.why


def test_a_completion_beyond_the_models_context_is_refused_with_what_fits(tmp_path: Path) -> None:
    """The embedded model's context is 256 tokens; one with learned positions would fail in the middle of the run."""
    wide = {"max_prompt_tokens": 64}
    with pytest.raises(UserError, match=r"13 tokens and a completion of 244 do not fit nano") as error:
        rows_of(tmp_path, [FITS, LONG], max_completion_tokens=244, **wide)
    assert "rollout.max_completion_tokens to 243 or less" in error.value.instead
    assert rows_of(tmp_path, [FITS, LONG], max_completion_tokens=243, **wide)


def test_a_row_beyond_the_models_context_is_refused_in_supervised_training(tmp_path: Path) -> None:
    rows = [{"prompt": FITS, "answer": "3"}, {"prompt": LONG, "answer": "1" * 250}]
    task = {"data": write_rows(tmp_path / "rows.jsonl", rows)}
    recipe = make_recipe({"task": task, "algorithm": {"name": "sft"}, "rollout": {"max_completion_tokens": 251}})
    with pytest.raises(UserError, match=r"13 tokens and a completion of 251 do not fit nano"):
        sft_rows(recipe, training_task(recipe.task, graded=False), load_tokenizer("nano"))
    write_rows(tmp_path / "rows.jsonl", rows[:1])
    assert len(sft_rows(recipe, training_task(recipe.task, graded=False), load_tokenizer("nano"))) == 1


# Reporters


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_reporter_that_is_not_installed_is_named_before_anything_is_trained(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(name) is not None:
        require_reporters([name])
        pytest.skip(f"{name} is installed")
    with pytest.raises(UserError, match=f"run.report_to names {name}") as error:
        train(make_recipe({**SHORT, "run": {"report_to": [name]}}), tmp_path / "run")
    assert f'pip install "stiefel[{name}]"' in error.value.instead
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_writes_into_the_run(tmp_path: Path) -> None:
    train(make_recipe({**SHORT, "run": {"threads": 1, "report_to": ["tensorboard"]}}), tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))


def test_reporters_are_passed_on_and_write_into_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TENSORBOARD_LOGGING_DIR", "WANDB_DIR"):
        monkeypatch.setenv(variable, "elsewhere")
    assert grpo_config(make_recipe({}), tmp_path).report_to == []
    recipe = make_recipe({"run": {"report_to": ["tensorboard", "wandb", "trackio"]}})
    assert grpo_config(recipe, tmp_path).report_to == recipe.run.report_to
    report_into(tmp_path / "run", recipe.run.report_to)
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(tmp_path / "run" / "tensorboard")
    assert os.environ["WANDB_DIR"] == str(tmp_path / "run")
