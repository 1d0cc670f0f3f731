"""How long prompts and completions of a run are, said before the first is sampled."""

from __future__ import annotations

from typing import Any

from datasets import Dataset

from ..model import context_length, resolve_model
from ..recipe import Recipe
from ..tasks import AS_MANY_AS_FIT, Sampling, Task
from .rows import longest_prompt


def lengths_line(recipe: Recipe, task: Task, rows: Dataset, tokenizer: Any) -> str:
    """What a rollout is made of, beside what would fit the model and what the task is measured with.

    The length of a completion decides what a run costs and can learn, and no row tells it: it is a setting, and said.
    """
    rollout = recipe.rollout
    limit, longest = rollout.max_completion_tokens, longest_prompt(rows, tokenizer)
    usual = type(rollout).model_fields["max_completion_tokens"].default
    beside = [f"rollout.max_completion_tokens{', as by default' if limit == usual else ''}"]
    context = context_length(resolve_model(recipe.model.path, recipe.model.revision))
    if context:
        beside.append(f"the model's context has room for {context - longest}")
    measured = task.sampling.max_tokens
    if measured not in (AS_MANY_AS_FIT, Sampling().max_tokens, limit):
        beside.append(f"{task.name} is measured with {measured}")
    drawn = f"{rollout.prompts} prompts of up to {longest} tokens, {rollout.completions} completions each"
    return f"a rollout: {drawn}, cut off at {limit} tokens ({'; '.join(beside)})"
