"""One made row of every benchmark, as its hub lays it out and as a local file does; and a completion that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stiefel.tasks.templates import ANSWER_LINE

Record = dict[str, Any]
ANSWERED = {"boxed": "So it is \\boxed{41}.", "line": "So\nAnswer: 41"}


@dataclass(frozen=True)
class Layouts:
    """A row twice, words that its prompt shows, and completions: wrong, and right where the row has no target."""

    hub: Record
    local: Record
    shows: tuple[str, ...]
    wrong: str
    right: str = ""


def problem(question: str, answer: str, wrong: str) -> Layouts:
    """A question with a number; `question` and `answer` are the hub's names."""
    words = "How many edges has a hexagonal prism?"
    other = {"problem": "question", "question": "problem", "Problem": "question"}[question]
    return Layouts({question: words, answer: "18"}, {other: words, answer: "18", "level": 3}, (words,), ANSWERED[wrong])


AIME = {"problem": "Find the remainder.", "answer": "025", "solution": "…"}
DAPO = {"role": "user", "content": ANSWER_LINE.replace("{question}", "What is 6·7?")}
CHOICES = ["Na", "K", "2", "Li"]
BY_LETTER = dict(zip("ABCD", CHOICES, strict=True))
ADD = "def add(a, b):\n    return a + b\n"
HEAD = 'def add(a: int, b: int) -> int:\n    """The sum."""\n'
CHECK = "def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(-1, 1) == 0\n"
HUMANEVAL = Layouts(
    {"task_id": "T/0", "prompt": HEAD, "canonical_solution": "    return a + b\n", "test": CHECK, "entry_point": "add"},
    {"prompt": HEAD, "canonical_solution": "    return b + a\n", "test": CHECK, "entry_point": "add"},
    (HEAD,),
    "    return a - b\n",
)
MBPP_TESTS = ["assert add(2, 3) == 5", "assert add(0, 0) == 0", "assert add(-1, 1) == 0"]
LENGTH = [{"num_words": 3, "relation": "less than"}]

LAYOUTS: dict[str, Layouts] = {
    "gsm8k": Layouts(
        {"question": "Tom has 3 boxes of 6 eggs.", "answer": "He has 3*6 = <<3*6=18>>18 eggs.\n#### 18"},
        {"question": "Tom has 3 boxes of 6 eggs.", "answer": "18", "id": 7},
        ("Tom has 3 boxes of 6 eggs.", "\\boxed{}"),
        "#### 19",
    ),
    "svamp": Layouts(
        {
            "ID": "a",
            "Body": "Ann has 20 pens.",
            "Question": "How many are left?",
            "Answer": "18",
            "Type": "Subtraction",
        },
        {"Body": "Ann has 20 pens.", "Question": "How many are left?", "Answer": 18.0, "idx": 0},
        ("Ann has 20 pens. How many are left?",),
        ANSWERED["boxed"],
    ),
    "math500": problem("problem", "answer", "line"),
    "math500-boxed": problem("problem", "answer", "boxed"),
    "minerva": problem("question", "answer", "boxed"),
    **{
        name: Layouts(
            {**AIME, "url": f"https://example.org/wiki/20{name[4:6]}_AIME_I_Problems/Problem_1"},
            {"Problem": "Find the remainder.", "Answer": 25},
            ("Find the remainder.",),
            ANSWERED["boxed" if name.endswith("boxed") else "line"],
        )
        for year in ("22", "23", "24", "25")
        for name in (f"aime{year}", f"aime{year}-boxed")
    },
    "amc23": problem("question", "answer", "boxed"),
    "hmmt25": problem("problem", "answer", "boxed"),
    "olymmath": problem("problem", "answer", "boxed"),
    "dapo-math-17k": Layouts(
        {"prompt": [DAPO], "reward_model": {"ground_truth": "42", "style": "rule"}, "extra_info": {"index": "x"}},
        {"prompt": "What is 6·7?", "solution": "42"},
        (DAPO["content"],),
        ANSWERED["line"],
    ),
    "dapo-math-17k-boxed": Layouts(
        {"prompt": [DAPO], "reward_model": {"ground_truth": "42", "style": "rule"}},
        {"prompt": DAPO["content"], "answer": 42},
        ("What is 6·7?\n\nPlease reason",),
        ANSWERED["boxed"],
    ),
    "deepmath-103k": Layouts(
        {"question": "What is 6·7?", "final_answer": "42", "difficulty": 5.0, "topic": "t", "r1_solution_1": "long"},
        {"problem": "What is 6·7?", "answer": "42"},
        ("What is 6·7?",),
        ANSWERED["boxed"],
    ),
    "mbpp": Layouts(
        {"task_id": 11, "text": "Add two numbers.", "code": ADD.replace("\n", "\r\n"), "test_list": MBPP_TESTS}
        | {"test_setup_code": "", "challenge_test_list": []},
        {"prompt": "Add two numbers.", "code": ADD, "test_list": MBPP_TESTS, "test_imports": ["import math"]},
        ("Add two numbers.", *MBPP_TESTS),
        "```python\ndef add(a, b):\n    return a\n```",
    ),
    "humaneval": HUMANEVAL,
    "humaneval-chat": HUMANEVAL,
    "medqa": Layouts(
        {
            "question": "Which ion?",
            "answer": "2",
            "options": BY_LETTER,
            "answer_idx": "C",
        },
        {"question": "Which ion?", "choices": CHOICES, "answer": "C"},
        ("Which ion?", "A) Na\nB) K\nC) 2\nD) Li"),
        "Answer: A",
    ),
    "mmlu": Layouts(
        {"question": "Which ion?", "subject": "chemistry", "choices": CHOICES, "answer": 3},
        {"question": "Which ion?", "type": "chemistry", "choices": CHOICES, "answer": "D"},
        ("Which ion?", "A) Na\nB) K\nC) 2\nD) Li"),
        "Answer: C",
    ),
    "cola": Layouts(
        {"sentence": "They drank the pub dry.", "label": 1, "idx": 0},
        {"sentence": "They drank the pub dry.", "label": "1"},
        ("They drank the pub dry.", "A) no\nB) yes"),
        "A",
    ),
    "mrpc": Layouts(
        {"sentence1": "He left.", "sentence2": "He went away.", "label": 1, "idx": 0},
        {"sentence1": "He left.", "sentence2": "He went away.", "label": "1"},
        ("First: He left.\nSecond: He went away.", "A) no\nB) yes"),
        "A) no",
    ),
    "ifeval": Layouts(
        {"key": 1, "prompt": "Greet.", "instruction_id_list": ["length_constraints:number_words"], "kwargs": LENGTH},
        {"prompt": "Greet.", "instruction_id_list": ["length_constraints:number_words"], "kwargs": LENGTH},
        ("Greet.",),
        "one two three four",
        right="Good day",
    ),
    "math": problem("question", "answer", "boxed"),
    "code": Layouts(
        {"prompt": "Write add(a, b).", "tests": MBPP_TESTS},
        {"question": "Write add(a, b).", "tests": CHECK, "entry_point": "add"},
        ("Write add(a, b).",),
        "def add(a, b):\n    return 0\n",
        right=ADD,
    ),
    "choice": Layouts(
        {"question": "Which ion?", "choices": CHOICES, "answer": 2},
        {"prompt": "Which ion?", "options": BY_LETTER, "answer_idx": "C"},
        ("Which ion?", "C) 2"),
        "(A)",
    ),
}
