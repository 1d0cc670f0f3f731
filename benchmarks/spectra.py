"""Where each method's update lies on the embedded model, over seeds: what docs/spectra.md is written from.

`stiefel compare recipes/nano/geometry.toml --out runs/geometry`, then `python -m benchmarks.spectra runs/geometry`:
half an hour of training on one core, two minutes of looking.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import keep
from stiefel.artifacts import GEOMETRY, read_jsonl
from stiefel.geometry import Inspection, LayerGeometry, inspect
from stiefel.methods import METHODS
from stiefel.quiet import quiet
from stiefel.report.runs import Run, read_runs

Figures = dict[str, float]
SHARES: dict[str, Callable[[LayerGeometry], float | None]] = {
    "relative": lambda one: one.relative,
    "nss": lambda one: one.nss,
    "s_head": lambda one: one.s_head,
    "s_head_left": lambda one: one.s_head_left,
    "s_head_right": lambda one: one.s_head_right,
    "s_head_joint": lambda one: one.s_head_joint,
    "s_head_product": lambda one: one.s_head if one.s_head_product is None else one.s_head_product,
    "s_tail": lambda one: one.s_tail,
    "s_tail_left": lambda one: one.s_tail_left,
    "s_tail_right": lambda one: one.s_tail_right,
    "s_chance": lambda one: one.s_head_chance,
    "stable_rank": lambda one: one.stable_rank,
    "effective_rank": lambda one: one.effective_rank,
    "similarity_top": lambda one: one.similarity_top,
    "similarity_bottom": lambda one: one.similarity_bottom,
    "similarity_chance": lambda one: math.sqrt(one.directions / one.shape[1]),
    "update_head": lambda one: one.update.head if one.update else None,
    "update_tail": lambda one: one.update.tail if one.update else None,
    # sBA where that is another matrix, which is what the RLPO paper's Fig. 3 draws
    "product_head": lambda one: (one.product or one.update).head if one.update else None,  # type: ignore[union-attr]
    "product_tail": lambda one: (one.product or one.update).tail if one.update else None,  # type: ignore[union-attr]
    "aligned_chance": lambda one: one.directions / one.spectrum["positive"] if one.spectrum else None,
    "masks_energy": lambda one: one.masks["energy_union"] if one.masks else None,
    "masks_random": lambda one: one.masks["random_mean"] if one.masks else None,
    "masks_deviation": lambda one: one.masks["random_deviation"] if one.masks else None,
    "masks_spectral": lambda one: one.masks["energy_spectral"] if one.masks else None,
    "masks_euclidean": lambda one: one.masks["energy_euclidean"] if one.masks else None,
    "bf16_changed": lambda one: one.bf16_changed,
    "start_norm": lambda one: one.start_norm,
    "delta_norm": lambda one: one.delta_norm,
}


def is_paper_s(layer: LayerGeometry, depth: int) -> bool:
    """The RLPO paper's Fig. 3: query and output projections of the first, the middle and the last layer."""
    return layer.name.endswith(("q_proj", "o_proj")) and layer.depth in (0, depth // 2, depth - 1)


def means(layers: Sequence[LayerGeometry]) -> Figures:
    """The mean of each figure over the matrices that have it."""
    found = {}
    for name, figure in SHARES.items():
        values = [value for layer in layers if (value := figure(layer)) is not None]
        if values:
            found[name] = statistics.fmean(values)
    return found


def training(run: Run) -> Figures:
    """What the run's journals say: how it learned, how far the policy went, and A's similarity on the way."""
    last = [value for _, value in run.values("reward")][-5:]
    found = {
        "reward_last_5": statistics.fmean(last),
        "kl_base": run.values("kl_base")[-1][1],
        "kl_step": statistics.fmean(value for _, value in run.values("kl_step")),
        "grad_norm": statistics.fmean(value for _, value in run.values("grad_norm")),
        "grad_norm_peak": max(value for _, value in run.values("grad_norm")),
    }
    found |= {f"after {task}": scores.after.mean for task, scores in run.scores.items()}
    rows = [row["summary"] for row in read_jsonl(run.path / GEOMETRY)]
    for figure in ("similarity_top", "similarity_bottom"):
        if figure in rows[0]:
            found |= {f"{figure}_least": min(row[figure] for row in rows)}
            found |= {f"{figure}_most": max(row[figure] for row in rows)}
    return found


def of_the_base(found: Inspection) -> Figures:
    """What depends on W alone: its spectra, and GeoRA's masks."""
    mlp = [layer.spectrum for layer in found.layers if ".mlp." in layer.name and layer.spectrum]
    masks = [layer.masks for layer in found.layers if layer.masks]
    return {
        "widest": max(layer.shape[1] for layer in found.layers),
        "narrowest": min(min(layer.shape) for layer in found.layers),
        "sigma_r": statistics.fmean(layer.singular_values[-1] for layer in found.layers),
        "mlp_top_mean": statistics.fmean(one["top_mean"] for one in mlp),
        "mlp_bottom_mean": statistics.fmean(one["bottom_mean"] for one in mlp),
        "mlp_least_bottom_mean": min(one["bottom_mean"] for one in mlp),
        **{name: statistics.fmean(one[name] for one in masks) for name in ("intersection", "union", "jaccard")},
    }


def look(runs: Sequence[Run]) -> dict[str, Any]:
    """Every run of a variant inspected; per figure the seeds' values, their mean and their standard deviation."""
    scopes: dict[str, list[Figures]] = {"all": [], "q and o": [], "training": []}
    base: Figures = {}
    for run in runs:
        found = inspect(run.path, run.recipe.model.path, rank=run.rank)
        depth = 1 + max(layer.depth for layer in found.layers if layer.depth is not None)
        scopes["all"].append(means(found.layers))
        scopes["q and o"].append(means([layer for layer in found.layers if is_paper_s(layer, depth)]))
        scopes["training"].append(training(run))
        base = of_the_base(found)
        print(run.name, f"S_Head {scopes['all'][-1]['s_head']:.3f}", flush=True)
    return {
        "method": runs[0].method,
        "lr": runs[0].lr,
        "seeds": [run.seed for run in runs],
        "scaling": runs[0].alpha / runs[0].rank,
        **{
            scope: {name: over([one[name] for one in values]) for name in values[0]} for scope, values in scopes.items()
        },
        "base": base,
    }


def over(values: Sequence[float]) -> dict[str, Any]:
    """Over seeds."""
    return {
        "values": list(values),
        "mean": statistics.fmean(values),
        "spread": statistics.stdev(values) if len(values) > 1 else None,
    }


def main() -> None:
    """Inspect the runs of a comparison, which may lie in several directories, and keep what they say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comparison", type=Path, nargs="+")
    quiet()
    every = [run for directory in parser.parse_args().comparison for run in read_runs(directory)]
    runs = [run for run in every if run.finished]
    variants: dict[tuple[str, float], list[Run]] = {}
    place = {method.name: number for number, method in enumerate(METHODS)}
    for run in sorted(runs, key=lambda run: (place[run.method], run.lr, run.seed)):
        variants.setdefault((run.method, run.lr), []).append(run)
    recipe = runs[0].recipe
    looked = [look(of_one) for of_one in variants.values()]
    results = {
        "recipe": {
            "model": recipe.model.path,
            "rank": recipe.adapter.rank,
            "alpha": recipe.adapter.alpha,
            "algorithm": recipe.algorithm.name,
            "rollouts": recipe.optim.rollouts,
            "updates": recipe.optim.rollouts * recipe.optim.updates_per_rollout,
            "task": recipe.task.name,
            "questions": recipe.eval.limit,
            "parameters": max(run.manifest.parameters or 0 for run in runs),  # of a LoRA's base: `full` leaves none
        },
        "unfinished": [run.name for run in every if not run.finished],
        "before": {task: scores.before.mean for task, scores in runs[0].scores.items()},
        "base": looked[0]["base"],
        "variants": [{key: value for key, value in one.items() if key != "base"} for one in looked],
    }
    print(keep("spectra", results))


if __name__ == "__main__":
    main()
