"""What docs/tasks.md says of the tasks is what their records say, and its commands and its example hold."""

from __future__ import annotations

import re
import shlex

import pytest

from scripts.tasks import PAGE, page
from stiefel.cli import cli
from stiefel.rewards import GRADERS
from stiefel.tasks import TASKS, Benchmark
from stiefel.tasks.benchmark import Hub
from stiefel.tasks.math import svamp_row
from stiefel.tasks.reader import made_row
from stiefel.tasks.templates import BOXED, GREEDY_4096

COMMANDS = re.findall(r"^\$ stiefel ([^#>\n]*)", PAGE.read_text(), flags=re.MULTILINE)


def test_the_generated_blocks_are_fresh() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_task_stands_in_it() -> None:
    assert all(f"| `{task.name}` |" in PAGE.read_text() for task in TASKS)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line: str) -> None:
    verb, *arguments = shlex.split(line)
    assert cli.commands[verb].make_context(verb, arguments, **cli.context_settings).params["task"]


def test_the_example_of_a_new_task_works() -> None:
    source = re.search(r"```python\n(word_problems = .*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert source
    names = {"Benchmark": Benchmark, "GRADERS": GRADERS, "Hub": Hub, "BOXED": BOXED}
    scope = {**names, "svamp_row": svamp_row, "GREEDY_4096": GREEDY_4096}
    exec(source[1], scope)  # our own page
    row = made_row(scope["word_problems"], {"body": "Ann has 3 pens.", "question": "How many?", "answer": "3"}, "row 1")
    assert row.text.startswith("Ann has 3 pens. How many?")
