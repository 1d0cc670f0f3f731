"""Regenerate what docs/real-model.md quotes, from the kept results: `python -m scripts.real`."""

from __future__ import annotations

from pathlib import Path

from scripts.readme import replace_block
from scripts.results import RESULTS, results

RAN = "Runs of one thread went on two at a time, one of two threads alone."
PAGE = Path(__file__).parents[1] / "docs" / "real-model.md"


def learned() -> str:
    """Scores before and after DAPO, of each method and seed."""
    found = results("smollm2")
    lines = ["| method, rate | seed | before | after | gain | KL to base | minutes, threads |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for method, rows in found.items():
        if method in ("warm_base", "machine"):
            continue
        for seed, run in enumerate(rows["runs"]):
            cells = (
                f"{method}, {rows['rate']:g}",
                str(seed),
                f"{run['before']:.3f}",
                f"{run['after']:.3f}",
                f"{run['after'] - run['before']:+.3f}",
                f"{run['kl_base']:.2g}",
                f"{run['seconds'] / 60:.0f}, {run.get('threads', 1)}",  # runs of before had one
            )
            lines.append(f"| {' | '.join(cells)} |")
    base = f"The warm base's weights have the SHA-256 {found['warm_base'][:16]}…"
    said = f"Means of the three tasks' scores, of at most 100 held-out questions each. {RAN} {base}"
    return "\n".join(lines) + f"\n\n{said}: `python -m benchmarks.smollm2`.\n"


def costs() -> str:
    """What a start costs on real weights and on 1.5B's shapes, against what."""
    found = results("real")
    lines = [
        "| time over `--solver exact` | 135M: median, worst matrix | 1.5B's shapes: median, worst matrix |",
        "|---|---:|---:|",
    ]
    for method, real in found["135M"].items():
        large = found["1.5B"][method]
        lines.append(
            f"| `{method}` | {real['median']:.2f}, {real['worst']:.2f} | {large['median']:.2f}, {large['worst']:.2f} |"
        )
    geora, peft = found["geora"], found["peft"]
    rows = [
        f"- `stiefel init --method geora` on 1.5B's shapes, less its start-up, is {geora['times_faster']:.1f} times as "
        "fast as one float32 `torch.linalg.svd` of every matrix. The README's ratios of GeoRA are of spectra that fall "
        "faster, and its larger ones against the direct way, two such SVDs and two sorts of every matrix.",
        f"- `attach` with PiSSA takes {peft['ratio']:.1f} times as long as PEFT's `pissa_niter_4` and keeps "
        f"{peft['stiefel_worst_energy']:.5f} of the best energy, PEFT's {peft['peft_worst_energy']:.3f} (the worst "
        "matrix of a layer).",
    ]
    if "step" in found:
        over = ", ".join(f"`{kind}` {ratio['total']:.3f}" for kind, ratio in found["step"].items())
        rows.append(f"- A training step over TRL's with PEFT's LoRA, on the same completions: {over}.")
    if "warm" in found:
        warm = found["warm"]
        rows.append(
            f"- `init` with everything cached: {warm['rlpo']:.1f} s for RLPO, {warm['geora']:.1f} s for GeoRA, of "
            f"which importing torch, transformers and PEFT takes {warm['imports_seconds']:.1f} s."
        )
    if "shared" in found:
        low, high = found["shared"]["total_interval"]
        rows.append(
            "- A rollout of `recipes/smollm2/skills.toml`, whose prompts are longer than its answers, takes "
            f"{found['shared']['total']:.2f} [{low:.2f}, {high:.2f}] of its time with `rollout.share_prompts`."
        )
    where = f"Rank {found['rank']}, two threads, {found['machine']['device']}: `python -m benchmarks.real`."
    return "\n".join([*lines, "", *rows, "", where]) + "\n"


def page() -> str:
    """docs/real-model.md as it should be."""
    text = replace_block(PAGE.read_text(), "costs", costs())
    return replace_block(text, "learned", learned()) if (RESULTS / "smollm2.json").is_file() else text


def write() -> None:
    """docs/real-model.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
