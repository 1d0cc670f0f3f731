"""What a recipe quotes as published: read as it is written, and refused where it would never stand beside ours."""

from __future__ import annotations

from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.recipe import Published
from stiefel.recipe.recipe import make_recipe
from stiefel.run.checks import check_names


def test_scores_are_fractions_whatever_they_were_written_as() -> None:
    percent = {"percent": True, "scores": {"rlpo": {"math500": [87.5, 1.5], "aime24": 75}}}
    fractions = {"scores": {"rlpo": {"math500": [0.875, 0.015], "aime24": 0.75}}}
    for written in (percent, fractions):
        assert make_recipe({"expected": written}).expected.of("rlpo") == {
            "math500": Published(0.875, 0.015),
            "aime24": Published(0.75),
        }


@pytest.mark.parametrize("metric", ["avg", "pass@1", "pass@32", {"math500": "pass@4"}])
def test_a_metric_is_avg_or_pass_at_k_of_all_or_of_each(metric: Any) -> None:
    expected = make_recipe({"expected": {"metric": metric}}).expected
    assert expected.metric_of("math500") == (metric if isinstance(metric, str) else "pass@4")
    assert expected.metric_of("aime24") == (metric if isinstance(metric, str) else "avg")


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"metric": "mean@4"}, "neither avg nor pass@k"),
        ({"metric": "pass@0"}, "neither avg nor pass@k"),
        ({"metric": {"math500": "pass"}}, "neither avg nor pass@k"),
        ({"scores": {"rlpo": {"math500": "87.3"}}}, "neither a number nor"),
        ({"scores": {"rlpo": {"math500": [87.3, 1.8, 3]}}}, "neither a number nor"),
        ({"scores": {"math500": True}}, "neither a number nor"),
        ({"scroes": {}}, r"unknown key expected\.scroes"),
    ],
)
def test_what_is_no_score_is_refused(expected: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make_recipe({"expected": expected})


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"percent": True, "scores": {"rlpo": {"MATH500": 87.3}}}, "MATH500"),
        ({"percent": True, "scores": {"rpol": {"math500": 87.3}}}, "rpol"),
        ({"scores": {"rlpo": {"math500": 87.3}}}, "holds 87.3"),
        ({"percent": True, "scores": {"rlpo": {"math500": [873.0, 1.0]}}}, "holds 873"),
        ({"percent": True, "scores": {"rlpo": {"math500": -1.0}}}, "holds -1"),
        ({"scores": {"lora": 0.425}}, "lora"),  # a method in a task's place
        ({"scores": {"rlpo": {"average": 0.65}}}, "average_of is empty"),
        ({"average_of": ["amc"], "scores": {"rlpo": {"average": 0.65}}}, "amc"),
    ],
)
def test_what_would_never_stand_beside_ours_is_refused_before_a_run(expected: dict[str, Any], words: str) -> None:
    recipe = make_recipe({"expected": expected})  # an older run's is still read
    with pytest.raises(UserError, match=words):
        check_names(recipe)


@pytest.mark.parametrize(
    "expected",
    [
        {"percent": True, "scores": {"base": {"math500": 71.2}, "rlpo+dora": {"math500": [87.33, 1.81]}}},
        {"scores": {"math500": 0.873}},
        {"scores": {"rlpo": {"nano-arithmetic": 1, "average": 0}}, "average_of": ["nano-arithmetic", "nano-sort"]},
        {"percent": True, "scores": {"pissa": {"aime24": [0.0, 0.0]}}},
    ],
)
def test_what_can_stand_beside_ours_is_taken(expected: dict[str, Any]) -> None:
    check_names(make_recipe({"expected": expected}))
