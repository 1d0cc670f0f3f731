"""Mathematics to train on: dapo-math-17k, deepmath-103k."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..rewards import GRADERS
from .benchmark import BadRow, Benchmark, Fields, Hub, as_text
from .math import answer_line_row, boxed_row
from .task import Row
from .templates import ANSWER_LINE, BOXED, OURS, THIRTY_TWO_16384

FIRST, LAST = "Solve the following math problem step by step.", "Remember to put your answer on its own line"


def text_of(prompt: Any) -> str:
    """A text, or the hub's one user's message."""
    if isinstance(prompt, list):
        if len(prompt) != 1 or not isinstance(prompt[0], dict) or "content" not in prompt[0]:
            raise BadRow("the prompt is neither a text nor one user's message")
        prompt = prompt[0]["content"]
    return as_text(prompt)


def question_in(text: str) -> str:
    """The question without DAPO's paragraphs before and after it."""
    paragraphs = text.split("\n\n")
    start, end = int(paragraphs[0].startswith(FIRST)), len(paragraphs) - int(paragraphs[-1].startswith(LAST))
    return "\n\n".join(paragraphs[start:end]).strip()


def dapo_row(template: str, fields: Fields) -> Row:
    """The prompt as it stands in the data where it is in DAPO's words, and a bare question put into them."""
    text = text_of(fields["question"])
    return answer_line_row(template if question_in(text) == text else "{question}", {**fields, "question": text})


def dapo_boxed_row(template: str, fields: Fields) -> Row:
    """The question alone, the answer asked for in a box."""
    return boxed_row(template, {**fields, "question": question_in(text_of(fields["question"]))})


dapo_math_17k = Benchmark(
    name="dapo-math-17k",
    description="17,398 questions with integer answers to train on, as DAPO asks them",
    grader=GRADERS["dapo"],
    hub=Hub("BytedTsinghua-SIA/DAPO-Math-17k", "", "train", 0, 17_398, seen="cards of its copies: 1,791,700 rows"),
    template=ANSWER_LINE,
    columns={"question": ("prompt", "question"), "answer": ("reward_model.ground_truth", "solution", "answer")},
    make=dapo_row,
    sampling=THIRTY_TWO_16384,
    source=f"Yu et al., arXiv:2503.14476; {OURS}",
    distinct="question",
)
dapo_math_17k_boxed = replace(
    dapo_math_17k,
    name="dapo-math-17k-boxed",
    description="the same, answers in a box, by mathematical equality",
    grader=GRADERS["math"],
    template=BOXED,
    make=dapo_boxed_row,
)

deepmath_103k = Benchmark(
    name="deepmath-103k",
    description="hard problems with verifiable answers to train on",
    grader=GRADERS["math"],
    hub=Hub("zwhe99/DeepMath-103K", "", "train", 0, 103_022, seen="the card of a copy; 103,110 before May 2025"),
    template=BOXED,
    columns={"question": ("question", "problem"), "answer": ("final_answer", "answer")},
    make=boxed_row,
    sampling=THIRTY_TWO_16384,
    source=f"He et al., arXiv:2504.11456; {OURS}",
)
