"""samples.jsonl while it grows: whole batches, in the order of the plan; what a kill left of one is cut off."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ..artifacts import append_text
from ..errors import UserError
from .plan import Job
from .sample import Sample

SAMPLE = TypeAdapter(Sample)


def append(path: Path, samples: Sequence[Sample]) -> None:
    """Add a batch in one write, and see it to the disk."""
    append_text(path, "".join(json.dumps(asdict(sample)) + "\n" for sample in samples), synced=True)


def read_samples(path: Path) -> list[Sample]:
    """Every whole line; raises UserError for one that is no sample."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    samples = []
    for number, line in enumerate(lines, start=1):
        try:
            samples.append(SAMPLE.validate_json(line))
        except ValidationError as error:
            raise foreign(path, number, error.errors()[0]["msg"]) from error
    return samples


def whole_batches(path: Path, batches: Sequence[Sequence[Job]]) -> list[Sample]:
    """The samples of the batches that are there whole; the file is cut back to them.

    Raises UserError, changing nothing, for a line that is not the plan's.
    """
    samples = read_samples(path)
    planned = [job for jobs in batches for job in jobs]
    for number, sample in enumerate(samples, start=1):
        if number > len(planned) or (sample.question, sample.sample) != planned[number - 1]:
            raise foreign(path, number, f"it holds sample {sample.sample} of question {sample.question}")
    kept = 0
    for jobs in batches:
        if kept + len(jobs) > len(samples):
            break
        kept += len(jobs)
    if path.is_file():
        lines = path.read_bytes().split(b"\n")[:kept]
        os.truncate(path, sum(len(line) + 1 for line in lines))
    return samples[:kept]


def foreign(path: Path, number: int, why: str) -> UserError:
    """The error of a file that this evaluation did not write like that."""
    return UserError(
        f"{path} line {number} is not what this evaluation wrote", why, "restore the file, or --force to begin again"
    )
