"""A task's name or a file of rows in, prompts out, each with what its grader needs; completions in a file → grades.

Open registry.py first: it lists every task and finds the one that a recipe names; task.py says what a task is.
"""

from __future__ import annotations

from .benchmark import Benchmark
from .given import find_given, given_lines, golds_of
from .grading import results
from .gym_rows import check_held_out
from .opened import looks_like_a_path, stated
from .registry import BENCHMARKS, MADE_HERE, TASKS, check_task, find_task, measured_task, training_task
from .render import prompt_tokens, rendered, shown, stops
from .table import read_file
from .task import AS_MANY_AS_FIT, Messages, Row, Sampling, Split, Task
from .thinking import opened_thinking
from .tried import tried
from .validation import is_validation_name, validation_task, without_validation

__all__ = [
    "AS_MANY_AS_FIT",
    "BENCHMARKS",
    "MADE_HERE",
    "TASKS",
    "Benchmark",
    "Messages",
    "Row",
    "Sampling",
    "Split",
    "Task",
    "check_held_out",
    "check_task",
    "find_given",
    "find_task",
    "given_lines",
    "golds_of",
    "is_validation_name",
    "looks_like_a_path",
    "measured_task",
    "opened_thinking",
    "prompt_tokens",
    "read_file",
    "rendered",
    "results",
    "shown",
    "stated",
    "stops",
    "training_task",
    "tried",
    "validation_task",
    "without_validation",
]
