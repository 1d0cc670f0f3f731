"""The first lines of a comparison's page: whom the numbers favour, by how much, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from scipy import stats

from .evidence import Evidence
from .fairness import apart
from .falls import falls
from .groups import rate, spanned
from .numbers import bounds
from .pairs import SURE, Pair
from .ranking import Cell, Ranking
from .rate_rule import RateRule
from .runs import Run
from .words import counted, course, listed, steps

LISTED = 6  # methods that a sentence names


def verdict(evidence: Evidence) -> list[str]:
    """The answer first, then what stands behind it."""
    found = evidence.ranking
    if isinstance(found, str):
        return [f"The methods are not ranked: {found}."]
    if len(found.best) < 2:
        alone = found.best[0]
        score = f"{found.measure.name} {alone.estimate.mean:.3f}{interval(alone)}"
        has = "a test" if any(found.rates_of(one) for one in found.without) else "finished runs"
        return [
            f"Only {alone.series.label} has {has}, so that there is nothing to compare it with: its {score} at "
            f"learning rate {spanned(alone.rates)}.",
            *untested(found),
        ]
    return [
        *answer(found, evidence.pairs),
        *untested(found),
        best_rates(found),
        *fallen(evidence),
        compared(evidence, found),
        multiplicity(found, evidence.pairs),
        *told_apart(evidence.pairs),
    ]


def answer(found: Ranking, pairs: Sequence[Pair]) -> list[str]:
    """Whom the numbers favour, or that they do not decide; then the order, and where the seeds in common deny it."""
    top = found.best[0]
    name = top.series.label
    mine = [one for one in pairs if one.of(top)]
    order = ", ".join(f"{cell.series.label} {cell.estimate.mean:.3f}{interval(cell)}" for cell in found.best[:LISTED])
    if len(found.best) > LISTED:
        order += f", down to {found.best[-1].series.label} {found.best[-1].estimate.mean:.3f}"
    ranked = f"{found.measure.name.capitalize()}, each at {found.at}: {order}."
    if not mine:
        return [f"The numbers do not decide: {name} shares no seed with another method.", ranked]
    said = [ranked, *denied(top, mine)]
    tied = [one for one in mine if not one.decided]
    beaten = [one.lower.series.label for one in mine if one.decided and one.higher is top]
    better = [one for one in mine if one.decided and one.lower is top]
    if better:
        ahead = "; ".join(f"{one.higher.series.label} is ahead of {difference(one)}" for one in better)
        first = f"The numbers favour {listed(one.higher.series.label for one in better)} over {name}: {ahead}."
        others = favoured([one for one in pairs if one not in better])
        return [first, *said, *([f"They also favour {others}."] if others else [])]
    closest = min(tied or mine, key=lambda one: one.difference if one.higher is top else -one.difference)
    if not tied:
        first = f"The numbers favour {name}: it is ahead of every other method, of the closest, {difference(closest)}."
        return [first, *said]
    ahead = f"{closest.higher.series.label} is ahead of {difference(closest)}"
    if 2 * closest.ahead < len(closest.seeds):
        ahead = f"{closest.higher.series.label}'s mean is above that of {difference(closest)}"
    if closest.difference == 0:
        equal = listed((closest.higher.series.label, closest.lower.series.label))
        ahead = f"{equal} have the same mean, a difference of 0{bounds(closest.low, closest.high, '+.3f')}"
    if beaten:
        names = listed(cell.series.label for cell in found.best if any(one.of(cell) for one in tied))
        first = f"The numbers favour {name} over {listed(beaten)}, and do not decide between {names}: {ahead}."
        return [first, *said]
    few = len(found.best) <= LISTED
    every = listed(cell.series.label for cell in found.best) if few else f"these {len(found.best)} methods"
    alone = all(one.p is None for one in mine)
    why = (
        "one seed each says nothing of another seed"
        if alone
        else "such a difference can come from the choice of seeds and questions alone"
    )
    first = f"The numbers do not decide between {every}: {ahead}, and {why}."
    others = favoured(pairs)
    return [first, *said, *([f"They favour {others}, though."] if others else [])]


def favoured(pairs: Sequence[Pair]) -> str:
    """Of these pairs, those that are decided."""
    found = [f"{one.higher.series.label} over {one.lower.series.label}" for one in pairs if one.decided]
    return listed(found) if found else ""


def denied(top: Cell, mine: Sequence[Pair]) -> list[str]:
    """That the first of the order is not ahead of a method in the seeds that both have."""
    ahead = [one.higher.series.label for one in mine if one.lower is top]
    if not ahead:
        return []
    seeds = f"{'seed' if len(top.scores) == 1 else 'seeds'} {listed(top.scores)}"
    return [
        f"{top.series.label} has the highest mean of its own {seeds}, but is behind {listed(ahead)} in the seeds that "
        "both have: the order is of different seeds there."
    ]


def difference(one: Pair) -> str:
    """The lower method, by how much, and in how many seeds."""
    seeds = f"; it was ahead in {one.ahead} of {counted(len(one.seeds), 'seed')}"
    return f"{one.lower.series.label} by {one.difference:.3f}{bounds(one.low, one.high, '+.3f')}{seeds}"


def interval(cell: Cell) -> str:
    """The 95% interval, where there is one."""
    found = cell.estimate
    return bounds(found.low, found.high) if found.over else ""


def untested(found: Ranking) -> list[str]:
    """Which runs a validation chose that have no test, as where it failed or is still to come."""
    names = found.measure.untested
    return (
        [f"Chosen, but without a test, so that they are missing from these numbers: {listed(names)}."] if names else []
    )


def best_rates(found: Ranking) -> str:
    """Each method's, and whether a better one may lie beyond those that were tried."""
    name = "Best rates" if found.at == "its best rate" else "Learning rates"
    said = ", ".join(f"{cell.series.label} {spanned(cell.rates)}" for cell in found.best)
    ends: dict[str, list[str]] = {"highest": [], "lowest": []}
    for cell in found.best:
        tried = sorted(one.group for one in found.rates_of(cell.series))
        if len(tried) > 1 and cell.group in (tried[0], tried[-1]):
            ends["highest" if cell.group == tried[-1] else "lowest"].append(cell.series.label)
    beyond = [
        f" Of {listed(methods)} it is the {end} tried: a {'higher' if end == 'highest' else 'lower'} one may be better."
        for end, methods in ends.items()
        if methods
    ]
    lost = [f"{one.label} has no {'test' if found.rates_of(one) else 'finished run'}" for one in found.without]
    return f"{name}: {said}.{''.join(beyond)}" + (f" {listed(lost)}." if lost else "")


def fallen(evidence: Evidence) -> list[str]:
    """Which runs fell, at any rate; nothing where none did."""
    fell = Counter((evidence.series[one.run.name].label, one.run.lr) for one in falls(evidence.runs))
    if not fell:
        return []
    said = listed(f"{count} of {name} at {rate(lr)}" for (name, lr), count in fell.items())
    return [f"Runs that fell, of all that were tried: {said}."]


def told_apart(pairs: Sequence[Pair]) -> list[str]:
    """How large a difference would have had to be for these seeds to decide it; nothing where all are decided.

    By the median spread s of the undecided pairs' differences over n seeds, at the level of Holm's first step of m:
    t(1 − SURE/2m, n − 1)·s/√n.
    """
    known = [one for one in pairs if one.p is not None]
    halves = [
        float(stats.t.ppf(1 - SURE / (2 * len(known)), len(one.seeds) - 1)) * one.spread / len(one.seeds) ** 0.5
        for one in known
        if one.spread is not None and not one.decided
    ]
    if not halves:
        return []
    return [
        f"With these seeds a difference below about {median(halves):.2g} could not have been told; more seeds tell "
        "smaller ones."
    ]


def compared(evidence: Evidence, found: Ranking) -> str:
    """What was measured, after which training, at which step."""
    runs = [run for cell in found.best for run in cell.runs if run.finished]
    questions = sorted({len(scores) for cell in found.best for scores in cell.scores.values()})
    of = f", {listed(questions, 'or')} questions" if found.measure.of_questions else ""
    seeds = sorted({seed for cell in found.best for seed in cell.scores})
    return (
        f"Compared: {found.measure.name}{of}, after {listed(dict.fromkeys(map(length, runs)), 'or')}, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {listed(seeds)}. {rates(evidence, found)} {went(found)}"
    ).strip()


def length(run: Run) -> str:
    """How long a run was."""
    if steps(run) == "update":
        return course(run).removeprefix("SFT: ")
    updates = run.recipe.optim.rollouts * run.recipe.optim.updates_per_rollout
    return f"{counted(run.recipe.optim.rollouts, 'rollout')} ({counted(updates, 'update')})"


def rates(evidence: Evidence, found: Ranking) -> str:
    """How the learning rates came about."""
    rule = evidence.rule
    if rule is None:
        tried = sorted({len(found.rates_of(cell.series)) for cell in found.best})
        if tried == [1]:
            return "Each method ran at one rate, which may be nearer to the best one for some of them."
        return (
            f"Each method is taken at the best of its {listed(tried, 'or')} rates, chosen by these very scores, which "
            "flatters all of them a little."
        )
    if rule.tuned:
        return "Each method's rate was chosen on a validation, apart from these scores."
    names = {run.name: evidence.series[run.name].label for run in evidence.runs}
    missed = [names.get(name, name) for name, one in rule.runs.items() if not one.reached]
    short = f" Not reached by {listed(missed)}." if missed else ""
    return f"Each method has the rate at which a first step {equal(rule, names)}.{short}"


def equal(rule: RateRule, names: Mapping[str, str]) -> str:
    """What a first step is at every method's rate; `names` are the methods' by their runs'."""
    if rule.rate == "kl":
        if rule.budget is None:
            return "takes the KL of its own cap (optim.kl_cap) to the policy before it, which is not the same for all"
        return f"takes a KL of {rule.budget:g} nats a token to the policy before it"
    like = "that of every other" if rule.reference is None else f"that of {names.get(rule.reference, rule.reference)}"
    size = "" if rule.budget is None else f", ‖ΔW₁‖_F = {rule.budget:.3g}"
    return f"is as large as {like}{size}"


def went(found: Ranking) -> str:
    """How far from the base the methods went."""
    kls = {cell.series.label: kl for cell in found.best if (kl := apart(cell)) is not None}
    if not kls:
        return ""
    (least, low), (most, high) = min(kls.items(), key=lambda kl: kl[1]), max(kls.items(), key=lambda kl: kl[1])
    if least == most:
        return ""
    return f"KL to the base at the end: from {low:.2g} ({least}) to {high:.2g} ({most}) nats a token."


def multiplicity(found: Ranking, pairs: Sequence[Pair]) -> str:
    """How many comparisons were made, and how they are corrected."""
    if not pairs:
        return "No two methods share a seed, so that no pair was compared."
    known = sum(one.p is not None for one in pairs)
    luck = "other seeds and other questions" if found.measure.of_questions else "other seeds"
    corrected = (
        f"whom they favour is said at {SURE:g} for all {known} together, by Holm's correction"
        if known > 1
        else f"whom they favour is said at {SURE:g}"
    )
    if not known:
        corrected = "one seed decides nothing, so that no method is favoured"
    return (
        f"{counted(len(pairs), 'pair')} of methods {'was' if len(pairs) == 1 else 'were'} compared, paired by seed and "
        f"question. An interval is that of its own pair at 95%, and holds for {luck if known else 'other questions'}; "
        f"{corrected}."
    )
