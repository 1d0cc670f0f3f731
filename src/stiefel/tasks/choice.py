"""Multiple choice: medqa, mmlu; and `choice`, a grader for a user's own data."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from ..rewards import GRADERS, UnreadableGold, choice_texts, gold_letter
from .benchmark import BadRow, Benchmark, Fields, Hub, as_text, fill
from .task import Row, Sampling

GREEDY_2048 = Sampling(samples=1, temperature=0.0, top_p=1.0, max_tokens=2048)
OURS = "prompt and sampling: ours, greedy (the GeoRA notes give none)"
LETTERED = (
    "Answer the following multiple choice question. Think step by step, and write the last line of your response as "
    "'Answer: X', where X is the letter of one choice.\n\n{question}\n\n{choices}"
)


def choice_row(template: str, fields: Fields) -> Row:
    """The choices by letter, and the right one's letter."""
    texts = texts_of(fields["choices"])
    letter = letter_of(fields["answer"], texts)
    prompt = fill(template, question=as_text(fields["question"]), choices=lettered(texts))
    return Row(prompt, letter, f"Answer: {letter}", {"choices": texts})


def as_it_is(answer: Any) -> Any:
    """A gold that may be an index: as a text, it might be taken for a choice's text."""
    return answer


def texts_of(choices: Any) -> list[str]:
    """The texts of two to 26 choices, from a list or a table by letter."""
    texts = choice_texts(choices) if isinstance(choices, Mapping | list | tuple) else []
    if not 2 <= len(texts) <= len(string.ascii_uppercase):
        raise BadRow(f"its choices are no list of two to 26: {choices!r}"[:300])
    return texts


def letter_of(answer: Any, texts: list[str]) -> str:
    """The letter of a gold that is a letter, an index from 0, or a choice's text."""
    try:
        return gold_letter(answer, texts)
    except UnreadableGold as reason:
        raise BadRow(f"the answer {reason}") from reason


def lettered(texts: list[str]) -> str:
    """A) … B) …, a line each."""
    return "\n".join(f"{letter}) {text}" for letter, text in zip(string.ascii_uppercase, texts, strict=False))


CHOICE_COLUMNS = {"question": ("question", "prompt"), "choices": ("choices", "options")}

medqa = Benchmark(
    name="medqa",
    description="questions of the US medical licensing examination, four choices",
    grader=GRADERS["choice"],
    hub=Hub("GBaker/MedQA-USMLE-4-options", "test", "train", 1273, 10_178, seen="public loaders"),
    template=LETTERED,
    columns={"question": ("question",), "choices": ("options", "choices"), "answer": ("answer_idx", "answer")},
    make=choice_row,
    gold=as_it_is,
    sampling=GREEDY_2048,
    source=f"Jin et al., arXiv:2009.13081; {OURS}",
)

mmlu = Benchmark(
    name="mmlu",
    description="57 subjects, four choices",
    grader=GRADERS["choice"],
    hub=Hub("cais/mmlu", "test", "auxiliary_train", 14_042, 99_842, ("all",), seen="cards of its copies"),
    template=LETTERED,
    columns={**CHOICE_COLUMNS, "answer": ("answer",)},
    make=choice_row,
    gold=as_it_is,
    sampling=GREEDY_2048,
    source=f"Hendrycks et al., arXiv:2009.03300; {OURS}",
    grouped=True,
)

own_choice = Benchmark(
    name="choice",
    description="multiple choice of your own",
    grader=GRADERS["choice"],
    hub=None,
    template=LETTERED,
    columns={**CHOICE_COLUMNS, "answer": ("answer", "answer_idx")},
    make=choice_row,
    gold=as_it_is,
    sampling=GREEDY_2048,
    source="question and choices are yours; sampling: as MMLU",
)
