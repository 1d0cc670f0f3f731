"""Lines of `grade` that hold reasoning-gym's own columns: question, answer and metadata beside the completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UserError
from ..rewards import GYM_PREFIX, gym_columns
from .table import Record

COLUMNS = ("question", "answer", "metadata")


def given_entry(name: str, options: Mapping[str, Any], record: Record, place: str) -> dict[str, Any]:
    """What the grader is told of a line; raises UserError where it is no row of the task."""
    for column in COLUMNS:
        if column not in record:
            raise UserError(
                f"{place} has no column {column!r}",
                f"{name} is scored by the package's own question, answer and metadata; the columns there are "
                + (", ".join(map(str, record)) or "none"),
                '{"completion": "...", "question": "...", "answer": "...", "metadata": {...}}; or the rows in --data',
            )
    question, answer, metadata = (record[column] for column in COLUMNS)
    if not isinstance(question, str) or not isinstance(answer, str | None) or not isinstance(metadata, Mapping):
        raise UserError(
            f"{place} is no row of reasoning-gym's",
            "its question is a text, its answer a text or null, its metadata a table",
            "give the rows as the package makes them",
        )
    short = name.removeprefix(GYM_PREFIX)
    made_for = metadata.get("source_dataset", short)
    if made_for != short:
        raise UserError(
            f"{place} is a row of {made_for}, and not of {short}",
            "another scorer than its own would judge it",
            f"--task {GYM_PREFIX}{made_for}",
        )
    entry = {"question": question, "answer": answer, "metadata": dict(metadata)}
    return gym_columns(short, options, entry, given=True)
