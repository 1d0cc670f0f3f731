"""Regenerate what docs/step.md quotes, from the kept results: `python -m scripts.step`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.readme import replace_block
from scripts.results import RESULTS, results

PAGE = Path(__file__).parents[1] / "docs" / "step.md"
TRAINED = ("gcd", "letter_counting", "lcm")
SKILLS = ("products", "chain_sum", "basic_arithmetic", "count_bits", "spell_backward")


def reward(one: dict[str, Any] | None) -> str:
    """0.766 ± 0.022, or a dash."""
    if one is None:
        return "–"
    return f"{one['reward']:.3f}" + (f" ± {one['half']:.3f}" if one["half"] is not None else "")


def lost(part: dict[str, Any]) -> str:
    """The most that a run lost of a skill, over all nominal rates."""
    return f"{max(one['lost'] for one in part.values()):.2f}" if part else "–"


def on_nano(found: dict[str, Any]) -> str:
    """By method: without a cap at its best rate, and with one at rates that are too large."""
    nominal = [f"{lr:g}" for lr in found["nominal"]]
    head = ["method", "best rate, no cap", *(f"cap, rate {lr}" for lr in nominal), "worst of them over best"]
    head += ["most lost of an old skill: cap", "cap and rows"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for method, mine in found["methods"].items():
        if "best_rate" not in mine:
            continue
        best = mine["plain"][str(mine["best_rate"])]
        cells = [f"`{method}`", f"{mine['best_rate']:g}: {reward(best)}"]
        cells += [reward(mine["capped"].get(str(lr))) for lr in found["nominal"]]
        cells += [f"{mine['share_of_best']:.2f}", lost(mine["capped"]), lost(mine["capped_rows"])]
        lines.append(f"| {' | '.join(cells)} |")
    seeds = max(one["seeds"] for one in found["ranking"])
    of_seeds = f"{seeds} seeds with their 95% t-interval" if seeds > 1 else "one seed"
    on_rows = f", {found['dearest_on_rows_in_shares']:.2f} times on rows" if found["dearest_on_rows_in_shares"] else ""
    ranks = ", ".join(f"`{one['method']}` {reward(one)}" for one in found["ranking"])
    lines += [
        "",
        f"`recipes/nano/dapo.toml`: mean reward of the last {found['last']} of 60 rollouts, {of_seeds}; a cap of "
        f"{found['cap']:g}; old skills are reversing and sorting, 200 questions each; the rows are "
        "`recipes/nano/skills.jsonl`, none of which is a question of those tests. No update cost more than "
        f"{found['dearest_in_shares']:.2f} times its share on its own tokens{on_rows}. At the same cap, over the three "
        f"rates: {ranks}.",
    ]
    return "\n".join(lines)


def cost(found: dict[str, Any]) -> str:
    """What it adds to a rollout."""
    measured = found["cost"]

    def over(kind: str) -> str:
        low, high = measured[kind]["total_interval"]
        return f"{measured[kind]['total']:.3f} ({low:.3f} to {high:.3f})"

    return (
        f"A rollout's processor time over one without a cap, nano with LoRA: {over('capped')} where the cap never "
        f"holds, which is one more pass over each update's tokens; {over('rows')} with the 64 rows besides; "
        f"{over('shortened')} where updates are shortened, at {measured['shortened']['passes_an_update']:.1f} passes "
        "an update."
    )


def on_the_real_model(rows: list[dict[str, Any]]) -> str:
    """Two methods at ten times the rate that suits them."""
    head = ["SmolLM2, warm", "rate", "cap", "trained tasks", "other skills", "KL to base", "reward at the end"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]

    def scores(row: dict[str, Any], tasks: tuple[str, ...]) -> str:
        before, after = (sum(row[f"{task}{when}"] or 0.0 for task in tasks) / len(tasks) for when in ("_before", ""))
        return f"{before:.3f} → {after:.3f}"

    for row in sorted(rows, key=lambda row: (row["method"], row["kl_cap"])):
        kl = "–" if row["kl_base"] is None else f"{row['kl_base']:.2g}"
        cap = f"{row['kl_cap']:g}" if row["kl_cap"] else "none"
        cells = [f"`{row['method']}`", f"{row['lr']:g}", cap, scores(row, TRAINED), scores(row, SKILLS), kl]
        cells.append(f"{row['reward']:.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    said = "recipes/smollm2/skills.toml, one seed, 40 rollouts, rates ten times those at which each does best"
    return "\n".join([*lines, "", f"{said}; means of 60 held-out questions a task."])


def measured() -> str:
    """All of it."""
    found = results("step")
    parts = [on_nano(found), *([cost(found)] if "cost" in found else [])]
    parts += [on_the_real_model(found["real"])] if found["real"] else []
    where = f"{found['machine']['device']}: `python -m benchmarks.step --parts runs,figures,cost,real`; the runs are "
    codes = " and ".join(f"`{code}`" for code in found["codes"])
    where += f"the rows of benchmarks/results/laboratory, of the code {codes}."
    return "\n\n".join([*parts, where]) + "\n"


def page() -> str:
    """docs/step.md as it should be."""
    return (
        replace_block(PAGE.read_text(), "measured", measured())
        if (RESULTS / "step.json").is_file()
        else PAGE.read_text()
    )


def write() -> None:
    """docs/step.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
