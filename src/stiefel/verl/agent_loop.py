"""Our turn in verl's generation: the prompt's own tokens, and an end wherever a turn ends."""

from __future__ import annotations

from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop


@register("stiefel")
class PromptLoop(SingleTurnAgentLoop):  # type: ignore[misc, unused-ignore]
    """verl's single turn with the tokens that our data set rendered, text or chat, and its ends as stop tokens.

    verl renders every prompt by a chat template, which a base model may not have, and stops at the ends of the model's
    generation config alone, which a chat's turn may not end with.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "hf_model_type": None})  # one turn has no boundaries between messages
        self._prompt: list[int] = []

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """One completion of one row."""
        about = kwargs["extra_info"]
        self._prompt = list(about["prompt_ids"])
        asked = {**sampling_params, "stop_token_ids": list(about["ends"])}
        if about["stops"]:
            asked["stop"] = list(about["stops"])
        return await super().run(asked, priority, **kwargs)

    async def ct_build_initial_tokens(self, *args: Any, **kwargs: Any) -> list[int]:
        """The prompt as `stiefel train` would give it to the model."""
        return self._prompt
