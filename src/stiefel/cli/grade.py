"""Verbs of scores: grade."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..errors import UserError
from . import completing
from .options import examples, json_option, option_values, say, task_option

SHOWN = 5  # reasons in the table


@click.command(
    epilog=examples(
        "stiefel grade --task gsm8k --input completions.jsonl",
        "stiefel grade --task math --input completions.jsonl --strict --json",
    )
)
@click.option(
    "--task",
    required=True,
    help="A task, a grader (math, code, choice, dapo, exact), or module:function.",
    shell_complete=completing.tasks,
)
@click.option("--input", "path", type=click.Path(path_type=Path), required=True, help="JSON lines of completions.")
@click.option("--data", default="", help="The task's rows, file or hub id, where the lines hold completions alone.")
@click.option("--answer-column", default="", help="The column of the gold; the task's own by default, or answer.")
@task_option
@click.option("--strict", is_flag=True, help="Exit 1 if a gold cannot be read.")
@json_option
@click.pass_context
def grade(
    context: click.Context,
    task: str,
    path: Path,
    data: str,
    answer_column: str,
    options: tuple[str, ...],
    strict: bool,
    as_json: bool,
) -> None:
    """Grade given completions; no model is needed.

    A line is {"completion": "...", "answer": "..."}; for code, the task's own columns stand beside the completion.
    "truncated": true says that the completion was cut off.
    """
    from ..tasks import find_given, given_lines, golds_of, results

    tally, out = Tally(task), sys.stdout
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # whatever a grader prints is no result
        chosen = replace(find_given(task, option_values(options)), answer=answer_column)
        golds = golds_of(chosen, data)
        total = sum(1 for _ in given_lines(path, chosen, golds))  # a broken line is named before anything is graded
        if not total:
            raise UserError(f"{path} is empty", "it has 0 lines", "give a file of completions")
        with line_progress(total) as on_lines:
            for piece in results(chosen, given_lines(path, chosen, golds)):
                for result in piece:
                    tally.add(result)
                    if as_json:
                        click.echo(json.dumps(result.to_json()), file=out)
                on_lines(len(piece))
    if not as_json:
        tally.print()
    if tally.failed:
        say(f"the grader itself failed on {tally.failed} of {total} completions: nothing is known of these")
    if tally.unreadable:
        say(f"{tally.unreadable} of {total} golds cannot be read, and count for nothing")
    context.exit(int(tally.failed > 0 or (strict and tally.unreadable > 0)))


class Tally:
    """Counts, and the first reasons for what was not right."""

    def __init__(self, task: str) -> None:
        self.task, self.rows, self.right, self.wrong, self.unreadable, self.failed = task, 0, 0, 0, 0, 0
        self.sum = 0.0
        self.reasons: list[str] = []

    def add(self, result: Any) -> None:
        """One more line's result."""
        self.rows += 1
        if result.failed:
            self.failed += 1
        elif result.score is None:
            self.unreadable += 1
        else:
            self.sum += result.score
            self.right += result.score == 1.0
            self.wrong += result.score != 1.0
        if result.score != 1.0 and len(self.reasons) < SHOWN:
            read = "" if result.extracted is None else f" (read: {result.extracted[:60]!r})"
            self.reasons.append(f"row {self.rows}: {result.reason}{read}")

    def print(self) -> None:
        """The table, and the first reasons below it."""
        from rich.console import Console
        from rich.table import Table

        scored = self.right + self.wrong
        counts = {"rows": self.rows, "right": self.right, "wrong": self.wrong, "unreadable": self.unreadable}
        if self.failed:
            counts["failed"] = self.failed
        grid = Table(box=None, pad_edge=False, collapse_padding=True)
        grid.add_column("task")
        for name in (*counts, "mean"):
            grid.add_column(name, justify="right")
        grid.add_row(self.task, *map(str, counts.values()), f"{self.sum / scored:.4f}" if scored else "–")
        Console(width=None if sys.stdout.isatty() else 100).print(grid)
        for reason in self.reasons:
            click.echo(reason)


@contextmanager
def line_progress(total: int) -> Iterator[Callable[[int], None]]:
    """A callback for lines that have been graded: a bar on a terminal, else a line at every tenth."""
    from ..progress import Heartbeat, bars

    if sys.stderr.isatty():
        with bars() as progress:
            task = progress.add_task("grading", total=total, note="")
            yield lambda count: progress.advance(task, count)
        return
    done = 0
    with Heartbeat(f"0/{total} graded") as heart:

        def line(count: int) -> None:
            nonlocal done
            before, done = done, done + count
            words = f"{done}/{total} graded"
            if 10 * done // total > 10 * before // total or heart.is_due:
                heart.say(words)
            heart.at(words)

        yield line
