"""What does not fit into a recipe or a grid is said in our words: what, why, instead."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.recipe.changes import parse_change
from stiefel.recipe.explained import keys
from stiefel.recipe.grid import load_grid
from stiefel.recipe.recipe import Recipe, load_recipe, make_recipe, overlay
from stiefel.shipped import shipped

VALUES: list[Any] = [
    *(-3, 0, 2**70, "8", "x", "", True, 2.0, 2.5, -1.5, math.inf, math.nan, datetime.date(2020, 1, 1)),
    *(
        [],
        ["x"],
        [3],
        [[3]],
        {},
        {"a": 3},
        {"a": True},
        {"a": [1]},
        {"a": math.nan},
        [{"a": 1}],
        [{"name": "a", "b": 1}],
    ),
]
PYDANTICS = re.compile(
    r"Input|[Ff]ield required|should be|should have|characters?\b|greater than|less than|Value error|\[str"
)


@pytest.mark.parametrize("path", [*Recipe.model_fields, *keys(Recipe)])
def test_whatever_stands_at_a_key_is_taken_or_refused_in_our_words(path: str) -> None:
    said = [refusal(path, value) for value in VALUES]
    assert any(said)
    assert [one for one in said if PYDANTICS.search(one)] == []


def refusal(path: str, value: Any) -> str:
    """The error of a value at a key, or nothing."""
    tables: Any = value
    for part in reversed(path.split(".")):
        tables = {part: tables}
    try:
        make_recipe(tables)
    except UserError as error:
        return str(error)
    return ""


WORDS = {
    "adapter.rank=-3": (
        "adapter.rank = -3 does",
        "it must be a whole number, at least 1",
        "adapter.rank: The rank r of A and B: how many directions of a matrix its change may have. Default: 8.",
    ),
    "adapter.rank='8'": ("adapter.rank = '8'", "at least 1, and a text was given", "write 8, without quotes"),
    "adapter.rank=8.0": ("adapter.rank = 8.0", "and a number with a decimal point was given", "write 8; "),
    "adapter.rank=true": ("adapter.rank = True", "and true was given", "Default: 8."),
    "adapter.dropout=1": ("adapter.dropout = 1", "it must be a number, at least 0 and below 1", "input. Default: 0.0."),
    "adapter.targets=3": ("adapter.targets = 3", "a text or a list, each of it a text, and a number", "all-linear"),
    'adapter.targets=["a", 3]': ("adapter.targets.1 = 3", "it must be a text, and a number was given", "all-linear"),
    "adapter.options.sigma=true": ("adapter.options.sigma = True", "a text or a number, and true was", "own options"),
    "optim.lr=inf": ("optim.lr = inf", "at least 0, and inf is not finite", "Learning rate"),
    "rollout.top_p=0": ("rollout.top_p = 0", "it must be a number, above 0 and at most 1", "Nucleus"),
    "model.path=''": ("model.path = ''", "it must be a text, not empty", "Hub id"),
    "eval.tasks=gsm8k": ("eval.tasks = 'gsm8k'", "it must be a list, each of it a text", 'write ["gsm8k"]; '),
    "eval.tasks=[gsm8k, math500]": (
        "eval.tasks = '[gsm8k, math500]'",
        "it must be a list, each of it a text",
        'write ["gsm8k", "math500"] in single quotes, which the shell takes away; ',
    ),
    "eval.tasks=nano-sort, nano-reverse": (
        "eval.tasks = 'nano-sort, nano-reverse'",
        "it must be a list, each of it a text",
        'write ["nano-sort", "nano-reverse"]; ',
    ),
    "task.chat=1": ("task.chat = 1", "it must be true or false, and a number was given", "Show a text prompt"),
    "model.dtype=bf16": (
        "model.dtype = 'bf16'",
        "it must be one of float32, bfloat16, float16",
        "did you mean bfloat16",
    ),
    "adapter.dropout_on=x": (
        "adapter.dropout_on = 'x'",
        "it must be one of delta, factors",
        "one of: delta, factors; adapter.dropout_on: An anchored",
    ),
    'algorithm.name=["dapo"]': ("algorithm.name = ['dapo']", "it must be one of dapo, grpo", "Loss: DAPO"),
    "optim=3": ("optim = 3", "it must be a table of settings, and a number was given", "the keys are lr, schedule"),
    "expected.metric=best": ("expected.metric = 'best'", "'best' is neither avg nor pass@k", "What was published"),
    "task.mixture=[{weight = 2}]": ("task.mixture.0.name is not there", "it has no default", "A task of reasoning-gym"),
    "task.mixture=[{name='reasoning_gym:gcd', weigth=2}]": (
        "unknown key task.mixture.0.weigth",
        "silently lost",
        "did you mean task.mixture.0.weight",
    ),
}


@pytest.mark.parametrize("change", WORDS)
def test_a_change_that_does_not_fit_says_what_why_and_what_instead(change: str, tmp_path: Path) -> None:
    """As it is given to --set, and as a grid's axis holds it."""
    what, why, instead = WORDS[change]
    with pytest.raises(UserError) as error:
        make_recipe(overlay({}, parse_change(change)))
    assert error.value.what.startswith(what)
    assert why in error.value.why
    assert instead in error.value.instead


@pytest.mark.parametrize("axes", ['"adapter.rank" = [8, -3]', '"adapter.rank, run.seed" = [[8, 0], [-3, 1]]'])
def test_a_grid_names_its_file_beside(axes: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(f"[axes]\n{axes}\n")
    with pytest.raises(UserError) as error:
        load_grid(path)
    assert error.value.what == f"adapter.rank = -3 in {path} does not fit"
    assert error.value.why == "it must be a whole number, at least 1"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("adapter.rank=-3", "adapter.rank = -3 in the changes to {} does not fit"),
        ("optim.lrr=1", "unknown key optim.lrr in the changes to {}"),
        ("optimizer.lr=1", "unknown key optimizer in the changes to {}"),
        ("optim={lr = true}", "optim.lr = True in the changes to {} does not fit"),
        ("adapter.rank.of_all=3", "adapter.rank = {{'of_all': 3}} in the changes to {} does not fit"),
        ("run.seed=1", "adapter.alpha = -1 in {} does not fit"),
        ("adapter.rank=4", "adapter.alpha = -1 in {} does not fit"),
    ],
)
@pytest.mark.parametrize("kind", ["recipe", "grid"])
def test_what_a_change_has_set_is_not_said_of_the_file(change: str, what: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.toml"
    alpha = -1 if "alpha" in what else 16
    text = f"adapter]\nrank = 8\nalpha = {alpha}\n"
    path.write_text(f"[recipe.{text}[axes]\n'run.threads' = [1]\n" if kind == "grid" else f"[{text}")
    with pytest.raises(UserError) as error:
        load_grid(path, [change]) if kind == "grid" else load_recipe(path, [change])
    assert error.value.what == what.format(path)


TABLES = f"one of the tables: {', '.join(Recipe.model_fields)}; `stiefel help` lists their keys"


@pytest.mark.parametrize(
    ("key", "written", "changed"),
    [
        ("lr", "did you mean optim.lr: [optim] lr = …", "did you mean optim.lr?"),
        (
            "name",
            "did you mean task.name: [task] name = …, or algorithm.name: [algorithm] name = …",
            "did you mean task.name or algorithm.name?",
        ),
        ("adapter.seed", "did you mean run.seed?", "did you mean run.seed?"),
        ("optimm", "did you mean optim?", "did you mean optim?"),
        ("lrr", "did you mean optim.lr?", "did you mean optim.lr?"),
        ("qqq", TABLES, TABLES),
        ("guard.qqqqqqqqqqqqqqqqqq", *["one of: guard.action, guard.grad_norm, guard.kl_base"] * 2),
    ],
)
def test_an_unknown_key_gets_the_key_that_was_meant_or_where_to_look(key: str, written: str, changed: str) -> None:
    with pytest.raises(UserError, match=f"unknown key {key}") as error:
        make_recipe(overlay({}, parse_change(f"{key}=1")))
    assert error.value.instead == written
    with pytest.raises(UserError, match=f"unknown key {key}") as error:
        make_recipe({}, [f"{key}=1"])
    assert error.value.instead == changed


def test_an_unknown_key_of_what_a_grid_measures_gets_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text("[axes]\n'run.seed' = [0]\n[measure]\nkind = 'start-norm'\nkindd = 1\n")
    with pytest.raises(UserError, match="unknown key kindd in") as error:
        load_grid(path)
    assert error.value.instead == "did you mean kind?"


def test_a_file_that_is_not_there_gets_one_of_a_like_name_or_one_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ships = shipped("recipes", "rlpo")
    assert ships is not None
    assert said_of_no_file("dapo.toml") == "stiefel new recipe > recipe.toml writes one"
    assert said_of_no_file("grid.toml", load_grid) == "stiefel new grid > grid.toml writes one"
    assert said_of_no_file("recipes/nano/dapo.toml") == f"Stiefel's own is {ships / 'nano' / 'dapo.toml'}"
    assert said_of_no_file("recipes/nano/dap.toml") == f"did you mean {ships / 'nano' / 'dapo.toml'}?"
    assert said_of_no_file("recipes/zzz/qqq.toml") == "stiefel new recipe > recipe.toml writes one"
    (tmp_path / "mine").mkdir()
    for name in ("dapo.toml", "dapo.txt", "other.toml"):
        (tmp_path / "mine" / name).touch()
    assert said_of_no_file("mine/dapo2.toml") == "did you mean mine/dapo.toml?"
    assert said_of_no_file("mine/DAPO") == "did you mean mine/dapo.toml?"
    assert said_of_no_file("mine/qqq.toml") == "stiefel new recipe > recipe.toml writes one"


def said_of_no_file(path: str, load: Callable[[Path], object] = load_recipe) -> str:
    """What is to be given instead."""
    with pytest.raises(UserError, match=f"no file {path}") as error:
        load(Path(path))
    return error.value.instead


def test_a_list_that_is_advised_for_a_change_is_one_that_the_shell_lets_through() -> None:
    with pytest.raises(UserError) as error:
        make_recipe({}, ["eval.tasks=nano-sort,nano-reverse"])
    assert error.value.instead.startswith('write ["nano-sort", "nano-reverse"], in single quotes on a command line; ')
    assert make_recipe({}, ['eval.tasks=["nano-sort", "nano-reverse"]']).eval.tasks == ["nano-sort", "nano-reverse"]
