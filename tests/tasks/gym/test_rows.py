"""The package's rows as tasks: the same in every process, other rows by every seed, several tasks by their weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from stiefel.errors import UserError
from stiefel.recipe.recipe import make_recipe
from stiefel.tasks import find_task, measured_task, training_task
from stiefel.tasks.gym_rows import HELD_OUT_INDICES

from .names import library

BY_HASH = ("isomorphic_strings", "polynomial_multiplication", "ransom_note")  # the order of a set of strings counts
OURS = """
import json, sys
from stiefel.rewards import made_rows
print(json.dumps([list(made_rows(name, {}, [0, 2**32 - 1])) for name in json.load(sys.stdin)]))
"""
THEIRS = """
found = [reasoning_gym.create_dataset(name, seed=0, size=5)[index]["question"] for name in given for index in range(3)]
"""
LAID_OUT = ("acre", "gsm_symbolic", "list_functions", "word_ladder", "pool_matrix")


def rows_under(hash_seed, names):
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    given = json.dumps(names)
    ended = subprocess.run(
        [sys.executable, "-c", OURS], input=given, capture_output=True, text=True, env=environment, check=True
    )
    return json.loads(ended.stdout)


def settings(**task):
    return make_recipe({"task": task}).task


def mixture(*entries):
    return settings(mixture=list(entries))


GCD = {"name": "reasoning_gym:gcd", "options": {"max_value": 40}}
LCM = {"name": "reasoning_gym:lcm", "options": {"max_value": 12}}


def test_rows_are_the_same_in_every_process():
    theirs = [library(THEIRS, BY_HASH, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    assert theirs[0] != theirs[1], "mended upstream?"
    names = [*BY_HASH, *LAID_OUT]
    assert rows_under("1", names) == rows_under("2", names[::-1])[::-1]


@pytest.mark.parametrize("name", LAID_OUT)
def test_rows_have_no_end_where_the_package_ends_at_a_size(name):
    task = find_task(f"reasoning_gym:{name}")
    questions = {row.prompt for row in task.rows("train", 30, 3)}
    assert len(questions) > 20
    assert not questions & {row.prompt for row in task.rows("test", 30, 0)}


def test_training_rows_are_the_seeds_and_lie_beyond_what_is_held_out():
    task = find_task("reasoning_gym:gcd")
    first, again = task.rows("train", 40, 5), task.rows("train", 80, 5)
    assert again[:40] == first
    assert task.rows("train", 40, 6) != first
    indices = [row.columns["entry"]["metadata"]["source_index"] for row in again]
    assert min(indices) >= HELD_OUT_INDICES
    held_out = [row.columns["entry"]["metadata"]["source_index"] for row in task.rows("test", 50, 0)]
    assert max(held_out) < HELD_OUT_INDICES
    assert task.rows("test", 50, 1) == task.rows("test", 50, 0)


def test_a_question_is_text_and_a_newline_or_a_users_message():
    (row,) = training_task(settings(name="reasoning_gym:gcd")).rows("train", 1, 0)
    assert row.prompt.endswith("final answer.\n")
    assert row.target == row.answer == row.columns["entry"]["answer"]
    (asked,) = training_task(settings(name="reasoning_gym:gcd", chat=True)).rows("train", 1, 0)
    assert asked.prompt == [{"role": "user", "content": row.prompt.removesuffix("\n")}]
    (null,) = training_task(settings(name="reasoning_gym:graph_color")).rows("train", 1, 0)
    assert (null.answer, null.target) == ("", "")


def test_a_mixture_is_drawn_by_weight_and_by_the_seed():
    task = training_task(mixture({**GCD, "weight": 3.0}, LCM))
    rows = task.rows("train", 200, 0)
    names = [row.columns["gym"] for row in rows]
    assert 125 < names.count("gcd") < 175
    assert names[:20] != sorted(names[:20])
    assert task.rows("train", 100, 0) == rows[:100]
    assert task.rows("train", 100, 1) != rows[:100]
    assert {str(row.columns["options"]) for row in rows} == {"{'max_value': 40}", "{'max_value': 12}"}
    assert {row.columns["gym"] for row in training_task(mixture(GCD, {**LCM, "weight": 0.0})).rows("train", 50, 0)} == {
        "gcd"
    }


def test_only_so_many_rows_of_a_mixture_are_gone_through_again():
    task = training_task(make_recipe({"task": {"mixture": [GCD, LCM], "train_rows": 10}}).task)
    assert task.size == 10
    assert len({row.prompt for row in task.rows("train", 50, 0)}) <= 10


def test_a_task_is_measured_with_the_options_it_is_trained_with():
    mixed = mixture(GCD, LCM)
    rows = measured_task("reasoning_gym:gcd", mixed).rows("test", 20, 0)
    assert {row.columns["options"]["max_value"] for row in rows} == {40}
    single = settings(name="reasoning_gym:gcd", options={"max_value": 30}, chat=True)
    (row,) = measured_task("reasoning_gym:gcd", single).rows("test", 1, 0)
    assert row.columns["options"] == {"max_value": 30}
    assert isinstance(row.prompt, list)
    (row,) = measured_task("reasoning_gym:lcm", single).rows("test", 1, 0)
    assert row.columns["options"] == {}
    twice = mixture(GCD, {"name": "reasoning_gym:gcd", "options": {"max_value": 9}})
    with pytest.raises(UserError, match="different options"):
        measured_task("reasoning_gym:gcd", twice)


def test_options_have_the_types_that_the_package_wants():
    """Tuples, enumerations and dates are lists and texts in TOML."""
    for name, options in (
        ("puzzle24", {"operators": ["+", "-", "*"]}),
        ("word_sorting", {"transformation": "uppercase"}),
        ("aiw", {"task_types": ["siblings"], "task_type_weights": [1.0]}),
        ("time_intervals", {"min_date": "2000-01-01", "max_date": "2001-01-01", "task_types": ["date"]}),
    ):
        assert len(find_task(f"reasoning_gym:{name}", options=options).rows("test", 2, 0)) == 2
