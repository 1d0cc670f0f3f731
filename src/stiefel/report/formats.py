"""A table of text as Markdown and as LaTeX, and its figures as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from .cells import Cells

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "→": r"$\to$", "±": r"$\pm$", "—": "---", "–": "--", "−": "$-$", "×": r"$\times$", "‖": r"$\|$",
    "|": r"\textbar{}",
    "[": "{[}", "]": "{]}",  # a bracket at a row's beginning would be an option of the line break before it
}  # fmt: skip
CHARACTERS = str.maketrans(LATEX)


def as_markdown(table: Cells, notes: Sequence[str] = ()) -> str:
    """A GitHub table; figures are aligned on the right, notes follow as a list."""
    rule = tuple("---" if column < table.names else "---:" for column in range(len(table.header)))
    rows = (table.header, rule, *table.body)
    lines = ["| " + " | ".join(in_markdown(cell) for cell in row) + " |\n" for row in rows]
    return "".join([*lines, *(["\n"] if notes else []), *(f"- {in_markdown(note)}\n" for note in notes)])


def in_markdown(text: str) -> str:
    """A cell on one line, with no bar that would end it."""
    return " ".join(text.split()).replace("|", "\\|")


def as_latex(table: Cells, notes: Sequence[str] = ()) -> str:
    """A tabular with booktabs' rules, to be put into a table; notes follow in small print."""
    columns = "l" * table.names + "r" * (len(table.header) - table.names)
    header, *body = [" & ".join(map(in_latex, row)) + r" \\" for row in (table.header, *table.body)]
    lines = [r"% \usepackage{booktabs}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", header, r"\midrule", *body]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip{{\footnotesize {in_latex(note)}\par}}" for note in notes]
    return "\n".join(lines) + "\n"


def in_latex(text: str) -> str:
    """A text without LaTeX's own signs."""
    return " ".join(text.split()).translate(CHARACTERS)


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """A row a record, `tasks.NAME.after.mean` for what is nested; what was not measured is empty."""
    rows = [flat(record) for record in records]
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def flat(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The leaves of nested objects by their paths; a list is one cell."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{key}.")
        elif isinstance(value, list | tuple):
            found[f"{before}{key}"] = " ".join(map(str, value))
        else:
            found[f"{before}{key}"] = value
    return found
