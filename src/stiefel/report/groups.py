"""Runs that stand side by side: those of one learning rate, or each method at a rate of its own."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

OWN = "each at its own rate"


@dataclass(frozen=True, order=True)
class Group:
    """What one chart or one block of table rows holds; `words` as a title says it, `short` as a part of one."""

    place: float
    words: str
    short: str


def rate(lr: float) -> str:
    """0.0003 → 3e-4; to three digits, which a rate that a rule found has more of."""
    if lr == 0:
        return "0"
    mantissa, exponent = f"{lr:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def spanned(rates: Sequence[float]) -> str:
    """One rate, or from the lowest to the highest where a rule gave the seeds rates of their own."""
    return " to ".join(dict.fromkeys(map(rate, (min(rates), max(rates)))))


def of_rate(lr: float) -> Group:
    """The runs of one learning rate."""
    return Group(lr, f"learning rate {rate(lr)}", f"rate {rate(lr)}")


def of_own_rates(number: int, most: int) -> Group:
    """The runs of each method's only rate, or of the `number`-th of those that it has, ascending."""
    words = OWN if most == 1 else f"{OWN}, {number + 1} of {most}"
    return Group(number, words, words)


def groups(runs: Sequence[tuple[str, Hashable, float]], *, matched: bool) -> list[Group]:
    """The group of each run, given as (method, all of its settings but rate and seed, rate).

    Rates that were chosen for each method by one rule (`matched`) are one group, however they turned out. Methods that
    have no rate in common stand side by side at rates of their own too: the lowest of each, then the next.
    """
    if matched:
        return [of_own_rates(0, 1) for _ in runs]
    of_method: dict[str, set[float]] = {}
    of_settings: dict[Hashable, set[float]] = {}
    for method, settings, lr in runs:
        of_method.setdefault(method, set()).add(lr)
        of_settings.setdefault(settings, set()).add(lr)
    if len(of_method) < 2 or set.intersection(*of_method.values()):
        return [of_rate(lr) for _, _, lr in runs]
    most = max(map(len, of_settings.values()))
    return [of_own_rates(sorted(of_settings[settings]).index(lr), most) for _, settings, lr in runs]
