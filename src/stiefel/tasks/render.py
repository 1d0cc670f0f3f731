"""What the model sees of a prompt."""

from __future__ import annotations

from typing import Any

from ..errors import UserError
from .task import Messages, Task


def shown(prompt: str | Messages, tokenizer: Any, *, chat: bool) -> str | Messages:
    """A prompt in the form in which it is handed on: messages where a chat template renders it, else the text.

    chat: a text is one user's message, if the tokenizer has a chat template. Raises UserError for messages without one.
    """
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}] if chat and tokenizer.chat_template is not None else prompt
    if tokenizer.chat_template is None:
        raise UserError(
            "the prompts are chat messages, and the model's tokenizer has no chat template",
            "there is no rule by which they become text",
            "give prompts that are texts, or a model made for chat",
        )
    return prompt


def rendered(prompt: str | Messages, tokenizer: Any, *, chat: bool) -> str:
    """The text that the model continues.

    A chat template writes the special tokens itself: tokenise its text with add_special_tokens=False, or take
    `prompt_tokens`.
    """
    form = shown(prompt, tokenizer, chat=chat)
    if isinstance(form, str):
        return form
    text: str = tokenizer.apply_chat_template(form, add_generation_prompt=True, tokenize=False)
    return text


def prompt_tokens(prompt: str | Messages, tokenizer: Any, *, chat: bool) -> list[int]:
    """The tokens of `rendered`, special ones as the model was trained with."""
    form = shown(prompt, tokenizer, chat=chat)
    if isinstance(form, str):
        ids: list[int] = tokenizer(form)["input_ids"]
    else:
        ids = tokenizer.apply_chat_template(form, add_generation_prompt=True, return_dict=True)["input_ids"]
    return ids


def stops(task: Task, tokenizer: Any) -> tuple[str, ...]:
    """The texts before which a completion ends: the task's, unless its prompts are shown as a chat.

    They mark where a base model goes on with something else; in an answer to a chat they are part of it (a program in a
    fence defines several functions), and the template's own end of turn is there.
    """
    return () if task.chat and tokenizer.chat_template is not None else task.stop
