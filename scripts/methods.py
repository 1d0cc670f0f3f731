"""Regenerate docs/methods.md and docs/methods/*.md, a page a method, from its record: `python -m scripts.methods`."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from scripts.readme import replace_block
from scripts.results import RESULTS
from stiefel.contract.attaching import CONTRACT
from stiefel.contract.check import claimed
from stiefel.contract.claims import MEASURES, ORTHONORMAL
from stiefel.contract.matrices import MATRICES, RANK
from stiefel.methods import METHODS, Method
from stiefel.methods.table import form_of

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
FOLDER = PAGE.with_suffix("")
LABORATORY = RESULTS / "laboratory"
TABLES = {"nano": "without a cap", "nano_cap": "under `optim.kl_cap`"}
FORGOT, SKILLS = 0.1, ("reverse", "sort")
KINDS = {
    "start": ("Starts", "How A₀ and B₀ are set. One stands alone, or before what composes with `+`: `rlpo+dora`."),
    "structure": ("Structures", "How A and B change the weight. One stands after a start: `rlpo+dora`."),
    "optimizer": ("Optimizers", "How A and B are trained. One stands last: `random_orthonormal+lora_fa`."),
    "peft": ("PEFT's other adapters", "They stand alone."),
    "weights": ("The model's own weights", "They stand alone."),
}
TRIPLETS = {
    None: "nothing: it looks at no singular triplet",
    "top": "the r largest singular triplets of {}",
    "bottom": "the r smallest singular triplets of {} with σ > 0",
    "all": "every singular triplet of {}",
}
CLAIMED = {
    "a_orthonormal": "A₀A₀ᵀ = I",
    "b_orthonormal": "B₀ᵀB₀ = I",
    "b_zero": "B₀ = 0: an ordinary LoRA",
    "subspace": "{} span the {} singular directions of {}",
    "start": 'with `sigma = "divided"`, s·B₀A₀ is the {} part of {}',
    "seeded": "what it draws depends on the seed",
    "shape_only": "A₀ depends on nothing but its shape",
    "a_row_norm": "the root mean square of A₀'s row norms is {:.4g}",
}
MEASURED = {
    "a_orthonormal": f"‖A₀A₀ᵀ − I‖_max is at most {ORTHONORMAL:g}",
    "b_orthonormal": f"‖B₀ᵀB₀ − I‖_max is at most {ORTHONORMAL:g}",
    "b_zero": "every entry of B₀ is 0",
    "subspace": "the projector onto them against that of NumPy's float64 SVD, within what the spectrum's gap allows",
    "start": "the difference against NumPy's float64 SVD, within what float32 rounds",
    "seeded": "the same seed gives the same bits; another seed, or another layer's name, others",
    "shape_only": "another matrix of the shape, with another seed and s, gives the same A₀",
    "a_row_norm": "over 16 layers of 8 rows, within five standard deviations",
}
SILENT = {  # what is promised where a claim is not made, and how that is measured
    "b_zero": ("B₀ ≠ 0, so that it is anchored", "not every entry of B₀ is 0"),
    "seeded": ("the seed changes nothing", "the same bits again, with another seed and with another layer's name"),
    "shape_only": (
        "A₀ depends on more than its shape",
        "another matrix of the shape, another seed and s give another A₀",
    ),
}
PARTS = {"top": "leading", "bottom": "trailing", "random": "r randomly chosen"}
TESTED_ELSEWHERE = "tests/contract/test_every_method.py"

Row = dict[str, str]


def source_of(method: Method) -> list[str]:
    """The paragraphs of the docstring that the record was made of, below its definition."""
    made_by = method.factors or method.config or method.mask
    text = inspect.getdoc(made_by) if made_by is not None else None
    return [] if text is None or method.mask is not None else text.split("\n\n")[1:]


def written(claim: str, method: Method) -> str:
    """A claim of a record in words."""
    value = vars(method.claims)[claim]
    if value is False:
        return SILENT[claim][0]
    if claim == "a_row_norm":
        return CLAIMED[claim].format(value)
    if claim == "subspace":
        who = "A₀'s rows and B₀'s columns" if method.anchored else "A₀'s rows"
        return CLAIMED[claim].format(who, PARTS[value], method.claims.matrix)
    return CLAIMED[claim].format(PARTS.get(value, ""), method.claims.matrix)


def claims(method: Method) -> str:
    """Every claim of a start with how it is measured, and the contract that it shares with all others."""
    lines = [
        f"`stiefel methods --check {method.name}` measures it here, on {len(MATRICES)} matrices of known spectrum "
        f"({', '.join(MATRICES)}), at rank {RANK} and s = 1 and 2.\n",
        "| claim | measured |",
        "|---|---|",
    ]
    for claim in (*MEASURES, "a_row_norm"):
        if claimed(method, claim):
            elsewhere = method.claims.matrix != "W" and claim in ("subspace", "start")
            how = MEASURED[claim] if vars(method.claims)[claim] is not False else SILENT[claim][1]
            how += "; by `tests/methods/claims`, not by `--check`" if elsewhere else ""
            lines.append(f"| {written(claim, method)} | {how} |")
    lines += ["", "And what every start promises, measured on a small Qwen3 model:", ""]
    lines += [f"- *{line}*: {summary(measure)}" for line, measure in CONTRACT.items()]
    return "\n".join(lines)


def summary(function: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def options(method: Method) -> str:
    """Every option with its values and its default."""
    if not method.options:
        return "It has none."
    lines = ["| option | takes | default | what it is |", "|---|---|---|---|"]
    for name, option in method.options.items():
        lines.append(f"| `{name}` | {takes(option.domain())} | `{option.default}` | {in_cell(option.meaning)} |")
    called = next(iter(method.options))
    default = method.options[called].default
    use = f"`stiefel init MODEL --method {method.name} --option {called}={default} --out DIR`"
    return "\n".join([*lines, "", f"{use}, or `adapter.options` in a recipe."])


def in_cell(text: str) -> str:
    """A text that ends no cell of a table."""
    return text.replace("|", chr(92) + "|")


def takes(domain: dict[str, object]) -> str:
    """What a value may be."""
    match domain:
        case {"values": list(values)}:
            return " or ".join(f"`{value}`" for value in values)
        case {"names": True}:
            return "names of modules, separated by commas"
        case {"whole": True, "least": least}:
            return f"a whole number, at least {least}"
        case {"least": least, "below": below}:
            return f"a number, at least {least} and below {below}"
        case {"above": above, "below": below}:
            return f"a number above {above} and below {below}"
        case {"above": above}:
            return f"a number above {above}"
    raise AssertionError(domain)


def rows_of(table: str, method: str) -> list[Row]:
    """A method's kept runs with the recipe as it stands, but for the rate, the seed and the cap."""
    path = LABORATORY / f"{table}.csv"
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["method"] == method and not row["changes"]]


def spread(values: list[float], digits: int = 3) -> str:
    """0.795, or 0.795 (0.771–0.812) over several seeds."""
    mean = f"{fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def failures(row: Row) -> Iterator[str]:
    """In which of the ways that are told here a run failed."""
    if row["status"] != "finished":
        yield row["status"]
    elif float(row["arithmetic"]) < float(row["arithmetic_before"]):
        yield "ended below the base on its own task"
    for skill in SKILLS:
        lost = float(row[f"{skill}_before"]) - float(row[skill]) if row[skill] else 0.0
        if round(lost, 6) >= FORGOT:
            yield f"lost {lost:.2f} of nano-{skill}"


def told(runs: list[Row]) -> str:
    """How runs of one setting failed, of each skill the most that one of them lost; no where none did."""
    found = {reason for row in runs for reason in failures(row)}
    losses = {skill: max((one for one in found if one.endswith(skill)), default="") for skill in SKILLS}
    lost = [f"{reason.split()[1]} {skill}" for skill, reason in losses.items() if reason]
    parts = sorted(one.removeprefix("ended ") for one in found if not one.startswith("lost"))
    return "; ".join([*parts, *([f"lost {', '.join(lost)}"] if lost else [])]) or "no"


def measured(method: Method) -> str:
    """What the kept runs on nano say of it, and where it failed."""
    found = {table: rows_of(table, method.name) for table in TABLES}
    if not any(found.values()):
        return (
            "The runs that are kept (`benchmarks/results/laboratory`) have none of it. The papers' tables with our "
            "recipes for them: [docs/reproduce.md](../reproduce.md)."
        )
    lines = ["| cap | rows | rate | seeds | failed | reward, last 15 | arithmetic | reverse | sort | KL to base |"]
    lines.append("|---:|---|---:|---:|---|---:|---:|---:|---:|---:|")
    for rows in found.values():
        for (cap, others, rate), runs in grouped(rows).items():
            cells = [f"{cap:g}" if cap else "none", "held" if others else "–", f"{rate:g}", str(len(runs)), told(runs)]
            for column, digits in (("reward", 3), ("arithmetic", 3), ("reverse", 3), ("sort", 3), ("kl_base", 3)):
                values = [float(row[column]) for row in runs if row[column]]
                cells.append(spread(values, digits) if values else "–")
            lines.append(f"| {' | '.join(cells)} |")
    rank = "" if "rank" in method.unused else ", rank 8"
    before = {float(row["arithmetic_before"]) for rows in found.values() for row in rows}
    lines += [
        "",
        f"`recipes/nano/dapo.toml` with this method, 60 rollouts{rank}; the base has "
        f"{', '.join(f'{value:.3f}' for value in sorted(before))} of nano-arithmetic and all of the other two, of 200 "
        "questions each (the README's table asks 500, of which the base's share is another). *Cap* is `optim.kl_cap`; "
        "*rows* says held where `optim.kl_cap_rows` names rows of the old skills, – where it is not set. Over several "
        "seeds: the mean, the lowest and the highest. *Failed* is a run that did not finish, that ended below the base "
        "on its own task, or that lost a tenth of an old skill or more; of several runs the most that one lost. "
        "`python -m benchmarks.laboratory` and `python -m benchmarks.step`; every row: "
        "[nano.csv](../../benchmarks/results/laboratory/nano.csv), "
        "[nano_cap.csv](../../benchmarks/results/laboratory/nano_cap.csv). A model of 0.8M parameters says nothing "
        "certain of a large one.",
    ]
    return "\n".join(lines)


def grouped(rows: list[Row]) -> dict[tuple[float, str, float], list[Row]]:
    """Runs that differ in their seed alone."""
    groups: dict[tuple[float, str, float], list[Row]] = {}
    for row in rows:
        groups.setdefault((float(row["kl_cap"]), row["kl_cap_rows"], float(row["lr"])), []).append(row)
    return dict(sorted(groups.items()))


def facts(method: Method) -> str:
    """Kind, form and what it needs, in lines."""
    lines = [f"- **Form**: {form_of(method)}."]
    if method.kind == "start":
        lines.append(f"- **Solves for** {TRIPLETS[method.needs].format(method.claims.matrix)}.")
        lines.append("- **Trains** r·(in + out) numbers a matrix: all of A and B.")
        if method.anchored:
            lines.append("- **Anchored**: trained around its own start, saved at rank 2r ([how](../anchored.md)).")
    if method.unused:
        lines.append(
            f"- **Has no use for** {', '.join(sorted(method.unused))}, which are refused where they are given."
        )
    return "\n".join(lines)


def page(method: Method) -> str:
    """A method's page."""
    assert method.paper is not None  # of every method in the tuple
    use = f"lora+{method.name}" if method.kind in ("structure", "optimizer") else method.name
    tested = (
        claims(method)
        if method.kind == "start"
        else "It claims no figure of a start. What every method promises (the start is the base, nothing moves but "
        "what trains, what is saved comes back, seeds matter only where it says so) is measured by "
        f"[{TESTED_ELSEWHERE}](../../{TESTED_ELSEWHERE})."
    )
    parts = [
        "<!-- written by scripts/methods.py -->",
        f"# {method.name}",
        method.definition,
        *source_of(method),
        facts(method),
        f'In a recipe `adapter.method = "{use}"`, in Python `stiefel.attach(model, "{use}")`.',
        "## What it claims, and how that is tested",
        tested,
        "## Options",
        options(method),
        "## What we measured",
        measured(method),
        "## Citation",
        f"[{method.paper.title}](https://arxiv.org/abs/{method.paper.arxiv}), {method.paper.year}.",
        f"```bibtex\n{method.paper.bibtex()}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def every() -> str:
    """docs/methods.md's tables: all methods by kind."""
    blocks = []
    for kind, (heading, says) in KINDS.items():
        lines = [f"## {heading}", "", says, "", "| method | definition |", "|---|---|"]
        lines += [
            f"| [`{method.name}`](methods/{method.name}.md) | {in_cell(method.definition)} |"
            for method in METHODS
            if method.kind == kind
        ]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def pages() -> dict[Path, str]:
    """Every page as it should be."""
    found = {FOLDER / f"{method.name}.md": page(method) for method in METHODS}
    return {PAGE: replace_block(PAGE.read_text(), "every", every()), **found}


def write() -> None:
    """docs/methods/, a page a method."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)


if __name__ == "__main__":
    write()
