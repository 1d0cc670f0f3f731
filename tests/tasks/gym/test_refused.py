"""What is refused of the package's tasks, in which words, and before anything is loaded."""

from __future__ import annotations

import json
import tomllib

import pytest

from stiefel.errors import UserError
from stiefel.recipe.recipe import make_recipe
from stiefel.rewards import reward_function
from stiefel.rewards.gym import package
from stiefel.run.checks import check_names
from stiefel.run.run import train
from stiefel.tasks import find_given, find_task, given_lines
from stiefel.tasks.gym_rows import is_held_out

GCD = {"name": "reasoning_gym:gcd"}


def refused(task, match, **tables):
    with pytest.raises(UserError, match=match) as caught:
        check_names(make_recipe({"task": task, **tables}))
    return caught.value


def test_an_unknown_task_is_answered_by_the_nearest():
    assert "reasoning_gym:gcd" in refused({"name": "reasoning_gym:gdc"}, "unknown task").instead
    assert "reasoning_gym:lcm" in refused(GCD, "unknown task", eval={"tasks": ["reasoning_gym:lcn"]}).instead
    assert "task.mixture" in refused({"name": "reasoning_gym:composite"}, "is no task").instead
    assert refused({"mixture": [GCD, {"name": "nano-sort"}]}, "task.mixture names 'nano-sort'")


def test_an_unknown_option_is_answered_by_the_nearest():
    error = refused({**GCD, "options": {"max_valeu": 3}}, "no option 'max_valeu'")
    assert error.instead.startswith("did you mean max_value")
    assert refused({"mixture": [{**GCD, "options": {"max_valeu": 3}}]}, "no option 'max_valeu'")
    assert refused({**GCD, "options": {"seed": 3}}, "the option seed is set")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"max_value": 0}, "max_value must be > min_value"),
        ({"max_value": "40"}, "max_value is of the type int, and not str"),
        ({"max_value": True}, "max_value is of the type int, and not bool"),
        ({"max_value": 2.5}, "max_value is of the type int, and not float"),
    ],
)
def test_a_value_that_its_configuration_does_not_take_is_refused_in_its_words(options, why):
    assert why in refused({**GCD, "options": options}, "reasoning_gym:gcd does not take max_value").why


def test_weights_that_draw_nothing_are_refused():
    with pytest.raises(UserError, match=r"task.mixture.0.weight = -1"):
        make_recipe({"task": {"mixture": [{**GCD, "weight": -1}]}})
    with pytest.raises(UserError, match=r"every weight of task.mixture is 0"):
        make_recipe({"task": {"mixture": [{**GCD, "weight": 0}, {"name": "reasoning_gym:lcm", "weight": 0.0}]}})


def test_a_name_or_options_beside_a_mixture_are_refused():
    for name in ("reasoning_gym:gcd", "nano-arithmetic"):
        with pytest.raises(UserError, match=r"is given beside task\.mixture"):
            make_recipe({"task": {"name": name, "mixture": [GCD]}})
    assert refused({"mixture": [GCD], "options": {"max_value": 3}}, "task.options is set for gcd")


def test_a_resolved_recipe_with_a_mixture_reads_as_itself():
    recipe = make_recipe({"task": {"mixture": [{**GCD, "options": {"max_value": 40}}, {"name": "reasoning_gym:lcm"}]}})
    assert make_recipe(tomllib.loads(recipe.to_toml())) == recipe
    assert recipe.task.name == "gcd + lcm"


@pytest.mark.parametrize(
    ("task", "match"),
    [
        ({"name": "nano-sort", "options": {"a": 1}}, "task.options is set for nano-sort"),
        ({"name": "nano-sort", "partial_credit": True}, "task.partial_credit is set for nano-sort"),
        ({**GCD, "data": "rows.jsonl"}, "task.data is set for reasoning_gym:gcd"),
        ({**GCD, "split": "test"}, "task.split is set for reasoning_gym:gcd"),
        ({**GCD, "reward": "exact", "partial_credit": True}, "partial_credit is set beside task.reward"),
    ],
)
def test_settings_that_nothing_would_read_are_refused(task, match):
    refused(task, match)


def test_the_prefix_is_no_module_of_a_users(tmp_path, monkeypatch):
    (tmp_path / "reasoning_gym.py").write_text("def gcd(completion, answer, **row): return 1.0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is no reward"):
        reward_function("reasoning_gym:gcd")
    assert find_given("reasoning_gym:gcd").grader.name == "reasoning_gym"


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(package, "PACKAGE", "reasoning-gym-that-is-nowhere")
    package.places.cache_clear()
    with pytest.raises(UserError, match="reasoning-gym is not installed") as caught:
        package.places()
    assert caught.value.instead == "pip install 'stiefel[gym]'"
    package.places.cache_clear()


def test_too_few_questions_to_hold_some_out_are_refused():
    """One question is held out or it is not: there is none left for the other side."""
    task = find_task("reasoning_gym:count_bits", options={"min_n": 3, "max_n": 3})
    (found,) = {row.prompt for split in ("train", "test") for row in some(task, split)}
    split = "train" if is_held_out(found.strip()) else "test"
    with pytest.raises(UserError, match="too few different questions"):
        task.rows(split, 10, 0)


def some(task, split):
    try:
        return task.rows(split, 1, 0)
    except UserError:
        return []


def test_rows_of_ones_own_that_ask_what_is_held_out_are_refused(tmp_path):
    asked = find_task("reasoning_gym:gcd").rows("test", 3, 0)[2]
    data = tmp_path / "rows.jsonl"
    rows = [{"prompt": "1+1", "answer": "2"}, {"prompt": asked.prompt, "answer": asked.answer}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = make_recipe(
        {
            "task": {"name": "mine", "data": str(data), "reward": "exact"},
            "eval": {"tasks": ["reasoning_gym:gcd"], "limit": 3},
            "rollout": {"max_prompt_tokens": 256},
        }
    )
    with pytest.raises(UserError, match=r"row \d+ of those to train on is held out: 'Find the Greatest"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def lines(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return list(given_lines(path, find_given("reasoning_gym:gcd"), None))


def test_a_line_that_is_no_row_of_the_task_is_refused(tmp_path):
    path = tmp_path / "lines.jsonl"
    entry = find_task("reasoning_gym:gcd").rows("test", 1, 0)[0].columns["entry"]
    assert len(lines(path, {"completion": "1", **entry})) == 1
    with pytest.raises(UserError, match="line 1 has no column 'metadata'"):
        lines(path, {"completion": "1", "question": "q", "answer": "1"})
    with pytest.raises(UserError, match="line 1 is no row of reasoning-gym's"):
        lines(path, {"completion": "1", **entry, "answer": 4})
    with pytest.raises(UserError, match="line 1 is a row of lcm, and not of gcd"):
        lines(path, {"completion": "1", **entry, "metadata": {"source_dataset": "lcm"}})
