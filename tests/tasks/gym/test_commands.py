"""A task of the package in train, grade and eval, on nano."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from stiefel.cli import cli
from stiefel.comparison.cells import base_key
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from stiefel.tasks import find_task

MIXED = {
    "task": {
        "mixture": [
            {"name": "reasoning_gym:gcd", "options": {"max_value": 40}},
            {"name": "reasoning_gym:lcm", "weight": 2.0, "options": {"max_value": 12}},
        ]
    },
    "rollout": {"prompts": 2, "completions": 2, "max_prompt_tokens": 256, "max_completion_tokens": 4},
    "optim": {"rollouts": 2, "updates_per_rollout": 1},
    "eval": {"tasks": ["reasoning_gym:gcd", "reasoning_gym:lcm"], "limit": 4},
}


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


def entries(name, count):
    return [row.columns["entry"] for row in find_task(f"reasoning_gym:{name}").rows("test", count, 0)]


def test_a_mixture_is_trained_on_and_measured_on_held_out_rows_and_goes_on(tmp_path):
    out = tmp_path / "run"
    recipe = make_recipe(MIXED)
    train(recipe, out)
    scores = json.loads((out / "eval.json").read_text())
    assert {task: found["before"]["questions"] for task, found in scores.items()} == {
        "reasoning_gym:gcd": 4,
        "reasoning_gym:lcm": 4,
    }
    said: list[str] = []
    train(recipe, out, resume=True, progress=said.append)
    assert said == [f"{out} is finished"]


def test_runs_of_a_grid_share_a_base_only_where_their_questions_are_the_same():
    def key(**task):
        return base_key(make_recipe({"task": task, "eval": {"tasks": ["reasoning_gym:gcd"]}}))

    gcd, options = "reasoning_gym:gcd", {"max_value": 40}
    assert len({key(name=gcd), key(name=gcd, options=options), key(name=gcd, options=options, chat=True)}) == 3
    assert key(mixture=[{"name": gcd}]) != key(mixture=[{"name": gcd, "options": options}])
    assert key(name=gcd) == key(name=gcd, partial_credit=True) == key(name="nano-sort")


def test_grade_takes_the_packages_own_rows(tmp_path):
    path = tmp_path / "lines.jsonl"
    (grid,) = entries("rotate_matrix", 1)
    assert "\n" in grid["answer"]
    rows = [
        {"completion": grid["answer"], **grid},
        {"completion": f"It is\n{grid['answer']}", **grid},
        {"completion": [{"role": "assistant", "content": f"<answer>\n{grid['answer']}\n</answer>"}], **grid},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = run("grade", "--task", "reasoning_gym:rotate_matrix", "--input", path, "--json")
    assert ended.exit_code == 0, ended.output
    assert [json.loads(line)["score"] for line in ended.stdout.splitlines() if line.startswith("{")] == [1, 0, 1]


def test_grade_judges_an_answer_of_null_and_says_which_gold_it_cannot_read(tmp_path):
    path = tmp_path / "lines.jsonl"
    (entry,) = entries("rubiks_cube", 1)
    moves = entry["metadata"]["example_correct_answer"]
    rows = [{"completion": moves, **entry}, {"completion": "U U", **entry}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = run("grade", "--task", "reasoning_gym:rubiks_cube", "--input", path, "--json")
    assert [json.loads(line)["score"] for line in ended.stdout.splitlines() if line.startswith("{")] == [1, 0]
    (facts,) = entries("gsm_symbolic", 1)
    path.write_text(json.dumps({"completion": "3", **facts, "answer": "about three"}) + "\n")
    ended = run("grade", "--task", "reasoning_gym:gsm_symbolic", "--input", path, "--json", "--strict")
    assert ended.exit_code == 1
    (found,) = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert found["score"] is None
    assert found["reason"].startswith("unreadable gold")


def test_data_lie_under_lines_that_hold_completions_alone(tmp_path):
    lines, data = tmp_path / "lines.jsonl", tmp_path / "rows.jsonl"
    rows = entries("gcd", 3)
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines.write_text("".join(json.dumps({"completion": f"\\boxed{{{row['answer']}}}"}) + "\n" for row in rows))
    ended = run("grade", "--task", "reasoning_gym:gcd", "--input", lines, "--data", data, "--json")
    assert [json.loads(line)["score"] for line in ended.stdout.splitlines() if line.startswith("{")] == [1, 1, 1]


def test_eval_takes_options_and_names_them_again(tmp_path):
    ended = run(
        *("eval", "nano", "--task", "reasoning_gym:count_bits", "--option", "max_n=64", "--limit", 3),
        *("--max-tokens", 2, "--out", tmp_path / "eval"),
    )
    assert ended.exit_code == 0, ended.output
    assert "made by reasoning-gym 0.1.25, max_n = 64, 3 asked" in ended.output
    assert "--option max_n=64" in ended.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--task", "reasoning_gym:gcd", "--option", "max_valu=3"), "no option 'max_valu'"),
        (("--task", "reasoning_gym:gcd", "--option", "max_value"), "--option 'max_value' is no option"),
        (("--task", "reasoning_gym:gcd", "--chat"), "no chat template"),
        (("--task", "nano-sort", "--option", "a=1"), "options are given for nano-sort"),
    ],
)
def test_what_eval_refuses(options, said):
    from stiefel.errors import UserError

    with pytest.raises(UserError, match=said):
        run("eval", "nano", *options, "--show", 1)
