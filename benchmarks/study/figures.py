"""Everything that docs/laboratory.md quotes, reckoned from the study's tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import fmean, mode
from typing import Any

from benchmarks.rows import asked_of, table
from benchmarks.study.claims import CLAIMS, Best, Claim
from benchmarks.study.decided import Compared, compared, corrected, is_against, t_interval, verdict
from benchmarks.study.explained import beside, explained
from benchmarks.study.falling import cases, fell_at, foreseen
from benchmarks.study.orders import stability, tau
from benchmarks.study.pooled import pooled
from benchmarks.study.runs import CAP, BySeed, Row, Runs, nano, runs_of, smollm2
from stiefel.methods import METHODS

TABLES = ("nano", "nano_ablations", "nano_cap", "nano_falls", "smollm2")
FIRST: dict[str, int | None] = {
    "one": 1,
    "ten": 10,
    "all": None,
}  # rollouts whose step is to explain what a run reaches


def figures() -> dict[str, Any]:
    """What the tables say."""
    models = {"nano": nano(), "smollm2": smollm2()}
    found: dict[str, Any] = {"rows": {name: len(table(name)) for name in TABLES}}
    found["codes"] = {name: codes(table(name)) for name in TABLES}
    for name, runs in models.items():
        capped = {method: values for method in ORDER if (values := runs.capped(method))}
        at_best = {method: runs.at_best(method) for method in ORDER if method in runs.methods}
        found[name] = {
            "methods": {method: one_method(runs, method) for method in ORDER if method in runs.methods},
            "at_best": against(at_best, "lora"),
            "pooled": pooled(at_best, "lora"),
            "further": against(further(runs, at_best), "lora"),
            "stability": stability(
                {m: [runs.of(m, lr) for lr in runs.rates(m)] for m, values in at_best.items() if len(values) > 3}
            ),
            "by_held_out": tau(
                [fmean(values.values()) for values in at_best.values()],
                [fmean(runs.at_best(method, runs.gained).values()) for method in at_best],
            ),
            "capped": against(capped, "lora"),
            "lost": lost_under_the_cap(runs),
            "caps": caps(runs),
            "changed": changes(runs),
        }
    found["bases"] = bases(models["smollm2"])
    found["claims"] = claims(models)
    found["explained"] = {name: explained(models["nano"], first) for name, first in FIRST.items()}
    best = found["explained"]["ten"]["best"]
    found["beside"] = beside(models["smollm2"], FIRST["ten"], (best["from"], best["to"]))
    one = found["explained"]["one"]["best"]
    found["beside_one"] = beside(models["smollm2"], FIRST["one"], (one["from"], one["to"]))
    falls = runs_of("nano", ("nano", "nano_falls"))
    found["falling"] = foreseen(cases(falls), cases(models["smollm2"])) | {"under_the_cap": fell_under_the_cap(models)}
    return found


ORDER = [method.name for method in METHODS]
LOST = 0.1  # of a skill that a run did not train


def codes(rows: list[Row]) -> dict[str, int]:
    """How many rows each version of the code made."""
    return {code: sum(row["code"] == code for row in rows) for code in sorted({row["code"] for row in rows})}


def bases(runs: Runs) -> dict[str, Any]:
    """Which warm base most runs of each seed began from, which run that counts began from another, and who did twice.

    `twice` holds the rewards of each run that was made from several bases.
    """
    most = {seed: mode(row["base"] for row in runs.rows if row["seed"] == seed) for seed in seeds_of(runs.rows)}
    seeds = {base: [seed for seed, its in most.items() if its == base] for base in sorted(set(most.values()))}
    other = [row for row in runs.rows if row["base"] != most[row["seed"]]]
    rows = table("smollm2")
    made = {asked: [row["reward"] for row in rows if asked_of(row) == asked] for asked in map(asked_of, rows)}
    twice = [rewards for rewards in made.values() if len(rewards) > 1]
    named = [{name: row[name] for name in ("method", "lr", "seed", "kl_cap", "base")} for row in other]
    return {"seeds": seeds, "other": named, "twice": twice}


def seeds_of(rows: list[Row]) -> list[int]:
    """The seeds of some rows, in their order."""
    return sorted({row["seed"] for row in rows})


def summed(values: BySeed) -> dict[str, Any] | None:
    """Mean, interval over the seeds, and how many there are."""
    if not values:
        return None
    interval = t_interval(list(values.values())) if len(values) > 1 else None
    return {"mean": fmean(values.values()), "interval": interval, "seeds": len(values)}


def one_method(runs: Runs, method: str) -> dict[str, Any]:
    """A method at its rates, and at the rate that other seeds chose."""
    best = runs.best_rate(method)
    at: dict[str, Callable[[Row], float | None]] = {
        "gain": runs.gained,
        "forgotten": runs.forgotten,
        "kl_base": lambda row: row["kl_base"],
    }
    return {
        "rates": {f"{lr:g}": summed(runs.of(method, lr)) for lr in runs.rates(method)},
        "best_rate": best,
        "at_the_end": not runs.bounded(method),
        "best": summed(runs.at_best(method)),
        **{name: summed(runs.at_best(method, value)) for name, value in at.items()},
        "forgotten_most": max(runs.at_best(method, runs.forgotten).values(), default=None),
        "trainable": next(row["trainable"] for row in runs.plain if row["method"] == method),
    }


def against(by_method: dict[str, BySeed], control: str) -> dict[str, Any]:
    """Every method, and its difference to one of them, corrected for how many there are."""
    others = [method for method in by_method if method != control]
    differences = corrected([compared(by_method[method], by_method.get(control, {})) for method in others])
    return {
        method: {**(summed(values) or {}), "over_" + control: said(differences[others.index(method)])}
        if method != control
        else summed(values)
        for method, values in by_method.items()
    }


def further(runs: Runs, at_best: dict[str, BySeed]) -> dict[str, BySeed]:
    """Of the methods that have them, the seeds that not all methods have: no rate was chosen by these.

    The others had been looked at when they were asked for, so that only these by themselves are a second look.
    """
    every = set.intersection(*(set(values) for values in at_best.values()))
    apart = {method: {seed: one for seed, one in by.items() if seed not in every} for method, by in at_best.items()}
    return {method: values for method, values in apart.items() if values}


def fell_under_the_cap(models: dict[str, Runs]) -> dict[str, dict[str, int]]:
    """How many runs there are under the cap, and how many of them fell."""
    found = {}
    for name, runs in models.items():
        rollouts = max((row["rollouts"] for row in runs.plain), default=0)
        capped = [runs.curve(row)["reward"] for method in runs.methods for row in runs.under(method, CAP)]
        found[name] = {"runs": len(capped), "fell": sum(fell_at(one, rollouts) is not None for one in capped)}
    return found


def lost_under_the_cap(runs: Runs) -> dict[str, Any]:
    """Of each method under the cap: how many runs there are, how many lost a part of another skill, and the most."""
    found = {}
    for method in runs.methods:
        losses = [one for row in runs.under(method, CAP) if (one := runs.lost_most(row)) is not None]
        if losses:
            found[method] = {"runs": len(losses), "lost": sum(one >= LOST for one in losses), "most": max(losses)}
    return found


def said(one: Compared) -> dict[str, Any]:
    """A comparison's figures."""
    found = {"mean": one.mean, "low": one.low, "high": one.high, "p": one.adjusted, "seeds": len(one.differences)}
    return found | {"most": one.most, "bounded": list(one.bounded)}


def caps(runs: Runs) -> list[dict[str, Any]]:
    """Methods that were run under several caps at one rate: what they reach, lose and drift."""
    several = {(row["method"], row["lr"]) for row in runs.rows if row["kl_cap"] not in (0, CAP)}
    asked = {(row["method"], row["lr"], row["kl_cap"]) for row in runs.rows if row["kl_cap"] and not row["kl_cap_rows"]}
    found = []
    chosen = sorted(one for one in asked if one[:2] in several)
    pairs = [compared(runs.capped(method, cap, lr), runs.capped(method, CAP, lr)) for method, lr, cap in chosen]
    others = [place for place, (_, _, cap) in enumerate(chosen) if cap != CAP]
    over = dict(zip(others, corrected([pairs[place] for place in others]), strict=True))
    for place, (method, lr, cap) in enumerate(chosen):
        rows = runs.under(method, cap, lr)
        lost = [one for row in rows if (one := runs.forgotten(row)) is not None]
        found.append(
            {
                **{"method": method, "lr": lr, "kl_cap": cap},
                **(summed(runs.capped(method, cap, lr)) or {}),
                "over_cap": said(over[place]) if place in over else None,
                "lost": max(lost),
                "kl_base": fmean(row["kl_base"] for row in rows),
            }
        )
    return found


def changes(runs: Runs) -> list[dict[str, Any]]:
    """Every run with one thing changed, less the same run without; corrected for how many there are."""
    asked = sorted({(row["method"], row["lr"], row["changes"]) for row in runs.rows if row["changes"]})
    pairs = [(runs.changed(method, lr, change), runs.changed(method, lr, "")) for method, lr, change in asked]
    differences = corrected([compared(*pair) for pair in pairs])
    return [
        {"method": method, "lr": lr, "changes": change, **(summed(pair[0]) or {}), "over_plain": said(difference)}
        for (method, lr, change), pair, difference in zip(asked, pairs, differences, strict=True)
    ]


def bounded(claim: Claim, runs: Runs) -> tuple[bool, bool]:
    """Whether the best rates of a claim's sides lie between others; so they do where no rate is chosen."""
    return claim.ask.bounded(runs) if isinstance(claim.ask, Best) else (True, True)


def claims(models: dict[str, Runs]) -> list[dict[str, Any]]:
    """Every claim on both models, all comparisons corrected together."""
    asked = [
        (claim, name, replace(compared(*claim.ask(runs)), bounded=bounded(claim, runs)))
        for claim in CLAIMS
        for name, runs in models.items()
    ]
    done = corrected([one for _, _, one in asked])
    by_claim: dict[str, dict[str, Compared]] = {}
    for (claim, name, _), one in zip(asked, done, strict=True):
        by_claim.setdefault(claim.says, {})[name] = one
    return [
        {
            **{key: value for key, value in vars(claim).items() if key != "ask"},
            **{name: said(one) for name, one in by_claim[claim.says].items()},
            "against": is_against(list(by_claim[claim.says].values())),
            "verdict": "not decidable here"
            if claim.beside
            else verdict(list(by_claim[claim.says].values()), claim.margin),
        }
        for claim in CLAIMS
    ]
