"""Solver against solver, in memory: what each method needs of one layer's matrices, against torch's full SVD."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import device, keep, seconds
from benchmarks.synthetic import heavy_tailed, shapes
from stiefel.methods import Layer, find_method
from stiefel.spectrum.solver import bottom_triplets, top_triplets

RANK = 16


def full_svd(W: Tensor) -> None:
    """As the authors' script and PEFT's PiSSA call it."""
    torch.linalg.svd(W, full_matrices=False)


def full_svd_tall(W: Tensor) -> None:
    """The same, of the transpose where that is the tall one, which torch solves faster."""
    torch.linalg.svd(W if W.shape[0] >= W.shape[1] else W.T, full_matrices=False)


def geora_by_full_svds(W: Tensor) -> None:
    """GeoRA written down directly: two full SVDs and two sorts."""
    U, S, Vh = torch.linalg.svd(W, full_matrices=False)
    near = (U[:, :RANK] * S[:RANK]) @ Vh[:RANK]
    keep = torch.zeros_like(W, dtype=torch.bool)
    for values in (near.abs(), W.abs()):
        threshold = values.flatten().sort().values[int(0.2 * values.numel()) - 1]
        keep |= values <= threshold
    torch.linalg.svd(W * keep, full_matrices=False)


def geora(W: Tensor) -> None:
    """Ours."""
    method = find_method("geora")
    method.factors(Layer("layer", W, RANK, 2.0, 0, method.resolve_options({})))


def solved(solution: object) -> None:
    """A fast solver that gives up would not be one."""
    assert solution is not None


def energies(W: Tensor) -> dict[str, float]:
    """The captured energy against the best possible, by float64 singular values."""
    S = torch.linalg.svdvals((W if W.shape[0] >= W.shape[1] else W.T).to(torch.float64))
    top, bottom = top_triplets(W, RANK), bottom_triplets(W, RANK) or bottom_triplets(W, RANK, torch.float64)
    assert top is not None
    assert bottom is not None
    W64 = W.to(torch.float64)
    found_top, found_bottom = (float((W64 @ s.triplets.Vh.T).square().sum()) for s in (top, bottom))
    return {
        "top_energy": found_top / float(S[:RANK].square().sum()),
        "bottom_energy": found_bottom / float(S[-RANK:].square().sum()),
    }


def compare(repeats: int = 3) -> dict[str, Any]:
    """Seconds for the seven matrices of one layer with Qwen2.5-1.5B's shapes, and the ratios."""
    rows, total = [], dict.fromkeys(("svd", "svd_tall", "top", "bottom", "geora_svds", "geora"), 0.0)
    for number, (name, (m, n)) in enumerate(shapes("1.5B").items()):
        W = heavy_tailed(m, n, number).bfloat16().to(device(), torch.float32)
        times = {
            "svd": seconds(lambda W=W: full_svd(W)),
            "svd_tall": seconds(lambda W=W: full_svd_tall(W)),
            "top": seconds(lambda W=W: solved(top_triplets(W, RANK)), repeats),
            "bottom": seconds(
                lambda W=W: solved(bottom_triplets(W, RANK) or bottom_triplets(W, RANK, torch.float64)), repeats
            ),
            "geora_svds": seconds(lambda W=W: geora_by_full_svds(W)),
            "geora": seconds(lambda W=W: geora(W), repeats),
        }
        rows.append({"matrix": name, "shape": [m, n], "seconds": times, **energies(W)})
        for key, value in times.items():
            total[key] += value
    return {
        "rank": RANK,
        "matrices": rows,
        "seconds": total,
        "ratio": {
            "rlpo_pissa": total["svd"] / total["top"],
            "rlmo": total["svd"] / total["bottom"],
            "geora": total["geora_svds"] / total["geora"],
        },
        "ratio_to_svd_of_the_tall_orientation": {
            "rlpo_pissa": total["svd_tall"] / total["top"],
            "rlmo": total["svd_tall"] / total["bottom"],
        },
    }


if __name__ == "__main__":
    keep("solvers", compare())
