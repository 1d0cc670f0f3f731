"""The table of docs/geometry.md: what looking costs beside what is allowed, from the kept result."""

from __future__ import annotations

from typing import Any

from scripts.results import results

ALLOWED = 0.03  # of a nano step, for the live callback at every tenth


def cost_table() -> str:
    """The live callback's share of a step with its interval, and `inspect` beside `init`; each with its limit."""
    found = results("geometry")
    watched, looked = found["live"], found["inspect"]
    net, whole, memory = looked["net_seconds"], looked["whole_seconds"], looked["above_torch_mb"]
    rows = [
        (
            "live: what a measurement adds to ten steps (95% interval)",
            interval(watched),
            f"≤ {100 * ALLOWED:g}%",
        ),
        (
            "live: the same by the measurement's own clock",
            f"{1000 * watched['measurement_seconds']:.3g} ms over 10 × {1000 * watched['step_seconds']:.3g} ms: "
            f"{percent(watched['share_by_its_own_clock'])}",
            f"≤ {100 * ALLOWED:g}%",
        ),
        (
            "`inspect`, cold, over `init` of `rlpo`, cold",
            f"{seconds(net['inspect_cold'])} over {seconds(net['init_cold'])}: {looked['cold_over_init']:.2f}×",
            "≤ 2×",
        ),
        (
            "`inspect`, cold over warm",
            f"{seconds(net['inspect_cold'])} over {seconds(net['inspect_warm'])}: {looked['cold_over_warm']:.1f}×",
            "≥ 5×",
        ),
        (
            "`inspect`, peak memory above torch's own; `init`'s",
            f"{memory['inspect']:.0f} MiB; {memory['init']:.0f} MiB",
            f"≤ {memory['bound']:.0f} MiB",
        ),
        ("`inspect --also tail`, cold, over `init`", f"{looked['cold_with_the_tail_over_init']:.2f}×", ""),
    ]
    lines = ["| | measured | needed |", "|---|---:|---:|", *(f"| {' | '.join(row)} |" for row in rows)]
    machine = found["machine"]
    where = (
        f"Live: nano, `rlpo`, rank 8, rollouts of one update, {watched['looks']} measurements, one at every third; "
        "what it adds is the processor time of the rollout with it and of the next one, less twice that of the one "
        "after. "
        f"`inspect` and `init`: Qwen2.5-1.5B's shapes, {looked['layers']} layers of synthetic weights, rank "
        f"{looked['rank']}; times are net of those on a model of one tiny layer (whole "
        f"processes of `inspect`: cold {seconds(whole['inspect cold'])}, warm {seconds(whole['inspect warm'])}). "
        f"{machine['device']}, {machine['cores']} cores: `python -m benchmarks.geometry`."
    )
    return "\n".join([*lines, "", where, ""])


def interval(watched: dict[str, Any]) -> str:
    """`1.2% [0.4%, 2.0%]`."""
    low, high = watched["share_95"]
    return f"{percent(watched['share_at_every_10th_step'])} [{percent(low)}, {percent(high)}]"


def percent(share: float) -> str:
    """One digit after the point."""
    return f"{100 * share:.1f}%"


def seconds(value: float) -> str:
    """Three digits, but all of the whole ones."""
    return f"{value:.0f} s" if value >= 100 else f"{value:.3g} s"
