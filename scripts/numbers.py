"""A record of every block that a script writes, from which docs/numbers.md is made: `python -m scripts.numbers`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.__main__ import RUN, WITH_DATA
from scripts.measured import (
    AGAIN,
    ARCHITECTURES,
    BENCH,
    CAP,
    CAP_COST,
    CAPPED,
    CHANGED,
    CHOICE,
    COMMAND,
    CURVES,
    DEMO_RUNS,
    ENGINE,
    FALLS,
    FIGURES,
    GRADES,
    GRID,
    INIT,
    KEPT,
    KILLS,
    LEARNED,
    LOOKING,
    ON_SMOLLM2,
    ONE_CAP,
    PLAIN,
    PREFLIGHT,
    REAL,
    SEVEN_B,
    SOLVERS,
    SPECTRA,
    STEP,
    STUDY,
    THEORY,
    Measured,
    ratios,
)
from scripts.readme import ROOT, replace_block
from scripts.results import RESULTS, results

PAGE = ROOT / "docs" / "numbers.md"
README, UNKNOWN, PARTS = "README.md", "–", " --parts "


@dataclass(frozen=True)
class Quoted:
    """Blocks of a page, what they say, of which measurements, and which script writes them."""

    where: str  # the page and the names of its blocks; a page alone is written whole
    says: str
    of: tuple[Measured, ...]  # none where nothing is measured
    script: str

    @property
    def page(self) -> str:
        """From the repository's root on."""
        return self.where.split()[0]

    @property
    def blocks(self) -> list[str]:
        """What stands in <!-- name --> and <!-- /name -->."""
        return self.where.split()[1:]


QUOTED = (
    Quoted("README.md demo", "eight small runs: reward, KL, scores before and after", (DEMO_RUNS,), "readme"),
    Quoted("README.md study", "what a step explains, the methods at one step, the papers' claims", STUDY, "readme"),
    Quoted("README.md survival", "how much of an update a bfloat16 vLLM has", (ENGINE,), "readme"),
    Quoted("README.md solvers", "solvers against full SVDs, in memory", (SOLVERS,), "readme"),
    Quoted("README.md init", "`stiefel init` against SVDs and PEFT, memory", (COMMAND, INIT, SEVEN_B), "readme"),
    Quoted("README.md step", "a rollout against TRL's, an anchored run's memory, kills", (STEP, KILLS), "readme"),
    Quoted("docs/cluster.md survival", "the same by size, what is learned by vLLM, its speed", (ENGINE,), "readme"),
    Quoted("docs/cluster.md grid", "a grid's overhead, two jobs, kills", (GRID,), "readme"),
    Quoted("docs/geometry.md cost", "what looking at a run costs", (LOOKING,), "readme"),
    Quoted("docs/rewards.md grades", "golds, wrong answers, attacks, the graders' speed", (GRADES,), "readme"),
    Quoted("docs/preflight.md measured", "a first step by eight methods on nano", (PREFLIGHT,), "preflight"),
    Quoted(
        "docs/models.md families said numbers", "what goes through of each architecture", (ARCHITECTURES,), "models"
    ),
    Quoted(
        "docs/step.md measured",
        "one cap for every method, and what it costs",
        (ONE_CAP, CAP, CAP_COST),
        "step",
    ),
    Quoted("docs/choose.md measured", "choices against whole grids, and on curves", (CHOICE, CURVES), "choose"),
    Quoted("docs/real-model.md learned", "what DAPO teaches SmolLM2-135M", (LEARNED,), "real"),
    Quoted("docs/real-model.md costs", "starts on real weights, PEFT, a step, `init` from a cache", (REAL,), "real"),
    Quoted("docs/laboratory.md explained nano differing stable choose", "plain runs", (PLAIN, FIGURES), "laboratory"),
    Quoted("docs/laboratory.md capped caps", "runs under a cap", (CAPPED, ON_SMOLLM2, FIGURES), "laboratory"),
    Quoted("docs/laboratory.md changed", "one thing changed", (PLAIN, CHANGED, FIGURES), "laboratory"),
    Quoted("docs/laboratory.md smollm2 beside", "plain runs on SmolLM2-135M", (ON_SMOLLM2, FIGURES), "laboratory"),
    Quoted(
        "docs/laboratory.md falling",
        "whether a fall can be foreseen",
        (ON_SMOLLM2, PLAIN, FALLS, FIGURES),
        "laboratory",
    ),
    Quoted("docs/laboratory.md there claims", "the papers' claims", STUDY, "laboratory"),
    Quoted("docs/laboratory.md rows", "the tables, and rows that were run again", (*STUDY, AGAIN), "laboratory"),
    Quoted("docs/collapsed.md rows", "what is logged of runs that learn and that fall", (PLAIN,), "collapsed"),
    Quoted(
        "docs/which-method.md evidence",
        "what the default rests on",
        (*STUDY, CAP, PREFLIGHT, LEARNED, SPECTRA),
        "which",
    ),
    Quoted("docs/log.md tried", "what did not work", (*STUDY, CAP, CURVES, REAL, COMMAND), "log"),
    Quoted("docs/methods/*.md", "each method's runs, and where it failed", (CAPPED, PLAIN), "methods"),
    Quoted("docs/spectra.md", "the papers' spectral claims on nano", (SPECTRA,), "spectra"),
    Quoted("docs/theory.md", "the first step's theory, predicted and measured", (THEORY,), "theory"),
    Quoted("README.md methods", "the methods' records", (), "readme"),
    Quoted("docs/methods.md every", "the methods' records", (), "methods"),
    Quoted("docs/recipe.md recipe grid", "the keys of a recipe and of a grid", (), "recipe"),
    Quoted("docs/commands.md commands", "every command's `--help`", (), "commands"),
    Quoted("docs/tasks.md asked places templates gym", "the tasks' records", (), "tasks"),
    Quoted("docs/reproduce.md names", "the catalogue, with the rough times that stand there", (), "reproduce"),
    Quoted("docs/scaling.md memory engine", "a formula, and published models' sizes", (), "scaling"),
    Quoted("docs/verl.md paper keys", "recipes as verl is handed them", (), "verl"),
    Quoted("docs/numbers.md readme pages bench unmeasured", "`scripts/numbers.py` and the results", (), "numbers"),
)


def distinct(values: Iterable[str]) -> list[str]:
    """Each once, in order."""
    return list(dict.fromkeys(values))


def typed(of: Sequence[Measured]) -> list[str]:
    """What is typed, a program's parts together."""
    parts: dict[str, list[str]] = {}
    for command in distinct(command for one in of for command in one.commands):
        program, _, chosen = command.partition(PARTS)
        parts.setdefault(program, []).extend(filter(None, [chosen]))
    return [f"`{program}{PARTS + ','.join(distinct(chosen)) if chosen else ''}`" for program, chosen in parts.items()]


def needed(of: Sequence[Measured]) -> str:
    """What some of it needs first."""
    first = distinct(one.needs for one in of if one.needs)
    return f" (needs {', '.join(f'`{each}`' for each in first)})" if first else ""


def processors(kept: Sequence[str]) -> list[str]:
    """Those that the files name."""
    found = [json.loads((ROOT / path).read_text()) for path in kept if path.endswith(".json")]
    machines = [one["machine"] for one in found if isinstance(one, dict) and "machine" in one]
    return distinct(f"{machine['device']}, {machine['cores']} cores" for machine in machines)


def short(path: str) -> str:
    """As the page names a kept file."""
    return f"`{path.removeprefix(f'{KEPT}/')}`"


def in_bench(of: Sequence[Measured]) -> str:
    """Whether `make bench` runs it, or why not."""
    if of == (GRADES,):
        return "yes, with `STIEFEL_DATA`"
    left = distinct(one.apart for one in of if not one.in_bench)
    return f"no: {', '.join(left)}" if left else "yes"


def place(one: Quoted) -> str:
    """A page, linked where it is one, and its blocks."""
    name = one.page.removeprefix("docs/")
    page = f"`{name}`" if "*" in name else f"[{name}]({'../' if one.page == README else ''}{name})"
    return ", ".join([page, *(f"`{block}`" for block in one.blocks)])


def row(one: Quoted) -> list[str]:
    """A block's line."""
    kept = distinct(path for measured in one.of for path in measured.kept)
    return [
        place(one),
        one.says,
        "; ".join(typed(one.of)) + needed(one.of),
        ", ".join(short(path) for path in kept if not path.endswith(".jsonl")) or "the page",
        f"`scripts.{one.script}`",
        "; ".join(processors(kept)) or UNKNOWN,
        "; ".join(distinct(measured.takes() for measured in one.of if measured.takes)) or UNKNOWN,
        in_bench(one.of),
    ]


def as_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    body = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body]) + "\n"


def table(*, readme: bool) -> str:
    """The README's measured blocks, or those of all other pages."""
    head = ("block", "what it says", "measured by", "kept in", "written by", "processor", "takes", "`make bench`")
    return as_lines(head, (row(one) for one in QUOTED if one.of and (one.page == README) == readme))


def unmeasured() -> str:
    """What scripts write of the code alone."""
    rows = [(place(one), one.says, f"`scripts.{one.script}`") for one in QUOTED if not one.of]
    return as_lines(("block", "made of", "written by"), rows)


def unread() -> list[str]:
    """Kept results that no page quotes."""
    read = {path for one in QUOTED for measured in one.of for path in measured.kept}
    there = [path.relative_to(ROOT).as_posix() for path in sorted(RESULTS.rglob("*")) if path.is_file()]
    return [path for path in there if path not in read]


def bench() -> str:
    """What `make bench` runs, what it leaves out and why; which results are nobody's or of other arguments."""
    left: dict[str, list[Measured]] = {}
    for measured in dict.fromkeys(each for one in QUOTED for each in one.of):
        if not measured.in_bench:
            left.setdefault(measured.apart, []).append(measured)
    run = ", ".join(f"`{' '.join(each)}`" for each in RUN)
    data = ", ".join(f"`{' '.join(each)}`" for each in WITH_DATA)
    pairs = [
        f"`--parts {name} --pairs {one['pairs'] // one['processes']} --processes {one['processes']}`"
        for name, one in ratios(results("train")).items()
    ]
    return "\n".join(
        [
            f"One after the other {run}, and where `STIEFEL_DATA` names the data {data}: {BENCH()}. It leaves out",
            "",
            *(f"- {apart}: {', '.join(typed(of))}{needed(of)}" for apart, of in left.items()),
            "",
            f"No page quotes {', '.join(map(short, unread())) or 'nothing that is kept'}. The rollouts in "
            f"`train.json` were measured with {', '.join(pairs)}; by itself "
            "the program takes the numbers that its `--help` names.\n",
        ]
    )


def page() -> str:
    """docs/numbers.md as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    text = replace_block(text, "readme", table(readme=True))
    text = replace_block(text, "pages", table(readme=False))
    text = replace_block(text, "bench", bench())
    return replace_block(text, "unmeasured", unmeasured())


def write() -> None:
    """docs/numbers.md."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
