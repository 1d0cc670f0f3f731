"""On a real model's weights, and on shapes of 1.5B: `python -m benchmarks.real [--parts …]`. Needs `make smollm2`.

Medians and ratios of one run: each start against the exact solver, GeoRA matrix by matrix and as a whole command
against full SVDs, PEFT's PiSSA beside ours, a training step beside TRL's, `init` where everything is cached, and a
rollout whose completions share their prompts (this needs `make smollm2-warm`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from benchmarks.init import against_peft, command
from benchmarks.machine import keep, kept, seconds
from benchmarks.pairs import ratio
from benchmarks.synthetic import write_checkpoint
from scripts.smollm2 import HOME
from stiefel.methods import METHODS, Layer, find_method
from stiefel.quiet import quiet

RANK, THREADS = 16, 2
LAYERS = (0, 10, 20, 29)  # of the real model's 30, for all methods but GeoRA, of which every matrix is asked


def matrices(checkpoint: Path) -> Iterator[tuple[str, Tensor]]:
    """Every target of a checkpoint, one in memory at a time."""
    for shard in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(shard, "pt") as file:
            for name in sorted(file.keys()):
                if name.endswith("_proj.weight"):
                    yield name, file.get_tensor(name)


def start_seconds(method: str, name: str, W: Tensor, solver: Any) -> float:
    """Seconds of one matrix's start, without a cache."""
    chosen = find_method(method)
    return seconds(lambda: chosen.factors(Layer(name, W, RANK, 2.0, 0, chosen.resolve_options({}), solver)))


def paired(checkpoint: Path, method: str, layers: Sequence[int] | None = None) -> dict[str, Any]:
    """Seconds of `auto` over those of `exact`, matrix by matrix, one right after the other, the order alternating.

    The median of three pairs where one of them says that `auto` is the slower one: a pause of the machine is no pair.
    """
    ratios, totals = [], {"auto": 0.0, "exact": 0.0}
    for number, (name, W) in enumerate(matrices(checkpoint)):
        if layers is not None and int(name.split(".")[2]) not in layers:
            continue
        pairs = [pair(method, name, W, number)]
        if pairs[0]["auto"] > pairs[0]["exact"]:
            pairs += [pair(method, name, W, turn) for turn in (number + 1, number)]
        found = sorted(pairs, key=lambda each: each["auto"] / each["exact"])[len(pairs) // 2]
        ratios.append(found["auto"] / found["exact"])
        for solver, elapsed in found.items():
            totals[solver] += elapsed
    return {
        "matrices": len(ratios),
        "median": statistics.median(ratios),
        "worst": max(ratios),
        "total": totals["auto"] / totals["exact"],
    }


def pair(method: str, name: str, W: Tensor, turn: int) -> dict[str, float]:
    """Seconds of each solver, which goes first by `turn`."""
    return {solver: start_seconds(method, name, W, solver) for solver in ("auto", "exact")[:: 1 if turn % 2 else -1]}


def starts(checkpoint: Path, layers: Sequence[int] | None = None) -> dict[str, Any]:
    """Every start that solves for some of W's triplets, against the exact solver."""
    chosen = [method.name for method in METHODS if method.needs in ("top", "bottom")]
    return {name: paired(checkpoint, name, None if name == "geora" else layers) for name in chosen}


def svd_of_every_matrix(checkpoint: Path) -> float:
    """Seconds of torch's full SVD in float32 of every target."""

    def svd(W: Tensor) -> float:
        return seconds(lambda: torch.linalg.svd(W, full_matrices=False))

    return sum(svd(W.to(torch.float32)) for _, W in matrices(checkpoint))


def whole_command(checkpoint: Path, tiny: Path) -> dict[str, Any]:
    """`stiefel init --method geora` less its start-up, against a float32 SVD of every matrix."""
    whole, start = (
        statistics.median(command(place, "geora", RANK)[0] for _ in range(3)) for place in (checkpoint, tiny)
    )
    direct = svd_of_every_matrix(checkpoint)
    return {"svd_seconds": direct, "init_seconds": whole - start, "times_faster": direct / (whole - start)}


def warm(checkpoint: Path, cache: Path) -> dict[str, Any]:
    """Seconds of the whole `init` command where everything is cached, and of importing what it needs."""
    imports = [sys.executable, "-c", "import stiefel.cli.adapters, stiefel.adapter.streamed"]
    found: dict[str, Any] = {
        "imports_seconds": statistics.median(
            seconds(lambda: subprocess.run(imports, check=True, capture_output=True)) for _ in range(5)
        )
    }
    for method in ("rlpo", "pissa", "geora"):
        command(checkpoint, method, RANK, cache)
        found[method] = statistics.median(command(checkpoint, method, RANK, cache)[0] for _ in range(5))
    return found


def steps(pairs: int = 4, processes: int = 4) -> dict[str, Any]:
    """A training step of ours over one of TRL's with PEFT's LoRA, on the same completions."""
    return {
        kind: ratio("benchmarks.real_step", first, kind, pairs, processes)
        for first, kind in (("trl", "lora"), ("trl", "rlpo"), ("trl", "pissa"))
    }


PARTS = ("135M", "1.5B", "geora", "peft", "step", "warm", "shared")


def main() -> None:
    """Run what is asked for and keep it; parts that are not measured again stay as they were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--layers", type=int, default=2, help="of the checkpoint of 1.5B's shapes")
    arguments = parser.parse_args()
    quiet()
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        os.environ["STIEFEL_CACHE"] = str(work / "cache")
        tiny, large = work / "tiny", work / "1.5B"
        write_checkpoint(tiny, "1.5B", 1, width=1 / 12)
        write_checkpoint(large, "1.5B", arguments.layers, spectrum="power")
        measures: dict[str, Callable[[], Any]] = {
            "135M": lambda: starts(HOME, LAYERS),
            "1.5B": lambda: starts(large, (0,)),
            "geora": lambda: whole_command(large, tiny),
            "peft": lambda: against_peft(HOME),
            "step": steps,
            "warm": lambda: warm(HOME, work / "warm"),
            "shared": lambda: ratio("benchmarks.real_shared", "whole", "shared", 4, 4),
        }
        chosen = arguments.parts.split(",")
        results = {**kept("real"), "rank": RANK, "layers": arguments.layers}
        for part in chosen:
            results[part] = measures[part]()
            keep("real", results)  # each by itself: all of them take half an hour


if __name__ == "__main__":
    main()
