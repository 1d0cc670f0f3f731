"""The methods as records and as a table, for the command line and the README."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .method import Method
from .registry import METHODS


def as_records() -> list[dict[str, Any]]:
    """One object a method: name, kind, definition, paper, claims, needs, options."""
    return [
        {
            "name": method.name,
            "kind": method.kind,
            "definition": method.definition,
            "paper": reference_of(method),
            "claims": asdict(method.claims),
            "needs": method.needs,
            "options": {
                name: {**option.domain(), "default": option.default, "meaning": option.meaning}
                for name, option in method.options.items()
            },
        }
        for method in METHODS
    ]


def as_markdown() -> str:
    """The README's table."""
    lines = ["| method | definition | form | paper |", "|---|---|---|---|"]
    for method in METHODS:
        assert method.paper is not None  # of every method in the tuple
        link = f"[{method.paper.reference}](https://arxiv.org/abs/{method.paper.arxiv})"
        definition = method.definition.replace("|", chr(92) + "|")
        name = f"[`{method.name}`](docs/methods/{method.name}.md)"
        lines.append(f"| {name} | {definition} | {form_of(method)} | {link} |")
    return "\n".join(lines) + "\n"


def reference_of(method: Method) -> str:
    """The paper in a word; empty where a method names none."""
    return method.paper.reference if method.paper is not None else ""


def form_of(method: Method) -> str:
    """What a method makes of the model, and whether it composes with others."""
    match method.kind:
        case "start":
            return "start, anchored: W + s(BA − B₀A₀)" if method.anchored else "start: W + sBA"
        case "peft":
            return "PEFT's own, alone"
        case "weights":
            return "the model's own weights, alone"
        case kind:
            return f"{kind}, after a start and `+`"


def print_table() -> None:
    """The same, for a terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("method", "definition", "form", "paper"):
        table.add_column(column)
    for method in METHODS:
        table.add_row(method.name, method.definition, form_of(method), reference_of(method))
    Console().print(table)
