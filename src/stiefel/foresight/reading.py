"""What the figures of a preflight say, in sentences that are made from the numbers."""

from __future__ import annotations

import math

from .figures import NO_MATRIX, MethodSteps, Preflight
from .rate import TOLERANCE

ALIKE = 1.05  # ratios below are close to equal


def reading(found: Preflight) -> list[str]:
    """A few sentences, the first method as the measure of the others."""
    first, *others = found.methods
    lines = [*starts(found), *sizes(found, first, others), *budgets(found, first, others)]
    lines += [f"{one.method} has no ratio: {NO_MATRIX}." for one in found.methods if not one.matrices]
    return lines


def starts(found: Preflight) -> list[str]:
    """Whether every method began at the base, as they must for the same samples to be fair to all."""
    away = [one for one in found.methods if one.start_difference]
    if not away:
        which = "Every start equals" if len(found.methods) > 1 else "The start equals"
        return [f"{which} the base's policy on these samples, to the bit, so that they are its own."]
    worst = max(away, key=lambda one: one.start_difference)
    return [
        f"{worst.method} starts up to {worst.start_difference:.2g} from the base's log-probabilities, and its KL holds "
        "that too."
    ]


def sizes(found: Preflight, first: MethodSteps, others: list[MethodSteps]) -> list[str]:
    """How large the steps are beside each other and beside full fine-tuning's."""
    lines = [
        f"Under plain gradient descent no matrix of {one.method} steps further than s² = {one.bound:g} times full "
        f"fine-tuning (Prop. 5.3); together they step {one.ratio:.3g} times."
        for one in found.methods
        if one.bound is not None and one.ratio is not None
    ]
    lines += amplified(found)
    if not found.lr:
        return [*lines, "optim.lr = 0: the run's first step moves nothing."]
    if found.warmup != 1:
        lines.append(f"The warm-up makes the first step's rate {found.warmup:.3g} of optim.lr.")
    for one in others:
        if one.step and first.step:
            lines.append(
                f"At lr {found.lr:g} {one.method}'s first step is {times(one.step / first.step)} {first.method}'s "
                f"(‖ΔW₁‖_F {one.step:.3g} against {first.step:.3g}){costs(one, first)}."
            )
    return lines


def amplified(found: Preflight) -> list[str]:
    """What the singular values in PiSSA's factors make of its step, beside OLoRA's where that is among the methods."""
    by_name = {one.method: one for one in found.methods}
    if "pissa" not in by_name:
        return []
    pissa, olora = by_name["pissa"], by_name.get("olora")
    bounds = {one.name: one.over_olora for one in pissa.matrices if one.over_olora is not None}
    said = (
        f"Under plain gradient descent a matrix of pissa steps at least {min(bounds.values()):.2g} to "
        f"{max(bounds.values()):.2g} times as far as olora's, σ_r of its factors (Theorem 4.1)"
    )
    if olora is None or not olora.ratio or not pissa.ratio:
        return [f"{said}."]
    theirs = {one.name: one.descent for one in olora.matrices if one.descent}
    least = min(one.descent / theirs[one.name] / bounds[one.name] for one in pissa.matrices if one.name in theirs)
    return [
        f"{said}; together they step {pissa.ratio / olora.ratio:.3g} times as far, and none less than {least:.3g} "
        "times its own bound."
    ]


def costs(one: MethodSteps, first: MethodSteps) -> str:
    """The ratio of their KLs."""
    if not (first.kl > 0 and math.isfinite(one.kl) and math.isfinite(first.kl)):
        return ""
    return f" and costs {times(one.kl / first.kl)} the KL"


def times(ratio: float) -> str:
    """`3.1×`; three digits where two would say 1."""
    return f"{ratio:.3g}×" if 1 / ALIKE < ratio < ALIKE else f"{ratio:.2g}×"


def budgets(found: Preflight, first: MethodSteps, others: list[MethodSteps]) -> list[str]:
    """What the recipe's rate spends, and which rate would spend the budget."""
    lines = []
    for one in found.methods:
        if not one.budget.reached:
            lines.append(
                f"{one.method} cannot spend {found.kl_budget:g} nats a token in one step: {one.budget.why} "
                f"(nearest: lr {one.budget.rate:.3g} costs {one.budget.kl:.3g})."
            )
    if found.lr:
        kl = first.kl_at_lr
        lines.append(
            f"At lr {found.lr:g} a step of {first.method} costs {kl:.2g} nats a token, {kl / found.kl_budget:.2g} "
            f"times the budget of {found.kl_budget:g}."
        )
    rates = {one.method: one.budget.rate for one in found.methods if one.budget.reached}
    if rates:
        spent = ", ".join(f"{method} {rate:.3g}" for method, rate in rates.items())
        lines.append(f"Rates that spend it, measured to {100 * TOLERANCE:g}%: {spent}.")
    if others and len(rates) > 1 and max(rates.values()) > ALIKE * min(rates.values()):
        spread = max(rates.values()) / min(rates.values())
        lines.append(
            f"They differ by {spread:.2g}×: at one learning rate these methods would not be compared at one step size."
        )
    return lines
