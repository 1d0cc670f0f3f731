"""A benchmark's rows: opened when first asked for, without duplicates, each checked when it is drawn."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from datasets import Dataset

from ..errors import UserError
from .benchmark import BadRow, Benchmark
from .columns import fields_of, value_of
from .opened import Opened, open_table
from .passes import passes
from .task import Row, Split, Task

MANY = 100_000  # rows whose duplicates take long enough to say so


class Reader:
    """The rows of one benchmark from one place; arguments as of `as_task`."""

    def __init__(self, benchmark: Benchmark, data: str, revision: str, split: str, first: int) -> None:
        self.benchmark, self.data, self.revision, self.split, self.first = benchmark, data, revision, split, first
        self.opened: dict[Split, tuple[Opened, list[int]]] = {}
        self.made: dict[tuple[Split, int], Row] = {}

    def open(self, split: Split) -> tuple[Opened, list[int]]:
        """The table of a split and the numbers of the rows that count, read once."""
        if split not in self.opened:
            opened = open_table(self.benchmark, self.data, self.revision, self.split, split)
            if not len(opened.table):
                raise UserError(f"{opened.place} is empty", "it has 0 rows", "give data with rows")
            self.opened[split] = opened, self.kept(opened)
        return self.opened[split]

    def rows(self, split: Split, count: int, seed: int) -> list[Row]:
        """The first `count` test rows, or training rows pass after pass in an order of the seed's."""
        _, numbers = self.open(split)
        if split == "train":
            numbers = numbers[: self.first or None]
            return [self.row(split, numbers[place]) for place in islice(passes(len(numbers), seed), count)]
        if self.benchmark.grouped:
            numbers = random.Random(self.benchmark.name).sample(numbers, len(numbers))
        return [self.row(split, number) for number in numbers[:count]]

    def origin(self, split: Split = "test") -> dict[str, Any]:
        """Where the split's rows came from, and how many count."""
        opened, numbers = self.open(split)
        return {**opened.origin, "rows": len(numbers)}

    def row(self, split: Split, number: int) -> Row:
        """One row, checked; raises UserError that names it."""
        if (split, number) not in self.made:
            opened, _ = self.open(split)
            place = f"row {number + 1} of {opened.place}"
            self.made[split, number] = made_row(self.benchmark, opened.table[number], place)
        return self.made[split, number]

    def kept(self, opened: Opened) -> list[int]:
        """The numbers of the rows that are this benchmark's, the first of equal ones; what is left out is stated."""
        benchmark, table = self.benchmark, opened.table
        numbers = list(range(len(table)))
        if benchmark.keep is not None:
            numbers = [number for number in numbers if benchmark.keep(table[number])]
            opened.origin["of_other_tasks"] = len(table) - len(numbers)
            if not numbers:
                raise UserError(
                    f"{opened.place} has no row of {benchmark.name}",
                    f"its {len(table)} rows are of other years",
                    "give a file of that year, or one without the column url",
                )
        if benchmark.distinct:
            numbers = self.without_duplicates(opened, numbers)
        return numbers

    def without_duplicates(self, opened: Opened, numbers: list[int]) -> list[int]:
        """The first row of every question; says so where it takes a while."""
        name = self.benchmark.name
        if len(numbers) > MANY:
            print(f"{name}: reading {len(numbers):,} rows to remove duplicates", file=sys.stderr, flush=True)
        first: dict[bytes, int] = {}
        answers: dict[bytes, Any] = {}
        contradicted = set()
        for number, (question, answer) in zip(numbers, self.pairs(opened, numbers), strict=True):
            key = hashlib.blake2b(repr(question).encode(), digest_size=16).digest()
            if first.setdefault(key, number) == number:
                answers[key] = answer
            elif answers[key] != answer:
                contradicted.add(key)
        removed = len(numbers) - len(first)
        opened.origin["rows_before"] = len(numbers)
        opened.origin["duplicates_removed"] = removed
        opened.origin["questions_with_two_answers"] = len(contradicted)
        if removed:
            line = f"{name}: {len(first):,} different questions of {len(numbers):,} rows"
            print(f"{line}, {removed:,} duplicates left out", file=sys.stderr, flush=True)
        return list(first.values())

    def pairs(self, opened: Opened, numbers: list[int]) -> Iterator[tuple[Any, Any]]:
        """(question, answer) of each row, read in large pieces where the table is on disk."""
        columns, table = self.benchmark.columns, opened.table
        question, gold = columns[self.benchmark.distinct], columns["answer"]
        if not isinstance(table, Dataset):
            for number in numbers:
                record = table[number]
                yield value_of(record, question), value_of(record, gold)
            return
        tops = {name.partition(".")[0] for name in (*question, *gold)} & set(table.column_names)
        assert len(numbers) == len(table), "a benchmark leaves out duplicates or other years' rows, not both"
        for piece in table.select_columns(sorted(tops)).iter(batch_size=10_000):
            for values in zip(*piece.values(), strict=True):
                record = dict(zip(piece, values, strict=True))
                yield value_of(record, question), value_of(record, gold)


def made_row(benchmark: Benchmark, record: Any, place: str) -> Row:
    """A record as the benchmark's row; raises UserError that says which row and why."""
    fields = dict(fields_of(benchmark, record, place))
    try:
        if "answer" in fields:
            fields["answer"] = benchmark.gold(fields["answer"])
        return benchmark.make(benchmark.template, fields)
    except BadRow as reason:
        raise UserError(
            f"{place} is no question of {benchmark.name}", str(reason), "mend that row, or leave it out"
        ) from reason


def as_task(benchmark: Benchmark, data: str = "", revision: str = "", split: str = "", first: int = 0) -> Task:
    """The benchmark, its rows from its own hub id or from `data`; `first`: train on the first rows, 0 takes all."""
    reader = Reader(benchmark, data, revision, split, first)
    return Task(
        name=benchmark.name,
        description=benchmark.description,
        grader=benchmark.grader,
        rows=reader.rows,
        sampling=benchmark.sampling,
        stop=benchmark.stop,
        chat=benchmark.chat,
        origin=reader.origin,
    )
