"""Settings of a chat template reach whatever renders a prompt: rollouts, supervised rows, evaluation, its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stiefel import GRPOTrainer, attach
from stiefel.artifacts import read_json
from stiefel.cli import cli
from stiefel.cli.evaluation import chosen_option
from stiefel.errors import UserError
from stiefel.evaluation.sample import ask
from stiefel.model.chat_template import bind_options
from stiefel.model.weights import load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.loading import load_pair
from stiefel.tasks import Row, find_task, training_task
from stiefel.training.arguments import trainer_arguments
from stiefel.training.rows import sft_rows, training_rows
from stiefel.training.sft import SFTTrainer
from tests.chats import QWEN, chat_model, chat_tokenizer

CLOSED = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
MESSAGES = [{"role": "user", "content": "1+1?"}]
OFF = {"enable_thinking": False}


def told(options: dict[str, Any], template: str = QWEN) -> str:
    tokenizer = chat_tokenizer(template)
    bind_options(tokenizer, options, "it")
    text: str = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False)
    return text


def handed(options: dict[str, Any], template: str = QWEN) -> str:
    tokenizer = chat_tokenizer(template)
    text: str = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False, **options)
    return text


SHOWS = "\n\n{% macro say() %}{{ mode }}{% endmacro %}{% for message in messages %}{{ mode }}{{ say() }}{% endfor %}"


@pytest.mark.parametrize("options", [{}, OFF, {"enable_thinking": True}])
def test_a_bound_setting_renders_as_one_that_is_handed_over(options: dict[str, Any]) -> None:
    assert told(options) == handed(options)
    assert told(options).endswith(CLOSED) is (options == OFF)


@pytest.mark.parametrize("value", [3, -2.5, "low", "", 'a "quote", \\ é 😀 %} {{ x }}\n', True])
def test_any_value_arrives_as_it_is_wherever_the_template_reads_it(value: Any) -> None:
    assert told({"mode": value}, SHOWS) == handed({"mode": value}, SHOWS)


@pytest.mark.parametrize(
    "name", ["enable_thinkin", "thinking", "messages", "add_generation_prompt", "tokenize", "a b", ""]
)
def test_a_setting_that_nothing_reads_or_that_is_not_the_users_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        told({name: True})


def test_a_model_without_a_template_has_no_settings_of_it() -> None:
    tokenizer = chat_tokenizer(None)
    with pytest.raises(UserError, match="no chat template"):
        bind_options(tokenizer, OFF, "it")
    bind_options(tokenizer, {}, "it")


def test_several_templates_are_told_in_the_one_that_prompts_are_rendered_with() -> None:
    tokenizer = chat_tokenizer()
    tokenizer.chat_template = {"default": QWEN, "tool_use": "{{ messages }}"}
    bind_options(tokenizer, OFF, "it")
    assert tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False).endswith(CLOSED)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return chat_model(tmp_path_factory.mktemp("chat") / "model", chat_tokenizer())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "1+1?", "answer": "2"}) + "\n")
    return str(path)


def recipe_of(model: str, data: str, options: dict[str, Any], **tables: Any) -> Any:
    return make_recipe(
        {
            "model": {"path": model, "chat_template_options": options},
            "task": {"name": "sums", "data": data, "chat": True, **({} if tables else {"reward": "exact"})},
            "rollout": {"max_prompt_tokens": 80, "max_completion_tokens": 8},
            "run": {"threads": 1, "save_every": 0},
            **tables,
        }
    )


@pytest.mark.parametrize("options", [{}, OFF])
def test_rollouts_are_prompted_as_evaluation_asks(
    model: str, data: str, options: dict[str, Any], tmp_path: Path
) -> None:
    recipe = recipe_of(model, data, options)
    loaded, tokenizer = load_pair(recipe)
    task = training_task(recipe.task)
    rows = training_rows(recipe, task, tokenizer)
    trainer = GRPOTrainer(
        attach(loaded, "lora", r=2, alpha=4), **trainer_arguments(recipe, task, rows, tokenizer, tmp_path)
    )
    (sampled,), *_ = trainer._tokenize_prompts([rows[0]["prompt"]])
    (question,) = ask(task, [Row(MESSAGES, "2")], tokenizer)
    assert sampled == question.tokens
    assert tokenizer.decode(sampled) == question.text
    assert question.text.endswith(CLOSED) is bool(options)


@pytest.mark.parametrize("options", [{}, OFF])
def test_supervised_rows_continue_the_prompt_that_evaluation_asks(
    model: str, data: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """With a template that writes what the option says before an answer too, as Qwen3's does."""
    template = QWEN.replace(
        "message.role + '\\n' +",
        "message.role + '\\n' + ('<think>\\n\\n</think>\\n\\n' if message.role == 'assistant' and enable_thinking is "
        "defined and enable_thinking is false else '') +",
    )
    path = chat_model(tmp_path / "model", chat_tokenizer(template))
    recipe = recipe_of(path, data, options, algorithm={"name": "sft", "batch": 1})
    loaded, tokenizer = load_pair(recipe)
    task = training_task(recipe.task, graded=False)
    rows = sft_rows(recipe, task, tokenizer)
    adapted = attach(loaded, "lora", r=2, alpha=4)
    (row,) = SFTTrainer(recipe, tmp_path, adapted, tokenizer, rows, lambda row: None).train_dataset
    (question,) = ask(task, [Row(MESSAGES, "2")], tokenizer)
    assert tokenizer.decode(row["input_ids"]) == question.text + "2<|im_end|>"
    assert tokenizer.decode([label for label in row["labels"] if label != -100]) == "2<|im_end|>"
    assert question.text.endswith(CLOSED) is bool(options)


def test_a_block_that_the_option_opens_is_graded_behind() -> None:
    template = QWEN.replace("enable_thinking is false", "enable_thinking").replace("\\n</think>\\n\\n", "")
    tokenizer = chat_tokenizer(template)
    bind_options(tokenizer, {"enable_thinking": True}, "it")
    (question,) = ask(find_task("gsm8k"), [Row(MESSAGES, "2")], tokenizer)
    assert question.opened == "<think>\n"


def test_the_command_shows_and_records_what_it_asks_with(model: str, data: str, tmp_path: Path) -> None:
    rows = tmp_path / "gsm8k.jsonl"
    rows.write_text(json.dumps({"question": "1+1?", "answer": "#### 2"}) + "\n")
    command = ["eval", model, "--task", "gsm8k", "--data", str(rows), "--max-tokens", "4"]
    command += ["--chat-template-option", "enable_thinking=false", "--turn-end", "<|eot|>"]
    shown = CliRunner().invoke(cli, [*command, "--show", "1", "--json"], catch_exceptions=False)
    assert json.loads(shown.stdout)[0]["prompt"].endswith(CLOSED)
    wide = chat_model(tmp_path / "model", chat_tokenizer())
    config = read_json(Path(wide) / "config.json")
    (Path(wide) / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 512}))
    command[1] = wide
    found = CliRunner().invoke(cli, [*command, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["chat_template_options"] == {"enable_thinking": False}
    assert manifest["turn_ends"] == ["<|eot|>"]
    assert "--chat-template-option enable_thinking=false" in found.stderr
    with pytest.raises(UserError, match="other settings: chat_template_options"):
        CliRunner().invoke(
            cli, [*command[:-4], *command[-2:], "--out", str(tmp_path / "out"), "--resume"], catch_exceptions=False
        )


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=false", False), ("a=3", 3), ("a=0.5", 0.5), ("a=low", "low"), ('a="3"', "3"), ("a=x=y", "x=y")],
)
def test_a_setting_is_read_as_in_a_recipe(text: str, value: Any) -> None:
    assert chosen_option(text) == ("a", value)


@pytest.mark.parametrize("text", ["enable_thinking", "=false", "a=[1]", "a=nan", "a={ b = 1 }", "a=1979-05-27"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="chat-template-option"):
        chosen_option(text)


def test_the_recipe_and_the_command_line_read_the_same_names(model: str, data: str) -> None:
    recipe = make_recipe({"model": {"path": model}}, ["model.chat_template_options.enable_thinking=false"])
    assert recipe.model.chat_template_options == OFF
    assert load_tokenizer(model, options=OFF).chat_template == load_pair(recipe)[1].chat_template
    with pytest.raises(UserError, match="chat_template_options"):
        make_recipe({"model": {"chat_template_options": {"a": [1]}}})
