"""Every shipped recipe parses with each of its profiles, says what it must, and a nano profile really runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import read_jsonl
from stiefel.methods import compose
from stiefel.recipe import load_recipe, methods_named, profile_names, read_toml, tasks_named
from stiefel.recipe.grid import load_grid
from stiefel.run.checks import check_names
from stiefel.run.run import finished, train
from stiefel.scores import usual_ks
from stiefel.tasks import find_task
from stiefel.training.settings import grpo_config, sft_config

ROOT = Path(__file__).parents[2] / "recipes"


def profiles_in(path: Path) -> list[str]:
    """A grid's own profiles, or "" for the one that it names."""
    return profile_names(path, own=True) or [""]


RECIPES = [path for path in sorted(ROOT.rglob("*.toml")) if "axes" not in read_toml(path)]
GRIDS = [path for path in sorted(ROOT.rglob("*.toml")) if "axes" in read_toml(path)]
PROFILES = [(path, profile) for path in RECIPES for profile in ("", *read_toml(path).get("profile", {}))]
PAPERS = [path for path in RECIPES if {"profile", "expected"} <= read_toml(path).keys()]
GRID_PROFILES = [(path, profile) for path in GRIDS for profile in profiles_in(path)]


def name(value: Any) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else value or "plain"


@pytest.mark.parametrize(("path", "profile"), PROFILES, ids=name)
def test_a_recipe_parses_and_becomes_trls_settings(path: Path, profile: str, tmp_path: Path) -> None:
    recipe = load_recipe(path, profile=profile)
    make = sft_config if recipe.algorithm.name == "sft" else grpo_config
    make(recipe, tmp_path)
    check_names(recipe)
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    assert load_recipe(tmp_path / "recipe.toml") == recipe


@pytest.mark.parametrize(("path", "profile"), GRID_PROFILES, ids=name)
def test_a_grid_parses(path: Path, profile: str, tmp_path: Path) -> None:
    for recipe in load_grid(path, profile=profile).runs.values():
        check_names(recipe, shared=True)
        make = sft_config if recipe.algorithm.name == "sft" else grpo_config
        make(recipe, tmp_path)
        assert (recipe.model.path == "nano") == (profile in ("nano", "")), (
            "nano trains the embedded model, no other does"
        )
        if recipe.model.path == "nano":
            assert recipe.optim.rollouts <= 60, "nano takes minutes"


@pytest.mark.parametrize("path", [path for path in GRIDS if path.parent.name in ("rlpo", "geora", "peft12")], ids=name)
def test_a_papers_grid_has_its_profiles_and_says_what_is_not_the_papers(path: Path) -> None:
    assert {"nano", "paper"} <= set(profiles_in(path))
    header = path.read_text().partition("\n\n")[0]
    for words in (
        "WE HAVE NOT RUN THE PAPER'S PROFILE",
        "# Source: ",
        "# Nano: ",
        f"stiefel reproduce {name(path)[:-5]} ",
    ):
        assert words in header


@pytest.mark.parametrize("path", [path for path in GRIDS if path.parent.name in ("rlpo", "geora", "peft12")], ids=name)
def test_published_scores_of_a_grid_are_of_what_it_measures(path: Path) -> None:
    """In the paper's profile, by method, in a metric of which the task has samples."""
    for recipe in load_grid(path, profile="paper").runs.values():
        expected, measured = recipe.expected, set(recipe.eval.tasks)
        assert all(compose(method).name for method in methods_named(expected.scores))
        assert expected.percent or not expected.scores
        for task in {*tasks_named(expected.of(recipe.adapter.method)), *expected.average_of} - {"average"}:
            assert task in measured or len(load_grid(path, profile="paper").runs) > 1
            samples = find_task(task).sampling.samples
            metric = expected.metric_of(task)
            assert metric == "avg" or int(metric.removeprefix("pass@")) in usual_ks(samples)


@pytest.mark.parametrize("path", [*RECIPES, *GRIDS], ids=name)
def test_a_header_says_what_it_needs_and_how_to_run_it(path: Path) -> None:
    header = path.read_text().partition("\n\n")[0]
    assert header.startswith("# ")
    assert "# Hardware: " in header
    assert f"recipes/{name(path)}" in header


@pytest.mark.parametrize("path", PAPERS, ids=name)
def test_a_papers_profile_says_that_it_was_not_run_and_what_to_expect(path: Path) -> None:
    text = path.read_text()
    assert "WE HAVE NOT RUN THE PAPER'S PROFILE" in text
    recipe = load_recipe(path, profile="paper")
    assert recipe.expected.source
    assert recipe.expected.scores
    assert recipe.eval.tasks
    assert recipe.eval.sampling == "task", "one greedy sample of AIME is no published figure"
    for task in (recipe.task.name, *recipe.eval.tasks):
        assert find_task(task).name == task
    assert not recipe.task.data, "a built-in task serves"
    nano = load_recipe(path, profile="nano")
    assert nano.model.path == "nano"
    for task in (nano.task.name, *nano.eval.tasks):
        find_task(task)


@pytest.mark.parametrize("path", PAPERS, ids=name)
def test_the_changes_that_a_header_proposes_parse(path: Path) -> None:
    """Methods with Σ in their factors get it pinned: the commands in the comments are commands."""
    proposed = [line[1:] for line in path.read_text().splitlines() if line.startswith("#   --set")]
    for line in proposed:
        changes = [word for word in shlex.split(line) if word != "--set"]
        method = [] if any("adapter.method" in change for change in changes) else ["adapter.method=pissa"]
        recipe = load_recipe(path, [*method, *changes], "paper")
        resolved = compose(recipe.adapter.method).resolve_options(recipe.adapter.options)
        assert recipe.adapter.options.items() <= resolved.items()
        assert "sigma" in resolved or recipe.adapter.method not in ("pissa", "milora")
        check_names(recipe, shared=True)
    pinned = load_recipe(path, profile="paper").adapter.options
    assert proposed or pinned["sigma"] == "undivided"


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_every_setting_that_decides_a_loss_is_written(path: Path) -> None:
    """A recipe that relies on our defaults would change with them."""
    tables = read_toml(path)
    assert "name" in tables["algorithm"]
    if tables["algorithm"]["name"] != "sft":
        assert {"beta", "clip_low", "clip_high", "dual_clip"} <= tables["algorithm"].keys()


def test_the_main_protocol_is_the_papers_table_2() -> None:
    recipe = load_recipe(ROOT / "rlpo" / "main.toml", profile="paper")
    rollout, optim, algorithm = recipe.rollout, recipe.optim, recipe.algorithm
    assert (rollout.prompts, rollout.completions, optim.updates_per_rollout) == (128, 8, 4)
    assert rollout.prompts // optim.updates_per_rollout == 32
    assert (optim.lr, optim.weight_decay, optim.max_grad_norm, optim.warmup_rollouts) == (1e-5, 0.1, 1.0, 0)
    assert (optim.rollouts, optim.rollouts * optim.updates_per_rollout) == (500, 2000)
    assert (algorithm.clip_low, algorithm.clip_high, algorithm.dual_clip, algorithm.beta) == (0.2, 0.28, 10.0, 0.0)
    assert (algorithm.overlong_buffer, algorithm.overlong_penalty, algorithm.entropy) == (4096, 1.0, 0.0)
    assert (recipe.adapter.rank, recipe.adapter.alpha, recipe.adapter.dropout) == (16, 32, 0.0)
    assert (rollout.max_prompt_tokens, rollout.max_completion_tokens) == (512, 16384)
    assert (rollout.vllm_memory, rollout.vllm_tensor_parallel) == (0.75, 2)
    assert (rollout.temperature, rollout.top_p, rollout.top_k) == (1.0, 1.0, 0)
    assert (recipe.eval.temperature, recipe.eval.top_p, optim.activation_checkpointing) == (0.6, 0.95, True)


def test_published_averages_are_those_of_their_rows() -> None:
    """A figure that was copied wrongly would not fit its row."""
    expected = load_recipe(ROOT / "rlpo" / "main.toml").expected
    for method in expected.scores:
        row = expected.of(method)
        average = row.pop("average")
        assert list(row) == expected.average_of
        # half a digit of the mean, half of the figures
        assert 100 * average.mean == pytest.approx(100 * sum(score.mean for score in row.values()) / 5, abs=0.01)


@pytest.mark.parametrize("path", PAPERS, ids=name)
def test_published_scores_are_of_what_the_papers_profile_measures(path: Path) -> None:
    """Keyed by methods that can be chosen and by the profile's own tasks, in a metric that these have samples for."""
    recipe = load_recipe(path, profile="paper")
    expected = recipe.expected
    assert {*tasks_named(expected.scores), *expected.average_of} - {"average"} <= set(recipe.eval.tasks)
    assert all(compose(method).name for method in methods_named(expected.scores))
    assert expected.percent
    for task in recipe.eval.tasks:
        metric = expected.metric_of(task)
        assert metric == "avg" or metric == f"pass@{find_task(task).sampling.samples}"
    check_names(recipe)


def test_the_rlpo_papers_lora_is_the_gaussian_start() -> None:
    """Its A is N(0, 1/n), PEFT's is U(±1/√n): a run of `lora` gets no published number of another start beside it."""
    recipe = load_recipe(ROOT / "rlpo" / "main.toml", profile="paper")
    assert recipe.expected.of("gaussian")["math500"].mean == pytest.approx(0.8193)
    assert recipe.expected.of("lora") == {}
    text = (ROOT / "rlpo" / "main.toml").read_text()
    assert "--set adapter.method=gaussian, rlmo, pissa or milora" in text


@pytest.mark.parametrize("path", PAPERS, ids=name)
def test_a_nano_profile_runs(path: Path, tmp_path: Path) -> None:
    changes = [
        "optim.rollouts=2",
        "rollout.prompts=4",
        "rollout.completions=4",
        "eval.limit=5",
        "eval.tasks=['nano-sort']",
    ]
    recipe = load_recipe(path, changes, "nano")
    train(recipe, tmp_path / "run")
    assert finished(tmp_path / "run")
    assert len(read_jsonl(tmp_path / "run" / "metrics.jsonl")) == 2


def test_no_recipe_names_a_place_on_someones_disk() -> None:
    for path in [*RECIPES, *GRIDS]:
        assert not re.search(r"(/home/|/root/|/work/|/tmp/|~/)", path.read_text())
