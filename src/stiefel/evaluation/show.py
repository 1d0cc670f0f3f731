"""The prompts of a task as a model gets them, with nothing loaded but its tokenizer."""

from __future__ import annotations

from typing import Any

from ..errors import UserError
from ..tasks import stops, tried
from .prepared import rows_of, task_of
from .sample import ask
from .settings import Wanted, check_numbers


def first_prompts(wanted: Wanted, count: int) -> list[dict[str, Any]]:
    """The first prompts: the text that the tokens stand for, special ones included, the tokens, and the answer."""
    if count < 1:
        raise UserError(f"--show {count}", "it is below 1", "give --show 1")
    check_numbers(wanted)
    task = task_of(wanted)
    rows = rows_of(task, count)
    tried(task, rows[0])
    tokenizer = wanted.subject.tokenizer()
    return [
        {
            "prompt": tokenizer.decode(question.tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False),
            "tokens": question.tokens,
            "answer": question.row.answer,
            "stop": list(stops(task, tokenizer)),
        }
        for question in ask(task, rows, tokenizer)
    ]
