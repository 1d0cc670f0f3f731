"""How long a prompt may be: as the recipe says, or as many tokens as the model's context leaves beside a completion."""

from __future__ import annotations

from ..errors import UserError
from ..model import context_length, resolve_model
from ..recipe import Recipe


class PromptRoom:
    """The room of a recipe's prompts; raises UserError for a `truncate` that no length would set off."""

    def __init__(self, recipe: Recipe) -> None:
        rollout = recipe.rollout
        self._given = rollout.max_prompt_tokens
        self._truncates = rollout.truncate != "error"
        self._context = context_length(resolve_model(recipe.model.path, recipe.model.revision))
        if self._truncates and not self._given and not self._context:
            raise UserError(
                f"rollout.truncate = {rollout.truncate!r} without rollout.max_prompt_tokens",
                f"the config.json of {recipe.model.path} names no context, or a scaled one, so that no prompt is too "
                "long",
                "set rollout.max_prompt_tokens, or leave rollout.truncate out",
            )

    def beside(self, completion: int) -> int | None:
        """The longest prompt, in tokens, beside a completion of so many; None where `check_context` has the last word.

        That names the longest row of those that do not fit the model, where none may be changed.
        """
        if self._given:
            return self._given
        room = self._context - completion
        return room if self._truncates and room > 0 else None

    @property
    def words(self) -> str:
        """The limit in words."""
        if self._given:
            return f"{self._given} tokens (rollout.max_prompt_tokens)"
        return f"what a context of {self._context} tokens leaves beside the completion"

    def wider(self, length: int = 0) -> str:
        """What makes room, for a prompt of so many tokens."""
        if not self._given:
            return "lower rollout.max_completion_tokens"
        higher = f"to {length} or more" if length else "higher"
        return f"set rollout.max_prompt_tokens {higher}, or to 0, which takes what the model's context leaves"
