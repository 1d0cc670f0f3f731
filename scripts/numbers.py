"""The README's table of what the solver costs, from the kept results."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def solver_table() -> str:
    """One layer of Qwen2.5-1.5B's shapes in memory: each method's solver against torch's full SVD in float32."""
    found = json.loads((RESULTS / "solvers.json").read_text())
    ratio, tall = found["ratio"], found["ratio_to_svd_of_the_tall_orientation"]
    energy = min(row["top_energy"] for row in found["matrices"])
    tail = max(row["bottom_energy"] for row in found["matrices"])
    rows = [
        (
            "RLPO, PiSSA",
            f"{ratio['rlpo_pissa']:.1f}×",
            f"{tall['rlpo_pissa']:.1f}×",
            f"energy {energy:.6f} of the best",
        ),
        ("RLMO", f"{ratio['rlmo']:.1f}×", f"{tall['rlmo']:.1f}×", f"energy {tail:.4f} of the least"),
        ("GeoRA", f"{ratio['geora']:.1f}×", "", "against two full SVDs and two sorts"),
    ]
    lines = ["| faster than | `torch.linalg.svd` | of the tall orientation | worst matrix |", "|---|---:|---:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    where = f"Rank {found['rank']}, {found['machine']['device']}, {found['machine']['cores']} cores"
    return "\n".join(lines) + f"\n\n{where}: `python -m benchmarks.solvers`.\n"
