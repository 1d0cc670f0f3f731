r"""School and university mathematics: gsm8k, svamp, math500, minerva; and `math`, a grader for a user's own data."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ..rewards import GRADERS
from .benchmark import Benchmark, Fields, Hub, as_text, fill
from .task import Row
from .templates import ANSWER_LINE, BOXED, FOUR_8192, GREEDY_4096, OURS, TABLE_3

CALCULATION = re.compile(r"<<[^>]*>>")  # GSM8K's calculator annotations, which no model is to write


def boxed_row(template: str, fields: Fields) -> Row:
    """A question, its gold, and the gold in a box as what to learn."""
    gold = fields["answer"]
    return Row(fill(template, question=as_text(fields["question"])), gold, f"\\boxed{{{gold}}}")


def answer_line_row(template: str, fields: Fields) -> Row:
    """A question, its gold, and the gold on its own line as what to learn."""
    gold = fields["answer"]
    return Row(fill(template, question=as_text(fields["question"])), gold, f"Answer: {gold}")


def gold_after_mark(answer: Any) -> str:
    """GSM8K's number: what follows the last `####`, where there is one."""
    return as_text(answer).rpartition("####")[2].strip()


def gsm8k_row(template: str, fields: Fields) -> Row:
    """What to learn is the solution, the gold in a box as the prompt asks, and the gold after `####`.

    lm-eval's strict match takes the first number after `#### ` and nothing else.
    """
    row = boxed_row(template, fields)
    steps = CALCULATION.sub("", as_text(fields["solution"]).rpartition("####")[0]).strip()
    lines = [steps, row.target, f"#### {row.answer}"]
    return replace(row, target="\n".join(line for line in lines if line))


def svamp_row(template: str, fields: Fields) -> Row:
    """The story and its question, one after the other."""
    return boxed_row(template, {**fields, "question": f"{as_text(fields['body'])} {as_text(fields['question'])}"})


gsm8k = Benchmark(
    name="gsm8k",
    description="grade-school word problems, one number each",
    grader=GRADERS["gsm8k"],
    hub=Hub("openai/gsm8k", "test", "train", 1319, 7473, ("main",), seen="its card"),
    template=BOXED,
    columns={"question": ("question",), "answer": ("answer",), "solution": ("answer",)},
    make=gsm8k_row,
    gold=gold_after_mark,
    sampling=GREEDY_4096,
    source=f"Cobbe et al., arXiv:2110.14168; {TABLE_3}, flexible extraction",
)

svamp = Benchmark(
    name="svamp",
    description="one-step word problems, varied so that patterns mislead",
    grader=GRADERS["gsm8k"],
    hub=Hub("ChilleD/SVAMP", "test", "train", 300, 700, seen="public loaders"),
    template=BOXED,
    columns={"body": ("Body",), "question": ("Question",), "answer": ("Answer",)},
    make=svamp_row,
    sampling=GREEDY_4096,
    source=f"Patel et al., arXiv:2103.07191; {OURS}: as GSM8K",
)

math500 = Benchmark(
    name="math500",
    description="500 problems of MATH, by DAPO's normalised exact match",
    grader=GRADERS["dapo"],
    hub=Hub("HuggingFaceH4/MATH-500", "test", "", 500, seen="cards of its copies"),
    template=ANSWER_LINE,
    columns={"question": ("problem", "question"), "answer": ("answer",)},
    make=answer_line_row,
    sampling=FOUR_8192,
    source=f"Hendrycks et al., arXiv:2103.03874; {TABLE_3}, and its grader",
)
math500_boxed = replace(
    math500,
    name="math500-boxed",
    description="the same, answers in a box, by mathematical equality",
    grader=GRADERS["math"],
    template=BOXED,
    make=boxed_row,
    source=f"Hendrycks et al., arXiv:2103.03874; {TABLE_3}",
)

minerva = Benchmark(
    name="minerva",
    description="university problems of science and mathematics (Minerva's OCW courses)",
    grader=GRADERS["math"],
    hub=Hub("math-ai/minervamath", "test", "", 272, seen="public loaders"),
    template=BOXED,
    columns={"question": ("question", "problem"), "answer": ("answer",)},
    make=boxed_row,
    sampling=FOUR_8192,
    source=f"Lewkowycz et al., arXiv:2206.14858; {OURS}: as MATH500",
)

own_math = Benchmark(
    name="math",
    description="questions of your own with mathematical answers",
    grader=GRADERS["math"],
    hub=None,
    template="{question}",
    columns={"question": ("prompt", "question", "problem"), "answer": ("answer",)},
    make=boxed_row,
    sampling=FOUR_8192,
    source="the prompt is yours; sampling: as MATH500",
)
