"""The tasks of the package reasoning-gym, `reasoning_gym:NAME`, and mixtures of them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from ..errors import UserError, nearest
from ..recipe import TaskSettings
from ..rewards import GYM, GYM_PARTIAL, GYM_PREFIX, described, gym_columns, gym_version, is_gym
from .gym_rows import Entry, held_out_rows, training_rows
from .task import Row, Sampling, Split, Task

GREEDY_512 = Sampling(temperature=0.0, max_tokens=512)
ONLY = ("data", "revision", "split", "prompt_column", "answer_column")  # of [task], for rows that are read


def gym_task(name: str, options: Mapping[str, Any], *, chat: bool = False, partial: bool = False) -> Task:
    """One task of the package with options of its data set; raises UserError for a name or an option that it has not.

    chat: questions are a user's messages, else text and a newline; partial: the scorer's fraction is the score. Rows
    are made when they are first asked for, the test split's without regard to a seed.
    """
    short = checked(name, options)

    def rows(split: Split, count: int, seed: int) -> list[Row]:
        entries = held_out_rows(short, options) if split == "test" else training_rows(short, options, seed)
        return [gym_row(short, options, entry, chat) for entry in entries.first(count)]

    def origin(split: Split = "test") -> dict[str, Any]:
        return {**made_by(), "split": split, "options": dict(options)}

    grader = GYM_PARTIAL if partial else GYM
    return Task(name, f"reasoning-gym's {short}", grader, rows, sampling=GREEDY_512, origin=origin)


def mixed_task(settings: TaskSettings) -> Task:
    """Rows of several of the package's tasks, each drawn by its weight; the seed decides which, and in which order."""
    mixture = settings.mixture
    names = [checked(entry.name, entry.options) for entry in mixture]
    weights = [entry.weight for entry in mixture]

    def rows(split: Split, count: int, seed: int) -> list[Row]:
        assert split == "train", "a mixture is trained on; each of its tasks is measured by its own name"
        drawn = [part_at(place, weights, seed) for place in range(count)]
        parts = [
            iter(training_rows(name, entry.options, seed, part).first(drawn.count(part)))
            for part, (name, entry) in enumerate(zip(names, mixture, strict=True))
        ]
        return [gym_row(names[part], mixture[part].options, next(parts[part]), settings.chat) for part in drawn]

    def origin(split: Split = "train") -> dict[str, Any]:
        return {**made_by(), "split": split, "mixture": [entry.model_dump() for entry in mixture]}

    grader = GYM_PARTIAL if settings.partial_credit else GYM
    what = f"a mixture of {len(mixture)} tasks"
    return Task(settings.name, what, grader, rows, sampling=GREEDY_512, origin=origin)


def part_at(place: int, weights: list[float], seed: int) -> int:
    """Which task of a mixture stands at a place of a run's rows."""
    return random.Random(f"{seed}-{place}").choices(range(len(weights)), weights)[0]


def gym_row(name: str, options: Mapping[str, Any], entry: Entry, chat: bool) -> Row:
    """An entry of the package's as a row; an answer of null, which its scorer does without, is no text to learn."""
    question, answer = entry["question"], entry["answer"] or ""
    prompt = [{"role": "user", "content": question}] if chat else f"{question}\n"
    return Row(prompt, answer, target=answer, columns=gym_columns(name, options, entry))


def made_by() -> dict[str, Any]:
    """The beginning of an origin."""
    return {"source": "reasoning-gym", "version": gym_version()}


def checked(name: str, options: Mapping[str, Any]) -> str:
    """A task's name without the prefix; raises UserError for an unknown one, or for options that it does not take."""
    if not is_gym(name):
        raise UserError(
            f"task.mixture names {name!r}",
            f"only tasks of reasoning-gym are mixed, {GYM_PREFIX}NAME",
            f"write {GYM_PREFIX}gcd, or train on {name} alone by task.name",
        )
    short = name.removeprefix(GYM_PREFIX)
    found = described(short, options)
    if short == "composite":
        raise UserError(
            f"{name} is no task", "it is the package's mixture of other tasks", "write a mixture as [[task.mixture]]"
        )
    if short not in found["names"]:
        raise UserError(
            f"unknown task {name!r}",
            f"reasoning-gym {gym_version()} has no task {short!r}",
            nearest(name, [GYM_PREFIX + known for known in found["names"]]),
        )
    for key in options:
        if key in ("seed", "size"):
            raise UserError(
                f"the option {key} is set for {name}",
                "which rows are drawn is the run's to say: run.seed, task.train_rows, eval.limit",
                f"leave out {key}",
            )
        if key not in found["options"]:
            known = found["options"]
            raise UserError(
                f"{name} has no option {key!r}",
                "an option that nothing reads would be a setting silently lost",
                nearest(key, known) if known else "leave it out: this task has none",
            )
    if found["refused"]:
        given = ", ".join(f"{key} = {value!r}" for key, value in options.items()) or "no options"
        raise UserError(
            f"{name} does not take {given}",
            f"its configuration: {found['refused']}",
            "its defaults: " + (", ".join(f"{key} = {value}" for key, value in found["options"].items()) or "none"),
        )
    return short


def options_of(name: str, settings: TaskSettings) -> dict[str, Any]:
    """The options with which a task is measured: those of [task] or of the mixture's entry, if it is trained on."""
    if settings.name == name:
        return settings.options
    entries = [entry for entry in settings.mixture if entry.name == name]
    if any(entry.options != entries[0].options for entry in entries):
        raise UserError(
            f"eval.tasks names {name}, which stands in task.mixture with different options",
            "held-out rows are of one kind",
            "give it one set of options, or measure another task",
        )
    return entries[0].options if entries else {}


def refuse_gym_keys(settings: TaskSettings) -> None:
    """Raise for keys of [task] that only reasoning-gym's tasks read, or that these do not read."""
    if settings.mixture or (is_gym(settings.name) and not settings.data):
        usual = TaskSettings()
        for key in (*ONLY, *(("options",) if settings.mixture else ())):
            if vars(settings)[key] != vars(usual)[key]:
                raise UserError(
                    f"task.{key} is set for {settings.name}",
                    "each task of a mixture has options of its own" if key == "options" else "its rows are made here",
                    f"leave out task.{key}" + (", and write them in [[task.mixture]]" if key == "options" else ""),
                )
        if settings.partial_credit and settings.reward:
            raise UserError(
                "task.partial_credit is set beside task.reward",
                "the fraction is the scorer's of reasoning-gym, which the reward takes the place of",
                "leave one of them out",
            )
        return
    if is_gym(settings.name):
        raise UserError(
            f"task.data is set for {settings.name}",
            f"{GYM_PREFIX}NAME stands for rows that reasoning-gym makes",
            "leave out task.data, or give your rows another task.name",
        )
    for key in ("options", "partial_credit"):
        if vars(settings)[key]:
            raise UserError(
                f"task.{key} is set for {settings.name}",
                f"only the tasks of reasoning-gym read it, {GYM_PREFIX}NAME",
                f"leave out task.{key}",
            )


def gym_training_task(settings: TaskSettings) -> Task:
    """What [task] names of the package: one task, or a mixture."""
    if settings.mixture:
        return mixed_task(settings)
    return gym_task(settings.name, settings.options, chat=settings.chat, partial=settings.partial_credit)


def is_gym_training(settings: TaskSettings) -> bool:
    """Whether [task] names rows of the package."""
    return bool(settings.mixture) or is_gym(settings.name)
