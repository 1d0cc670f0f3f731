"""A recipe → its base model, and the model with its adapter."""

from __future__ import annotations

from typing import Any

import torch

from ..adapter import attach, drop_factors, load
from ..errors import UserError
from ..methods import used_settings
from ..model import let_turns_end, load_model, load_tokenizer
from ..recipe import Recipe


def load_pair(recipe: Recipe) -> tuple[Any, Any]:
    """The base model and its tokenizer, on the recipe's number of threads; the model knows every end of a turn."""
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    wanted = recipe.model
    tokenizer = load_ending_tokenizer(recipe)
    model = load_model(wanted.path, wanted.dtype, wanted.revision, wanted.attention)
    let_turns_end(model, tokenizer, wanted.turn_ends)
    return model, tokenizer


def load_ending_tokenizer(recipe: Recipe) -> Any:
    """The tokenizer; raises UserError for one without an end of sequence."""
    wanted = recipe.model
    tokenizer = load_tokenizer(wanted.path, wanted.revision, wanted.chat_template_options)
    if tokenizer.eos_token is None:
        raise UserError(
            f"the tokenizer of {recipe.model.path} has no end-of-sequence token",
            "a completion could not end, and none could be learned to",
            "set eos_token in its tokenizer_config.json",
        )
    return tokenizer


def adapted(recipe: Recipe, model: Any) -> Any:
    """The model with the recipe's adapter: a saved one, or a new start."""
    settings = recipe.adapter
    options: dict[str, Any] = dict(settings.options)
    if settings.path:
        return dropping(load(model, settings.path), settings.dropout_on)
    given = settings.model_dump(include={"rank", "alpha", "dropout", "targets"})
    found = attach(
        model,
        settings.method,
        seed=recipe.run.seed,
        **used_settings(settings.method, **given, options=options),
        **options,
    )
    return dropping(found, settings.dropout_on)


def dropping(model: Any, where: str) -> Any:
    """The model with its dropout where the recipe wants it."""
    if where == "factors":
        drop_factors(model)
    return model
