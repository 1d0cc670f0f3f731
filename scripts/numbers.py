"""The README's table of what `stiefel init` costs, from the kept results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def results(name: str) -> dict[str, Any]:
    """One kept result."""
    found = json.loads((RESULTS / f"{name}.json").read_text())
    assert isinstance(found, dict)
    return found


def init_table() -> str:
    """What was measured, against what, and what the aim was."""
    found = results("init")
    table7 = results("init-7b") if (RESULTS / "init-7b.json").is_file() else {}
    solvers, command, peft = found["solvers"]["ratio"], found["command"]["ratio"], found["peft"]
    memory = found["memory"]
    peaks = [peak for methods in memory["above_torch_mb"].values() for peak in methods.values()]
    depths = {depth: max(methods.values()) for depth, methods in memory["above_torch_mb"].items()}
    energy = min(row["top_energy"] for row in found["solvers"]["matrices"])
    tail = max(row["bottom_energy"] for row in found["solvers"]["matrices"])
    rows = [
        (
            "solver against `torch.linalg.svd` (float32), one layer in memory",
            f"RLPO, PiSSA {solvers['rlpo_pissa']:.0f}×, RLMO {solvers['rlmo']:.1f}×, GeoRA {solvers['geora']:.1f}×",
            "20×, 6×, 8×",
        ),
        (
            "the same against the SVD of the tall orientation",
            ", ".join(
                f"{name} {found['solvers']['ratio_to_svd_of_the_tall_orientation'][key]:.1f}×"
                for name, key in (("RLPO, PiSSA", "rlpo_pissa"), ("RLMO", "rlmo"))
            ),
            "",
        ),
        (
            "energy captured, against the best possible (worst matrix)",
            f"top {energy:.5f}, bottom {tail:.4f}",
            "≥ 0.999, ≤ 1.01",
        ),
        (
            f"whole command against reading and full SVD, {found['layers']} layers",
            ", ".join(f"{name} {ratio:.1f}×" for name, ratio in command.items()),
            "10×, 10×, 4×, 3×",
        ),
        (
            "`attach` with PiSSA, time relative to PEFT's `pissa_niter_4`",
            f"{peft['ratio']:.2f}× (energy {peft['stiefel_worst_energy']:.4f} against {peft['peft_worst_energy']:.4f})",
            "≤ 1.5×",
        ),
        (
            "peak memory above torch's own, worst method",
            f"{max(peaks):.0f} MB; " + ", ".join(f"{depth} layers {peak:.0f}" for depth, peak in depths.items()),
            f"≤ {memory['bound_mb']:.0f} MB",
        ),
        ("a second method on a warm cache, against cold", f"{found['cache']['ratio']:.1f}×", "≥ 5×"),
        (
            "time as a multiple of reading every matrix and multiplying it by (n × 32)",
            ", ".join(f"{name} {multiple:.1f}" for name, multiple in found["limit"]["multiple"].items()),
            "",
        ),
        (
            "Qwen2.5-7B's shapes, rank 32, 28 layers",
            ", ".join(
                f"{method.upper()} {table7[method]['minutes']:.1f} min, {table7[method]['peak_gib']:.2f} GiB"
                for method in ("rlpo", "rlmo")
                if method in table7
            )
            or "not measured yet",
            "RLPO < 3.5 min, < 2 GiB",
        ),
    ]
    machine = found["machine"]
    lines = ["| `stiefel init`, rank 16 | measured | aim |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + f"\n\nOn {machine['device']}, {machine['cores']} cores, no GPU: `make bench`.\n"
