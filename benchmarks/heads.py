"""S_Head of sBA, in seconds a run, for the kept spectra of runs that were repeated after those were looked at.

`python -m benchmarks.heads runs/geometry` adds the figure to `benchmarks/results/spectra.json`, and S_Head of the true
change in the repeated runs beside it, so that the two can be held against each other: the same seeds on another
processor end in other bits. `benchmarks.spectra` measures both by itself, of the same runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, machine
from benchmarks.spectra import is_paper_s, over
from stiefel.artifacts import ADAPTER, write_json
from stiefel.geometry import LayerGeometry, open_subject
from stiefel.geometry.inspection import inspect_one
from stiefel.model import Checkpoint, build_skeleton, model_files
from stiefel.quiet import quiet
from stiefel.report.runs import Run, read_runs
from stiefel.spectrum import SpectrumCache

CHANGE, PRODUCT = "s_head", "s_head_product"
SCOPES = ("all", "q and o")


def look(run: Run) -> dict[str, list[LayerGeometry]]:
    """The cheap figures of every matrix of one run, by scope."""
    directory = model_files(run.recipe.model.path, run.recipe.model.revision)
    subject, skeleton = open_subject(run.path / ADAPTER), build_skeleton(directory)
    checkpoint, store = Checkpoint(directory, skeleton), SpectrumCache()
    targets = subject.targets(skeleton)
    layers = [inspect_one(checkpoint, target, subject, run.rank, (), store) for target in targets]
    depth = 1 + max(layer.depth for layer in layers if layer.depth is not None)
    return {"all": layers, "q and o": [layer for layer in layers if is_paper_s(layer, depth)]}


def mean(layers: Sequence[LayerGeometry], figure: str) -> float:
    """Over the matrices."""
    return statistics.fmean(vars(layer)[figure] for layer in layers)


def add(kept: dict[str, Any], runs: Sequence[Run]) -> dict[str, Any]:
    """The kept spectra with S_Head of sBA; of the starts with B₀A₀ = 0 and of full weights it is that of the change."""
    repeated = {}
    for variant in kept["variants"]:
        mine = [run for run in runs if (run.method, run.lr) == (variant["method"], variant["lr"])]
        mine.sort(key=lambda run: run.seed)
        anchored = "start_norm" in variant["all"] and variant["all"]["start_norm"]["mean"] > 0
        if anchored and [run.seed for run in mine] != variant["seeds"]:
            raise SystemExit(f"{variant['method']} starts with B₀A₀ ≠ 0: its seeds {variant['seeds']} must be repeated")
        looked = [look(run) for run in mine] if anchored else []
        for scope in SCOPES:
            variant[scope][PRODUCT] = (
                over([mean(one[scope], PRODUCT) for one in looked]) if anchored else variant[scope][CHANGE]
            )
        if anchored:
            repeated[variant["method"]] = over([mean(one["all"], CHANGE) for one in looked])
            print(variant["method"], f"S_Head of sBA {variant['all'][PRODUCT]['mean']:.3f}", flush=True)
    return {**kept, "repeated": {"s_head": repeated, "machine": machine()}}


def main() -> None:
    """Add to the kept result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comparison", type=Path)
    quiet()
    path = RESULTS / "spectra.json"
    found = add(
        json.loads(path.read_text()), [run for run in read_runs(parser.parse_args().comparison) if run.finished]
    )
    write_json(path, found)
    print(path)


if __name__ == "__main__":
    main()
