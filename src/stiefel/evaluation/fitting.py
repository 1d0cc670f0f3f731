"""How long completions may be: as a task says, or as many tokens as a model's context leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import UserError
from ..model import beyond_context, context_length
from ..tasks import AS_MANY_AS_FIT, Sampling


def fitted(
    sampling: Sampling, model: str, directory: Path, longest: int, *, named: str, shorter: str = "", of: str = ""
) -> Sampling:
    """The sampling with its longest completion in tokens, which fits the model beside the longest prompt.

    Raises UserError where it does not fit, and where the model's settings do not say what would. `named` sets the
    number, for the errors; `shorter` is the way out where a number that was given is too large; `of` says whose prompt
    is the longest.
    """
    limit = context_length(directory)
    room = limit - longest
    if sampling.max_tokens == AS_MANY_AS_FIT:
        if not limit:
            raise UserError(
                f"how long a completion may be is not known for {model}",
                "the task takes as many tokens as fit, and the model's config.json names no context, or a scaled one",
                f"set it: {named}",
            )
        sampling = replace(sampling, max_tokens=max(room, 1))
    if limit and sampling.max_tokens > room:
        instead = shorter or f"{named} {room}"
        if room < 1:
            instead = "give a model with a longer context, or shorter questions"
        raise beyond_context(model, limit, longest, sampling.max_tokens, instead, of)
    return sampling
