"""What a chat template has already opened when the model begins to write."""

from __future__ import annotations

OPENED = "<think>"


def opened_thinking(rendered_prompt: str) -> str:
    r"""The text that a completion is graded behind: `<think>` where the prompt ends in a block that it opened, else "".

    Templates of reasoning models (DeepSeek-R1-Distill's, for one) end the generation prompt with `<think>\n`, so
    the completion holds only the block's end, and one that is cut off before it holds neither mark. Graded as it is,
    its unfinished thought would pass for an answer. Only the prompt's last mark counts, and only where nothing but
    space follows it: `<think>` in a question is text, and `<think>\n\n</think>` is a block that is closed again.
    """
    return f"{OPENED}\n" if rendered_prompt.rstrip().endswith(OPENED) else ""
