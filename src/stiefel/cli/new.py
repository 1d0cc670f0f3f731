"""Verb of beginning: new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from ..errors import UserError, nearest
from . import completing
from .options import examples, say

EVALUATED_ELSEWHERE = ("math500",)  # where a task has rows to train on and none to measure


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what is printed for a model and a task."""
    for option in (
        click.option(
            "--algorithm",
            default="dapo",
            show_default=True,
            help="dapo, grpo, dr_grpo or sft.",
            shell_complete=completing.algorithms,
        ),
        click.option(
            "--task",
            default="",
            help="One that has rows to train on.  [default: nano-arithmetic or gsm8k]",
            shell_complete=completing.tasks,
        ),
        click.option("--model", default="nano", show_default=True, help="A hub id, a directory, or nano."),
    ):
        command = option(command)
    return command


@click.group(
    epilog=examples(
        "stiefel new recipe --method rlpo --model nano > recipe.toml",
        "stiefel new grid > grid.toml",
        "stiefel new reward > my_rewards.py",
    )
)
def new() -> None:
    """Print a commented file that runs as it is."""


@new.command(
    epilog=examples(
        "stiefel new recipe --method rlpo > recipe.toml",
        "stiefel new recipe --model Qwen/Qwen3-1.7B-Base --task gsm8k --algorithm grpo > recipe.toml",
    )
)
@click.option(
    "--method",
    default="lora",
    show_default=True,
    help="One of `stiefel methods`, or several with +.",
    shell_complete=completing.methods,
)
@file_options
def recipe(method: str, model: str, task: str, algorithm: str) -> None:
    """Print a recipe for a model, a task and a method."""
    from ..recipe import starting_recipe

    click.echo(starting_recipe(wished(method, model, task, algorithm)), nl=False)
    say("next: stiefel train FILE --out run, where FILE is what this was written to")


@new.command(epilog=examples("stiefel new grid --method lora,rlpo > grid.toml"))
@click.option(
    "--method",
    "methods",
    default="lora,pissa,rlpo,rlmo",
    show_default=True,
    help="Several, with commas.",
    shell_complete=completing.methods,
)
@file_options
def grid(methods: str, model: str, task: str, algorithm: str) -> None:
    """Print a grid of methods and seeds.

    Each method begins at a rate at which its first step costs the same.
    """
    from ..recipe import starting_grid

    names = [name.strip() for name in methods.split(",")]
    wishes = [wished(name, model, task, algorithm) for name in names]
    shared = replace(  # what one of them has a use for, and a rate that all can begin with
        wishes[0],
        unused=frozenset.intersection(*(wish.unused for wish in wishes)),
        all_weights=all(wish.all_weights for wish in wishes),
    )
    click.echo(starting_grid(shared, names), nl=False)
    say("next: stiefel compare FILE --out runs, where FILE is what this was written to")


@new.command(epilog=examples("stiefel new reward > my_rewards.py"))
def reward() -> None:
    """Print a module with a reward function, and how a recipe names it."""
    from ..rewards import EXAMPLE

    click.echo(EXAMPLE.read_text(encoding="utf-8"), nl=False)
    say("next: stiefel train RECIPE.toml --set task.reward=my_rewards:score --out run, from where my_rewards.py lies")


def wished(method: str, model: str, task: str, algorithm: str) -> Any:
    """What the words ask for; raises for a method, a task or an algorithm that there is not."""
    from ..methods import compose, unused_settings
    from ..recipe import ALGORITHMS, Wish

    composition = compose(method)
    if algorithm not in ALGORITHMS:
        raise UserError(f"unknown algorithm {algorithm!r}", "there is no such loss", nearest(algorithm, ALGORITHMS))
    named = task or ("nano-arithmetic" if model == "nano" else "gsm8k")
    measured, endless = measured_beside(named, model)
    return Wish(
        model=model,
        method=method,
        task=named,
        algorithm=algorithm,
        unused=unused_settings(composition),
        all_weights=composition.main.kind == "weights",
        measured=measured,
        endless=endless,
    )


def measured_beside(task: str, model: str) -> tuple[tuple[str, ...], bool]:
    """What is measured where a task is trained, and whether its rows never end; raises where it cannot be trained."""
    from ..rewards import is_gym
    from ..tasks import BENCHMARKS, MADE_HERE, TASKS, find_task

    made, known = tuple(one.name for one in MADE_HERE), [one.name for one in TASKS]
    if model == "nano" and task not in made:
        raise UserError(
            f"--task {task} for nano",
            "its tokenizer knows digits and eight letters, and no other text",
            f"give --model, or one of {', '.join(made)}" if task in known else nearest(task, made),
        )
    if is_gym(task):
        find_task(task)
        return (task,), True
    if task in made:
        return made, True
    read = {one.name: one.hub for one in BENCHMARKS}
    trained = [*made, *(name for name, hub in read.items() if hub is not None and hub.train)]
    if task not in read:
        find_task(task)  # a grader says what it needs, and an unknown name is answered by the nearest
    if task not in trained:
        raise UserError(
            f"{task} has no rows to train on",
            "it measures" if read.get(task) is not None else "it grades rows of your own, which task.data names",
            f"one of {', '.join(trained)}; rows of your own: docs/data.md",
        )
    hub = read[task]
    return ((task,) if hub is not None and hub.test else EVALUATED_ELSEWHERE), False
