"""A preflight on a terminal: the methods, the matrices by kind, and what the numbers say."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .figures import MethodSteps, Preflight, ratio

COLUMNS: tuple[tuple[str, Callable[[MethodSteps], float | int | None]], ...] = (
    ("trained", lambda one: one.trainable),
    ("s", lambda one: one.scaling),
    ("descent/full", lambda one: one.ratio),
    ("‖ΔW₁‖_F", lambda one: one.step),
    ("step/full", lambda one: one.step_ratio),
    ("‖∂θ‖", lambda one: one.gradient_norm),
    ("KL at lr", lambda one: one.kl_at_lr),
)


def method_rows(found: Preflight) -> list[list[str]]:
    """The heading, then a row a method."""
    heading = ["method", *(name for name, _ in COLUMNS), f"lr for KL {found.kl_budget:g}", "KL there"]
    return [
        heading,
        *([one.method, *(cell(figure(one)) for _, figure in COLUMNS), *budget_cells(one)] for one in found.methods),
    ]


def budget_cells(one: MethodSteps) -> list[str]:
    """The rate and the KL measured there; marked where that is not the budget."""
    mark = "" if one.budget.reached else " (not reached)"
    return [cell(one.budget.rate), f"{one.budget.kl:.3g}{mark}"]


def kind_rows(found: Preflight) -> list[list[str]]:
    """‖G₀‖_F by kind of matrix, and each method's plain descent over full fine-tuning's."""
    norms = found.gradient_norms()
    kinds = [(one, one.by_kind()) for one in found.methods if one.matrices]
    return [
        ["", *short(list(norms))],
        ["full: ‖G₀‖_F", *(cell(norm) for norm in norms.values())],
        *([f"{one.method}: descent/full", *(cell(ratio(own.get(kind, ()))) for kind in norms)] for one, own in kinds),
    ]


def short(kinds: list[str]) -> list[str]:
    """The last words of the kinds, where these tell them apart."""
    words = [kind.rpartition(".")[2] for kind in kinds]
    return words if len(set(words)) == len(words) else kinds


def cell(value: float | int | None) -> str:
    """Three digits; a dash where there is no figure."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def title(found: Preflight) -> str:
    """What was measured, in a line."""
    rollout = found.rollout
    return (
        f"{found.model}, {found.task}, {found.algorithm}, lr {found.lr:g}, seed {found.seed}\n"
        f"{rollout['completions']} completions of the base, {rollout['tokens']} tokens, mean reward "
        f"{rollout['reward']:.3g}, {100 * rollout['truncated']:.0f}% truncated, "
        f"{rollout['groups_with_a_difference']} of {rollout['prompts']} groups with a "
        f"difference; the gradient is of the first {rollout['completions_of_the_first_update']}"
    )


def print_preflight(found: Preflight) -> None:
    """Print both tables and the reading to stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    console.print(title(found), markup=False)
    for heading, *body in (method_rows(found), kind_rows(found)):
        grid = Table(box=None, pad_edge=False, collapse_padding=True)
        for number, name in enumerate(heading):
            grid.add_column(name, justify="right" if number else "left", no_wrap=True)
        for row in body:
            grid.add_row(*row)
        console.print(grid)
        console.print()
    for line in (*found.notes, *found.reading):
        console.print(line, markup=False)
