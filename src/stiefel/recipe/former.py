"""Defaults that were others once: a run that began with an old one goes on with it, and counts as default since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .recipe import Recipe

# section.key → (its default until then, a key that is as young as the new one: a run's recipe names every key it knows)
FORMER: dict[str, tuple[Any, str]] = {"rollout.max_prompt_tokens": (64, "run.samples_every")}

# section.key → (what a run did that is older than the key, the key of the same section without which it says nothing)
BORN: dict[str, tuple[Any, str]] = {"optim.kl_cap_total": (0.0, "kl_cap_rows")}


def as_begun(recipe: Recipe, begun: Mapping[str, Any]) -> Recipe:
    """The recipe with the old defaults of the run whose tables are `begun`, where it holds today's."""
    for section, key, former in stood_on(begun):
        if vars(vars(recipe)[section])[key] == today(section, key):
            recipe = changed(recipe, section, key, former)
    return recipe


def as_today(recipe: Recipe, begun: Mapping[str, Any]) -> Recipe:
    """The recipe of such a run with today's defaults in place of the old ones, so that it is called like a new one."""
    for section, key, _ in stood_on(begun):
        recipe = changed(recipe, section, key, today(section, key))
    return recipe


def stood_on(begun: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(Section, key, value) of every old default that a run stands on."""
    for path, (former, beside) in BORN.items():
        section, _, key = path.partition(".")
        table = begun.get(section, {})
        if table.get(beside) and key not in table:
            yield section, key, former
    for path, (former, mark) in FORMER.items():
        (section, _, key), (table, _, younger) = path.partition("."), mark.partition(".")
        if younger not in begun.get(table, {}) and begun.get(section, {}).get(key) == former:
            yield section, key, former


def today(section: str, key: str) -> Any:
    """A key's default."""
    return vars(vars(Recipe())[section])[key]


def changed(recipe: Recipe, section: str, key: str, value: Any) -> Recipe:
    """The recipe with another value of one key."""
    return recipe.model_copy(update={section: vars(recipe)[section].model_copy(update={key: value})})
