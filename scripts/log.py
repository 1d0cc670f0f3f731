"""Regenerate docs/log.md, what did not work, from the kept results: `python -m scripts.log`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.study.falling import ALARMS, FIRST
from benchmarks.study.figures import LOST
from scripts.choose import none_loses_less
from scripts.laboratory import under_the_cap
from scripts.readme import replace_block
from scripts.results import results
from scripts.which import listed

PAGE = Path(__file__).parents[1] / "docs" / "log.md"


def entries() -> list[tuple[str, str]]:
    """What was tried, and what came of it, with where it stands."""
    return [order(), first_rollout(), falls(), cap_alone(), choice(), *starts()]


def order() -> tuple[str, str]:
    """The order of the methods."""
    found = results("laboratory")
    stable, undecided = found["nano"]["stability"], [one["verdict"] for one in found["claims"]]
    return (
        "To say which of the methods is best",
        f"{stable['seeds']} seeds do not: Kendall's τ between the orders of two halves of them is "
        f"{stable['tau']:.2f} in the mean and {stable['lowest']:.2f} at the least, and "
        f"{undecided.count('not decidable here')} of {len(undecided)} claims stay undecided "
        "([laboratory.md](laboratory.md)).",
    )


def first_rollout() -> tuple[str, str]:
    """What can be known before a run."""
    found = results("laboratory")["explained"]
    return (
        "To foresee the reward from the first update alone, before a run",
        f"It explains {found['one']['by_step']:.0%} of the variance, the first ten rollouts "
        f"{found['ten']['by_step']:.0%}: AdamW's first step is of another size than those that follow, and not by "
        "the same factor for every method. AdaLoRA's moves its E alone, beside factors near 0, so that the rate at "
        "which it costs 1e-3 is some ten times too large for it.",
    )


def falls() -> tuple[str, str]:
    """Whether a warning is worth it."""
    found = results("laboratory")["falling"]
    best, step = found["all"], found["step"]
    vain, by_step = (one["other"]["false_alarms"][0] for one in (best, step))
    low, high = best["interval"]
    return (
        f"To warn of a fall after {FIRST} rollouts",
        f"On methods that were held out the AUC is {best['auc']:.2f} [{low:.2f}, {high:.2f}], by the step alone "
        f"{step['auc']:.2f}; a warning that is meant to be in vain for {ALARMS[0]:.0%} of the runs that do not fall "
        f"finds {best['found'][0]:.0%} of {found['falls']} falls and is in vain for {best['false_alarms'][0]:.0%}; "
        f"the Brier score is {best['brier']:.3f} ({step['brier']:.3f} by the step), that of always saying the share "
        f"of falls {best['brier_of_the_share']:.3f}. Fitted on nano and tried on SmolLM2 it is in vain for "
        f"{vain:.0%} of the runs that do not fall ({by_step:.0%} by the step alone); {found['other_falls']} of "
        f"{found['other_runs']} fell. So neither `train` nor the report warns by it. Under a cap of 1e-3 there fell "
        f"{under_the_cap(found['under_the_cap'])} ([laboratory.md](laboratory.md#can-a-fall-be-foreseen)).",
    )


def cap_alone() -> tuple[str, str]:
    """What a cap does not see."""
    found = results("step")["methods"]
    lost, held = (
        {method: max(one["lost"] for one in mine[kind].values()) for method, mine in found.items() if mine[kind]}
        for kind in ("capped", "capped_rows")
    )
    worst = max(lost, key=lost.__getitem__)
    others = [method for method, most in lost.items() if most >= LOST and method != worst]
    return (
        "To keep old skills by a cap on the step alone",
        f"A run of `{worst}` under it lost {lost[worst]:.2f} of one; so did, by {LOST:g} or more, runs of "
        f"{listed(others)}. With rows of the old skills beside it no run "
        f"lost more than {max(held.values()):.2f} ([step.md](step.md)).",
    )


def choice() -> tuple[str, str]:
    """How good a cheap choice can be."""
    found = results("choose")["on_curves"]
    return (
        "To choose better for a fifth of a grid by another schedule of halving",
        f"Of {found['other_schedules']} schedules that the budget pays for {none_loses_less(found)}. The luckiest of "
        f"them lies inside the best cell's interval in {found['inside_of_the_best_schedule']:.0%} of the cases, ours "
        f"in {found['inside_winner']:.0%}, the grid's own best cell in {found['inside_best_cell']:.0%} "
        "([choose.md](choose.md)).",
    )


def starts() -> list[tuple[str, str]]:
    """What starts cost where our aim was not met: exact masks, exact triplets, imports."""
    found = results("real")
    geora, peft, warm = found["geora"], found["peft"], found["warm"]
    fast = results("init")["command"]
    faster = fast["direct_seconds"]["one"] / fast["net_seconds"]["geora"]
    return [
        (
            "To make `stiefel init --method geora` three times as fast as one full SVD of each matrix",
            f"At 1.5B's shapes it is {geora['times_faster']:.1f} times as fast, and {faster:.1f} times with spectra "
            "that fall faster, those of the [README](../README.md#what-a-start-costs). Its masks are decided exactly, "
            "from WᵀW in float64, and that and two eigenproblems are half of its time "
            "([real-model.md](real-model.md)).",
        ),
        (
            "To be as fast as PEFT's `pissa_niter_4` on a small model",
            f"`attach` takes {peft['ratio']:.1f} times as long on SmolLM2-135M, where it keeps "
            f"{peft['stiefel_worst_energy']:.5f} of the best energy and PEFT {peft['peft_worst_energy']:.3f}.",
        ),
        (
            "To begin at once where everything is cached",
            f"Of the {warm['rlpo']:.1f} s that `init` takes nearly all are imports of torch, transformers and PEFT.",
        ),
    ]


def page() -> str:
    """docs/log.md as it should be."""
    rows = "".join(f"| {tried} | {came} |\n" for tried, came in entries())
    return replace_block(
        PAGE.read_text(encoding="utf-8"), "tried", f"| what was wanted | what came |\n|---|---|\n{rows}"
    )


def write() -> None:
    """docs/log.md."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
