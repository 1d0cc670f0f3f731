"""Regenerate what docs/tasks.md says of every task: `python -m scripts.tasks`."""

from __future__ import annotations

from pathlib import Path

from scripts.readme import replace_block
from stiefel.rewards import GRADERS, described
from stiefel.rewards.sandbox.inside.shapes import EVALUATED, PARSED
from stiefel.tasks import BENCHMARKS, MADE_HERE, Benchmark, Sampling
from stiefel.tasks.benchmark import Names

PAGE = Path(__file__).parents[1] / "docs" / "tasks.md"


def as_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Markdown."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def grader_name(benchmark: Benchmark) -> str:
    """The grader's name, as `task.reward` takes it."""
    return next((f"`{name}`" for name, grader in GRADERS.items() if grader is benchmark.grader), "lm-eval's checks")


def sampled(sampling: Sampling) -> str:
    """How completions are drawn, in a few words."""
    tokens = f"{sampling.max_tokens:,} tokens"
    if sampling.temperature == 0:
        return f"greedy, {tokens}"
    return f"{sampling.samples} × T {sampling.temperature:g}, top-p {sampling.top_p:g}, {tokens}"


def asked() -> str:
    """What every task asks, who grades it and how it is sampled."""
    made = [(f"`{task.name}`", task.description, "exact, after `>`", "the recipe's", "made here") for task in MADE_HERE]
    read = [
        (f"`{task.name}`", task.description, grader_name(task), sampled(task.sampling), task.source)
        for task in BENCHMARKS
    ]
    return as_table(("task", "what it asks", "grader", "sampled", "source"), made + read)


def split(name: str, rows: int) -> str:
    """A split and its size."""
    return f"{name}, {rows:,}" if name else "–"


def either(names: Names) -> str:
    """A column's names."""
    return " or ".join(f"`{name}`" for name in names)


def places() -> str:
    """Where every task's rows are."""
    rows = []
    for task in BENCHMARKS:
        columns = "; ".join(dict.fromkeys(either(names) for names in task.columns.values()))
        if task.hub is None:
            rows.append((f"`{task.name}`", "yours: `--data`", "–", "–", columns, "–"))
            continue
        configs = ", ".join(task.hub.configs)
        place = f"`{task.hub.id}`" + (f" ({configs})" if configs else "")
        test, train = split(task.hub.test, task.hub.test_rows), split(task.hub.train, task.hub.train_rows)
        rows.append((f"`{task.name}`", place, test, train, columns, task.hub.seen))
    heads = (
        "task",
        "hub id (configuration)",
        "measured on: split, rows",
        "trained on: split, rows",
        "columns",
        "read from",
    )
    return as_table(heads, rows)


def templates() -> str:
    """Every template once, with the tasks that ask with it."""
    users: dict[str, list[str]] = {}
    for task in BENCHMARKS:
        users.setdefault(task.template, []).append(f"`{task.name}`")
    blocks = []
    for template, names in users.items():
        fence = "~~~~" if "```" in template else "```"
        blocks.append(f"{', '.join(names)}\n\n{fence}text\n{template}\n{fence}\n")
    return "\n".join(blocks)


def gym() -> str:
    """The names of reasoning-gym's tasks, with those that have something to be said of."""
    null = ("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour")
    marks = dict.fromkeys((*EVALUATED, *PARSED), "ᵉ") | dict.fromkeys(null, "⁰")
    names = [f"`{name}`{marks.get(name, '')}" for name in described("gcd", {})["names"]]
    return f"{', '.join(names)}\n\nᵉ: the scorer evaluates the text. ⁰: rows with an answer of null.\n"


def page() -> str:
    """docs/tasks.md as it should be."""
    text = replace_block(PAGE.read_text(), "asked", asked())
    text = replace_block(text, "places", places())
    text = replace_block(text, "gym", gym())
    return replace_block(text, "templates", templates())


def write() -> None:
    """docs/tasks.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
