"""Regenerate what docs/collapsed.md quotes of the kept runs on nano: `python -m scripts.collapsed`."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.step import RATES
from scripts.methods import LABORATORY
from scripts.readme import replace_block

PAGE = Path(__file__).parents[1] / "docs" / "collapsed.md"
LAST = 15
FIGURES = ("median `kl_step`", "largest `kl_base`", "median `clip_fraction`", "largest `grad_norm_max`", "`entropy`")

Curves = dict[str, Any]


def measured(curves: Curves, key: str) -> list[float]:
    """The values of the rollouts at which a figure was measured."""
    return [value for value in curves[key] if value is not None]


def line(runs: list[Curves]) -> tuple[float, str]:
    """A method at a rate, the mean over its seeds: by what it is sorted, and a row."""
    step = fmean(median(measured(run, "kl_step")) for run in runs)
    base = fmean(max(measured(run, "kl_base")) for run in runs)
    clipped = fmean(median(measured(run, "clip_fraction")) for run in runs)
    gradient = fmean(max(measured(run, "grad_norm_max")) for run in runs)
    entropy = fmean(fmean(measured(run, "entropy")[-LAST:]) for run in runs)
    reward = fmean(fmean(run["reward"][-LAST:]) for run in runs)
    figures = (f"{step:.1e}", f"{base:.2g}", f"{clipped:.2g}", f"{gradient:.2g}", f"{entropy:.2g}")
    name = f"`{runs[0]['method']}` | {runs[0]['lr']:g}"
    return step, f"| {name} | {reward:.2f} | {' | '.join(figures)} |"


def table() -> str:
    """The main methods of the laboratory at each of their rates, the smallest step first."""
    rows = [json.loads(row) for row in (LABORATORY / "nano.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["method"] in RATES]

    def named(row: Curves) -> tuple[str, float]:
        return row["method"], row["lr"]

    lines = sorted(line(list(runs)) for _, runs in groupby(sorted(rows, key=named), named))
    seeds = len({row["seed"] for row in rows})
    of_seeds = "one seed" if seeds == 1 else f"means of up to {seeds} seeds"
    head = f"| method | rate | reward, last {LAST} | {' | '.join(FIGURES)} |\n|---|{'---:|' * (len(FIGURES) + 2)}\n"
    below = (
        f"\n`recipes/nano/dapo.toml`, 60 rollouts, {of_seeds}, no cap ([all methods](laboratory.md)); reward and "
        f"entropy of the last {LAST} rollouts: "
        "`python -m benchmarks.laboratory`, the curves in `benchmarks/results/laboratory/nano.jsonl`.\n"
    )
    return head + "".join(f"{row}\n" for _, row in lines) + below


def page() -> str:
    """docs/collapsed.md as it should be."""
    return replace_block(PAGE.read_text(), "rows", table())


def write() -> None:
    """docs/collapsed.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
