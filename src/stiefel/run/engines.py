"""A server that is to write a run's completions, asked before the run has a directory whether it can."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import Dataset

from ..engine import (
    PROMPTS,
    Server,
    Trusted,
    find_server,
    largest_rank,
    require_adapters,
    require_room,
    require_same_base,
    require_transfer,
)
from ..recipe import Recipe
from ..tasks import Task, prompt_tokens
from ..training import (
    SERVER_TIMEOUT,
    chosen_sync,
    grpo_config,
    in_all_or_none,
    launched,
    longest_prompt,
    reshapes,
)
from .measurements import Progress, longest_measured


def by_server(recipe: Recipe) -> bool:
    """Whether a server writes the rollouts."""
    rollout = recipe.rollout
    return rollout.engine == "vllm" and rollout.vllm_mode == "server" and recipe.algorithm.name != "sft"


def find_served(recipe: Recipe, progress: Progress = lambda line: None) -> Server | None:
    """The recipe's server, asked by the first process alone, and None where it has none, or in the others.

    Raises UserError, in all of them, where it does not answer, or has no room for a completion.
    """
    if not by_server(recipe):
        return None
    if recipe.rollout.sync == "merged":
        require_transfer(launched().device)

    def ask() -> Server | None:
        if not launched().is_main_process:
            return None
        server = find_server(recipe.rollout.vllm_server, recipe.model.path, SERVER_TIMEOUT, progress)
        require_room(server, recipe.rollout.max_prompt_tokens + recipe.rollout.max_completion_tokens)
        return server

    return in_all_or_none(ask)


def trust(
    recipe: Recipe, server: Server | None, model: Any, tokenizer: Any, rows: Dataset, tasks: Sequence[Task]
) -> Trusted | None:
    """`find_served`'s, once it has shown that its base is the model, which is bare, and has room for all that is asked.

    Raises UserError, in every process, where it does not.
    """
    if not by_server(recipe):
        return None
    rollout = recipe.rollout

    def ask() -> Trusted | None:
        if server is None:
            return None
        measured = longest_measured(recipe, tasks, tokenizer)
        prompts = [prompt_tokens(prompt, tokenizer, chat=False) for prompt in rows["prompt"][:PROMPTS]]
        longest = grpo_config(recipe, Path("run"), longest_prompt(rows, tokenizer), measured).vllm_max_model_length
        require_room(server, longest)
        shapes = reshapes(rollout.temperature, rollout.top_p, rollout.top_k)
        home = model.device
        model.to(PartialState().device)  # before training it may still be beside its GPU
        trusted = require_same_base(server, model, str(model.name_or_path), prompts, processed=shapes)
        model.to(home)
        return trusted

    return in_all_or_none(ask)


def check_sync_to(recipe: Recipe, trusted: Trusted | None, model: Any) -> None:
    """Raise, in every process, where what the adapted model is sent as cannot reach the server, or is not taken."""
    if not by_server(recipe):
        return
    if chosen_sync(model, recipe.rollout.sync or None) == "merged":
        require_transfer(launched().device)
    else:
        rank = largest_rank(model)
        in_all_or_none(lambda: require_adapters(trusted.server, rank) if trusted is not None else None)
