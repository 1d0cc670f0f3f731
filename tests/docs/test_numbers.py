"""docs/numbers.md: every block of a page has its row, and a row's commands, results and times are there."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections import Counter

import pytest

from benchmarks.__main__ import RUN, WITH_DATA
from scripts.measured import BENCH, Measured, Said, words
from scripts.numbers import PAGE, QUOTED, page
from stiefel.cli import cli
from tests.docs.pages import PAGES, ROOT, name_of

MEASURED = [*dict.fromkeys(measured for one in QUOTED for measured in one.of)]
COMMANDS = sorted({command for measured in MEASURED for command in measured.commands})
PROGRAMS = [command for command in COMMANDS if "python -m " in command]
PARSE = """
import argparse, importlib, json, sys

class Parsed(Exception):
    pass

def parsed(parser, *given):
    raise Parsed(parse_args(parser, *given))

parse_args, argparse.ArgumentParser.parse_args = argparse.ArgumentParser.parse_args, parsed
unknown = []
for name, *arguments in json.loads(sys.argv[1]):
    module, sys.argv = importlib.import_module(name), [name, *arguments]
    try:
        module.main()
    except Parsed as done:
        (found,) = done.args
        chosen = found.parts.split(",") if "--parts" in arguments else []
        unknown += [f"{name} --parts {part}" for part in chosen if part not in module.PARTS]
print(json.dumps(unknown))
"""


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_block_that_a_script_writes_has_one_row_and_no_row_is_left_over() -> None:
    there = Counter()
    for path in PAGES:
        text = path.read_text()
        blocks = re.findall(r"^<!-- (\w+) -->\n.*?^<!-- /\1 -->$", text, flags=re.MULTILINE | re.DOTALL)
        there.update((name_of(path), block) for block in blocks)
        if "<!-- written by" in text:
            there[name_of(path) if path.parent.name == "docs" else "docs/methods/*.md"] = 1
    rows = Counter((one.page, block) for one in QUOTED for block in one.blocks)
    rows.update(one.page for one in QUOTED if not one.blocks)
    assert {"README.md"} < {block[0] for block in there if isinstance(block, tuple)}
    assert rows == there


@pytest.mark.parametrize("one", QUOTED, ids=lambda one: one.where)
def test_its_script_writes_it(one) -> None:
    source = (ROOT / "scripts" / f"{one.script}.py").read_text()
    assert [block for block in one.blocks if f'"{block}"' not in source] == []
    assert one.page.rpartition("/")[2].removesuffix("*.md") in source


def test_every_result_is_there() -> None:
    kept = {path for measured in MEASURED for path in measured.kept}
    assert [path for path in sorted(kept) if not (ROOT / path).is_file()] == []


def test_every_command_parses() -> None:
    """Each program is asked in one process, by its own parser, and stops there."""
    asked = []
    for command in PROGRAMS:
        name, *arguments = shlex.split(command.partition("python -m ")[2])
        assert importlib.util.find_spec(name), command
        if name.startswith("benchmarks."):
            asked.append([name, *arguments])
    done = subprocess.run(
        [sys.executable, "-c", PARSE, json.dumps(asked)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_what_is_typed_besides_is_a_verb_or_a_target() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    needs = [measured.needs for measured in MEASURED if measured.needs]
    for command in [*(command for command in COMMANDS if command not in PROGRAMS), *needs]:
        program, *arguments = shlex.split(command)
        if program == "make":
            assert set(arguments) <= set(targets), command
        else:
            assert program == "stiefel"
            context = cli.commands[arguments[0]].make_context(arguments[0], arguments[1:], **cli.context_settings)
            assert context.params["grid"].is_file()


@pytest.mark.parametrize("said", [BENCH, *(one.takes for one in MEASURED if isinstance(one.takes, Said))])
def test_a_time_stands_where_it_is_said_to(said: Said) -> None:
    text = re.sub(r"[\s#]+", " ", (ROOT / said.where).read_text())
    assert said.words.casefold() in text.casefold()


def test_what_make_bench_leaves_out_has_a_reason_and_what_it_runs_none() -> None:
    assert [one.commands for one in MEASURED if one.in_bench == bool(one.apart)] == []
    quoted = {words(command) for one in MEASURED for command in one.commands}
    unquoted = {each for each in RUN if each not in quoted}
    assert unquoted == {("benchmarks.reproduce",)}, "the page says of this one that no page quotes it"
    assert {each[:1] for each in quoted} >= set(WITH_DATA)


def test_a_part_of_a_program_that_make_bench_runs_is_run_by_it() -> None:
    assert Measured(("python -m benchmarks.init --parts solvers",)).in_bench
    assert not Measured(("python -m benchmarks.engine",)).in_bench
    assert not Measured(("python -m benchmarks.train --pairs 90",)).in_bench
