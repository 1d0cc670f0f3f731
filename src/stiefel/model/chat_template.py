"""Settings of a chat template, bound to the template itself, so that nobody who renders with it can forget them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..errors import UserError, nearest

Option = bool | int | float | str
WORD = re.compile(r"[A-Za-z_]\w*")
# what whoever renders a prompt decides, and what the template is given anyway
TAKEN = frozenset(inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters) | {"messages"}


def bind_options(tokenizer: Any, options: Mapping[str, Option], model: str) -> None:
    """Let the tokenizer's chat template see these settings, as if each rendering handed them to apply_chat_template.

    TRL's rollouts and rows, evaluation, preflight and lm-eval all render with the tokenizer's template, so that it is
    the one place that holds for all. Raises UserError for a setting that the template does not read.
    """
    if not options:
        return
    if tokenizer.chat_template is None:
        raise UserError(
            f"chat template options are given, and the tokenizer of {model} has no chat template",
            "nothing would read them",
            "leave them out, or give a model made for chat",
        )
    template = tokenizer.get_chat_template()
    for name in options:
        require_read(name, template, model)
    # `+%}` keeps a newline with which the template may begin
    bound = "".join(f"{{% set {name} = {literal(value)} +%}}" for name, value in options.items())
    tokenizer.chat_template = bound + template


def require_read(name: str, template: str, model: str) -> None:
    """Raise for a name that the template does not read, or that is not the user's to set."""
    if name in TAKEN or not WORD.fullmatch(name):
        raise UserError(
            f"{name!r} is no option of a chat template",
            "whoever renders a prompt sets it" if name in TAKEN else "it is not a name in a template",
            "leave it out; enable_thinking=false is one that many templates read",
        )
    words = set(WORD.findall(template))
    if name not in words:
        raise UserError(
            f"the chat template of {model} does not read {name!r}",
            "a setting that nothing reads would be lost in silence",
            nearest(name, words - TAKEN) if len(words) < 20 else f"leave {name} out, or check its spelling",
        )


def literal(value: Option) -> str:
    """A value as a template's source writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
