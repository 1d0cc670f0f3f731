"""What a comparison's page says beyond a run's: the answer, the order, the pairs, fairness, falls and failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .cells import Cells
from .evidence import Evidence
from .failures import Failure
from .fairness import Held, apart, digits, fairness
from .falls import DEFINITION, Fall, falls
from .figures.trade_offs import gain
from .figures.training import last_reward
from .groups import rate, spanned
from .method_paragraph import method_paragraph
from .numbers import NONE, bounds
from .pairs import Pair
from .ranking import Cell, Ranking
from .runs import Run
from .series import ordered
from .verdict import verdict
from .words import counted, listed

P_DIGITS = ".2g"


@dataclass(frozen=True)
class Overview:
    """The comparison's own parts of a page, in words and tables."""

    verdict: list[str]
    order: Cells | None
    pairs: Cells | None
    how: str  # the intervals were made
    fairness: list[Held]
    falls: Cells | None
    fell: str
    failures: list[str]
    untested: list[str]
    method: str


def overview(evidence: Evidence) -> Overview:
    """Of the runs of a comparison."""
    found, fallen = evidence.ranking, falls(evidence.runs)
    return Overview(
        verdict(evidence),
        None if isinstance(found, str) else order(found, evidence.pairs, fallen),
        pair_table(evidence.pairs) if evidence.pairs else None,
        "" if isinstance(found, str) else intervals(found),
        fairness(evidence),
        fall_table(evidence, fallen) if fallen else None,
        f"{DEFINITION} {fell(evidence, fallen)}",
        untrained(evidence),
        untested(evidence),
        method_paragraph(evidence),
    )


def fell(evidence: Evidence, fallen: Sequence[Fall]) -> str:
    """How many runs of each method did."""
    if not fallen:
        return f"None of the {len(evidence.runs)} runs did."
    every = Counter(evidence.series[run.name] for run in evidence.runs)
    some = Counter(evidence.series[one.run.name] for one in fallen)
    of_each = listed(f"{one.label} {some[one]} of {every[one]}" for one in ordered(every))
    return f"{counted(len(fallen), 'run')} of {len(evidence.runs)} did: {of_each}."


def order(found: Ranking, pairs: Sequence[Pair], fallen: Sequence[Fall]) -> Cells:
    """A row a method, the highest first."""
    header = (
        "method", "place", found.at.removeprefix("its "), found.measure.short, "95% interval", "gain", "last reward",
        "KL to base", "seeds", "fell, at all rates", "behind the first",
    )  # fmt: skip
    first = found.best[0]
    body = []
    for place, cell in enumerate(found.best, start=1):
        done = [run for run in cell.runs if run.finished]
        every = [run for one in found.rates_of(cell.series) for run in one.runs]
        estimate, kl = cell.estimate, apart(cell)
        body.append((
            cell.series.label,
            str(place),
            spanned(cell.rates),
            f"{estimate.mean:.3f}",
            bounds(estimate.low, estimate.high).strip() if estimate.over else NONE,
            mean_of([gain(run) for run in done], "+.3f"),
            mean_of([last_reward(run) for run in done], ".3f"),
            NONE if kl is None else digits(kl),
            ", ".join(map(str, cell.scores)),
            f"{sum(one.run in every for one in fallen)} of {len(every)}",
            NONE if place == 1 else behind(cell, next((one for one in pairs if one.of(first) and one.of(cell)), None)),
        ))  # fmt: skip
    return Cells(header, tuple(body), names=1)


def behind(cell: Cell, pair: Pair | None) -> str:
    """By how much a method is behind the first, or ahead of it in their seeds, and whether that is decided."""
    if pair is None:
        return "no seed in common"
    ahead = "ahead in the seeds of both by " if pair.higher is cell else ""
    return f"{ahead}{pair.difference:.3f}, {'decided' if pair.decided else 'not decided'}"


def mean_of(values: Sequence[float | None], form: str) -> str:
    """The mean of those that were measured."""
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):{form}}" if known else NONE


def pair_table(pairs: Sequence[Pair]) -> Cells:
    """A row a pair."""
    header = ("pair", "difference", "95% interval", "ahead in", "p", "p, Holm", "the numbers")
    body = [
        (
            f"{one.higher.series.label} − {one.lower.series.label}",
            f"{one.difference:+.3f}",
            bounds(one.low, one.high, "+.3f").strip() or NONE,
            f"{one.ahead} of {counted(len(one.seeds), 'seed')}",
            NONE if one.p is None else f"{one.p:{P_DIGITS}}",
            NONE if one.adjusted is None else f"{one.adjusted:{P_DIGITS}}",
            f"favour {one.higher.series.label}" if one.decided else "do not decide",
        )
        for one in pairs
    ]
    return Cells(header, tuple(body), names=1)


def intervals(found: Ranking) -> str:
    """How the intervals of the order and of the pairs are made."""
    over = {cell.estimate.over for cell in found.best}
    words = [
        *(["Student's t over the seeds' means"] if "seeds" in over else []),
        *(["over questions where there is one seed, or where the seeds agree to the digit"]
          if "questions" in over else []),
    ]  # fmt: skip
    of_order = f"Intervals of the order are {listed(words)}. " if words else ""
    questions = (
        "Of a pair, each seed's difference is the mean over the questions that both answered. Its interval goes as far "
        "as the further of two: Student's t over the seeds' differences, and a bootstrap over the questions' "
        "differences, each a mean over seeds. Its p is the larger of the two t tests' (over seeds, over questions); "
        "Holm's correction is for the number of pairs. A pair with one seed in common has no p. "
    )
    rewards = "Of a pair, Student's t over the seeds' differences, corrected for the number of pairs by Holm. "
    return (
        of_order
        + (questions if found.measure.of_questions else rewards)
        + "Where a method's rate was chosen by the same scores, that is not corrected for."
    )


def fall_table(evidence: Evidence, fallen: Sequence[Fall]) -> Cells:
    """A row a run that fell."""
    places = list(evidence.styles)

    def place(one: Fall) -> tuple[int, float, int]:
        return places.index(evidence.series[one.run.name]), one.run.lr, one.run.seed

    header = ("method", "learning rate", "seed", "best mean reward", "reached by rollout", "last mean reward", "it")
    body = [
        (
            evidence.series[one.run.name].label,
            rate(one.run.lr),
            str(one.run.seed),
            NONE if one.best is None else f"{one.best:.3f}",
            NONE if one.best_at is None else str(one.best_at),
            NONE if one.last is None else f"{one.last:.3f}",
            ended(one.run) if one.diverged else "fell",
        )
        for one in sorted(fallen, key=place)
    ]
    return Cells(header, tuple(body), names=1)


def ended(run: Run) -> str:
    """That a run diverged, and why where it says so."""
    return f"diverged{f': {run.manifest.reason}' if run.manifest.reason else ''}"


def failures(evidence: Evidence) -> list[str]:
    """A line a cell that could not be trained, or whose test could not be measured."""
    return [*untrained(evidence), *untested(evidence)]


def untrained(evidence: Evidence) -> list[str]:
    """A line a cell that could not be trained."""
    return [
        f"{name} could not be trained. {reason(name, one)}"
        for name, one in evidence.failures.items()
        if name not in finished(evidence)
    ]


def untested(evidence: Evidence) -> list[str]:
    """A line a cell that was trained, and whose test could not be measured afterwards."""
    return [
        f"The test of {name} could not be measured. {reason(name, one)}"
        for name, one in evidence.failures.items()
        if name in finished(evidence)
    ]


def finished(evidence: Evidence) -> set[str]:
    """The names of the runs that came to their end."""
    return {run.name for run in evidence.runs if run.finished}


def reason(name: str, failure: Failure) -> str:
    """What a cell's error said."""
    said = f"{failure.what.removeprefix(f'{name}: ')}: {failure.why}"
    return said + (f"; instead: {failure.instead}" if failure.instead else "")
