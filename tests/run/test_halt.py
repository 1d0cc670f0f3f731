"""A run that is halted and gone on with ends in the bits of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stiefel.artifacts import STATE, read_json, read_jsonl
from stiefel.recipe.recipe import Recipe, make_recipe
from stiefel.run.directory import finished, rollouts_kept, status
from stiefel.run.run import train

CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}  # what differs between equal runs
RUN = {
    "optim": {"rollouts": 7, "updates_per_rollout": 2, "lr": 1e-3, "schedule": "cosine"},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 16},
    "algorithm": {"dynamic_sampling": True, "max_gen_batches": 2},
    "run": {"threads": 1, "kl_every": 2, "save_every": 0, "geometry_every": 2},
    "eval": {"tasks": ["nano-sort"], "limit": 8, "every": 4, "temperature": 1.0},
    "adapter": {"method": "pissa"},
}


def halted(recipe: Recipe, out: Path, rollout: int) -> None:
    train(recipe, out, resume=True, until=rollout)
    assert [row["step"] for row in read_jsonl(out / "metrics.jsonl")] == list(range(1, rollout + 1))
    assert status(out) == "running"
    assert rollouts_kept(recipe, out) == rollout
    assert not (out / "adapter").exists()


def without_clocks(path: Path) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row.keys() - CLOCK} for row in read_jsonl(path)]


def test_halted_at_three_and_at_five_a_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    recipe, whole, parts = make_recipe(RUN), tmp_path / "whole", tmp_path / "parts"
    train(recipe, whole)
    halted(recipe, parts, 3)
    written = (parts / "metrics.jsonl").read_bytes()
    train(recipe, parts, resume=True, until=2)  # which it has come to long since
    assert (parts / "metrics.jsonl").read_bytes() == written
    halted(recipe, parts, 5)
    assert (parts / "metrics.jsonl").read_bytes().startswith(written)
    train(recipe, parts, resume=True, until=7)
    assert finished(parts)
    for name in ("adapter/adapter_model.safetensors", "best/adapter_model.safetensors", "samples.jsonl", "eval.json"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name
    for name in ("metrics.jsonl", "geometry.jsonl"):
        assert without_clocks(parts / name) == without_clocks(whole / name)


def test_the_recipes_own_checkpoints_stay_where_they_were(tmp_path: Path) -> None:
    """Halting writes one more, and no more than one: the schedule of checkpoints is the recipe's."""
    recipe = make_recipe({**RUN, "run": {"threads": 1, "save_every": 2}, "eval": {}})
    train(recipe, tmp_path, resume=True, until=3)
    kept = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["checkpoint-4", "checkpoint-6"]
    assert read_json(kept[-1] / STATE)["journals"]["metrics.jsonl"] == (tmp_path / "metrics.jsonl").stat().st_size
