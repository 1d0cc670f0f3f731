"""How long a prompt may be is read off the rows and the model where the recipe leaves it open; the longest is named."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from datasets import Dataset

from stiefel.artifacts import read_jsonl
from stiefel.errors import UserError
from stiefel.model import load_tokenizer
from stiefel.nano import NANO_PATH
from stiefel.recipe.recipe import make_recipe
from stiefel.report.runs import read_run
from stiefel.run.run import train
from stiefel.tasks import find_task, training_task
from stiefel.training.lengths import lengths_line
from stiefel.training.rows import sft_rows, training_rows
from stiefel.training.settings import grpo_config

SHORT, LONG, LONGEST = "1+2?", "12+34-5+6-7?", "12+34-5+6-7+8-9?"  # 5, 13 and 17 tokens with <bos>
WIDE = "1" + "+1" * 60 + "?"  # 123: longer than the default once was


def recipe_of(tmp_path: Path, prompts: list[str], *, sft: bool = False, **rollout: Any) -> Any:
    rows = [{"prompt": prompt, "answer": "1"} for prompt in prompts]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"name": "mine", "data": str(tmp_path / "rows.jsonl"), **({} if sft else {"reward": "exact"})}
    tables: dict[str, Any] = {"task": task, "run": {"threads": 1}}
    if sft:
        return make_recipe({**tables, "algorithm": {"name": "sft"}, "rollout": rollout})
    sizes = {"prompts": 4, "completions": 4, "max_completion_tokens": 24}
    return make_recipe({**tables, "optim": {"rollouts": 2}, "rollout": {**sizes, **rollout}})


def prompts_of(recipe: Any, **tables: Any) -> list[str]:
    read = sft_rows if recipe.algorithm.name == "sft" else training_rows
    task = training_task(recipe.task, graded=recipe.algorithm.name != "sft")
    return read(recipe, task, load_tokenizer("nano"))["prompt"]


@pytest.mark.parametrize("sft", [False, True])
def test_prompts_are_as_long_as_the_rows(sft: bool, tmp_path: Path) -> None:
    assert set(prompts_of(recipe_of(tmp_path, [SHORT, WIDE], sft=sft))) == {SHORT, WIDE}


@pytest.mark.parametrize("sft", [False, True])
@pytest.mark.parametrize("order", [[SHORT, LONG, LONGEST], [LONGEST, SHORT, LONG]])
def test_where_a_limit_is_set_the_longest_row_is_named_and_not_the_first(
    order: list[str], sft: bool, tmp_path: Path
) -> None:
    """So that the limit that is advised holds for every row."""
    with pytest.raises(UserError, match=r"has 17 tokens, the longest of \d that are too long: '12\+34-5\+6-7\+8") as no:
        prompts_of(recipe_of(tmp_path, order, sft=sft, max_prompt_tokens=6))
    assert "rollout.max_prompt_tokens to 17 or more, or to 0" in no.value.instead
    assert prompts_of(recipe_of(tmp_path, order, sft=sft, max_prompt_tokens=17))


def test_the_longest_target_is_named_too(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, [SHORT] * 3, sft=True, max_completion_tokens=4)
    lines = [json.dumps({"prompt": SHORT, "answer": "1" * length}) for length in (2, 5, 9)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match="has 10 tokens, the longest of 2 that are too long: '111111111'") as error:
        prompts_of(recipe)
    assert error.value.instead == "set rollout.max_completion_tokens to 10 or more"


def test_without_a_limit_the_models_context_is_one(tmp_path: Path) -> None:
    """nano's is 256: 243 tokens are left beside a completion of 13, and so many a row may have."""
    with pytest.raises(UserError, match="123 tokens and a completion of 134 do not fit nano") as error:
        prompts_of(recipe_of(tmp_path, [SHORT, WIDE], max_completion_tokens=134))
    assert "max_completion_tokens to 133 or less" in error.value.instead
    assert prompts_of(recipe_of(tmp_path, [SHORT, WIDE], max_completion_tokens=133))


def test_what_does_not_fit_the_context_is_left_out_or_cut_as_the_recipe_says(tmp_path: Path) -> None:
    asked = {"max_completion_tokens": 134}  # 122 are left
    assert set(prompts_of(recipe_of(tmp_path, [SHORT, WIDE], truncate="drop", **asked))) == {SHORT}
    assert set(prompts_of(recipe_of(tmp_path, [WIDE], truncate="left", **asked))) == {WIDE[1:]}
    with pytest.raises(UserError, match=r"no prompt of mine has at most what a context of 256 tokens") as error:
        prompts_of(recipe_of(tmp_path, [WIDE], truncate="drop", **asked))
    assert error.value.instead == "lower rollout.max_completion_tokens"


def scaled(tmp_path: Path) -> str:
    """nano as a model whose settings do not say how long its context is."""
    model = shutil.copytree(NANO_PATH, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config["rope_scaling"] = {"rope_type": "dynamic", "factor": 2.0}
    config.pop("rope_parameters", None)
    (model / "config.json").write_text(json.dumps(config))
    return str(model)


def test_a_truncation_that_no_length_sets_off_is_refused(tmp_path: Path) -> None:
    tables = recipe_of(tmp_path, [SHORT, WIDE]).model_dump()
    tables["model"]["path"] = scaled(tmp_path)
    assert set(prompts_of(make_recipe(tables))) == {SHORT, WIDE}
    tables["rollout"]["truncate"] = "drop"
    with pytest.raises(UserError, match=r"'drop' without rollout\.max_prompt_tokens"):
        prompts_of(make_recipe(tables))
    tables["rollout"]["max_prompt_tokens"] = 64
    assert set(prompts_of(make_recipe(tables))) == {SHORT}


def test_vllm_makes_room_for_the_longest_prompt(tmp_path: Path) -> None:
    recipe = make_recipe({"rollout": {"engine": "vllm", "max_completion_tokens": 10}})
    assert grpo_config(recipe, tmp_path, longest_prompt=30).vllm_max_model_length == 40
    assert grpo_config(recipe, tmp_path).vllm_max_model_length is None
    given = make_recipe({"rollout": {"engine": "vllm", "max_completion_tokens": 10, "max_prompt_tokens": 50}})
    assert grpo_config(given, tmp_path, longest_prompt=30).vllm_max_model_length == 60


def begun_before(tmp_path: Path, recipe: Any) -> Path:
    """A run that a version with the default of 64 began, ended in the middle."""
    out = tmp_path / "run"

    def stop(row: dict[str, Any]) -> None:
        if row["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, out, on_row=stop)
    tables = tomllib.loads((out / "recipe.toml").read_text())
    del tables["run"]["samples_every"]  # which that version did not know
    (out / "recipe.toml").write_text(tomli_w.dumps(tables))
    return out


@pytest.mark.parametrize("truncate", ["error", "drop"])
def test_a_run_begun_with_the_old_default_goes_on_with_it(truncate: str, tmp_path: Path) -> None:
    """On the same rows, of which a longer one than 64 tokens was left out, and the report calls it by no setting."""
    prompts = [SHORT, LONG, *([WIDE] if truncate == "drop" else [])]
    now = recipe_of(tmp_path, prompts, truncate=truncate).model_dump()
    now["run"]["save_every"] = 1
    then = json.loads(json.dumps(now))
    then["rollout"]["max_prompt_tokens"] = 64
    out = begun_before(tmp_path, make_recipe(then))
    train(make_recipe(now), out, resume=True)
    assert [row["step"] for row in read_jsonl(out / "metrics.jsonl")] == [1, 2]
    assert read_run(out).recipe.rollout.max_prompt_tokens == 0


def test_a_limit_that_was_written_is_held_against_the_recipe(tmp_path: Path) -> None:
    """In a run that knows today's default, and in an older one with another value."""
    recipe = recipe_of(tmp_path, [SHORT, LONG], max_prompt_tokens=63)
    out = begun_before(tmp_path, recipe)
    with pytest.raises(UserError, match=r"max_prompt_tokens was 63, is 0"):
        train(recipe_of(tmp_path, [SHORT, LONG]), out, resume=True)
    (out / "recipe.toml").write_text(recipe_of(tmp_path, [SHORT, LONG], max_prompt_tokens=64).to_toml())
    with pytest.raises(UserError, match=r"max_prompt_tokens was 64, is 0"):
        train(recipe_of(tmp_path, [SHORT, LONG]), out, resume=True)


def test_the_first_lines_of_a_run_say_how_long_completions_are(tmp_path: Path) -> None:
    """And what would fit beside them: no row tells how much a model is to write."""
    said: list[str] = []
    train(recipe_of(tmp_path, [SHORT, LONGEST]), tmp_path / "run", progress=said.append)
    line = "a rollout: 4 prompts of up to 17 tokens, 4 completions each, cut off at 24 tokens "
    room = "the model's context has room for 239"
    assert f"{line}(rollout.max_completion_tokens; {room})" in said
    said.clear()
    train(recipe_of(tmp_path, [SHORT], max_completion_tokens=64), tmp_path / "usual", progress=said.append)
    assert any("cut off at 64 tokens (rollout.max_completion_tokens, as by default;" in line for line in said)


def test_the_length_that_a_task_is_measured_with_is_said_beside(tmp_path: Path) -> None:
    recipe = make_recipe({"task": {"name": "gsm8k"}})
    rows = Dataset.from_list([{"prompt": SHORT}])
    line = lengths_line(recipe, find_task("gsm8k"), rows, load_tokenizer("nano"))
    assert line.endswith("room for 251; gsm8k is measured with 4096)")
