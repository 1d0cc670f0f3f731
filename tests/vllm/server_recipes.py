"""A short run whose rollouts a server writes, what its files hold, and what of two equal runs may differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stiefel.recipe.recipe import make_recipe

CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}  # what differs between equal runs
BY_BATCH = {"engine_mismatch"}  # a server's log-probabilities are rounded by the batches in which requests meet


def recipe(server: str, model: str = "nano", *, rollouts: int = 3, save_every: int = 0, **tables: Any) -> Any:
    """Three rollouts on nano by an anchored start; tables go over it."""
    base: dict[str, dict[str, Any]] = {
        "model": {"path": model},
        "adapter": {"method": "pissa", "rank": 4, "alpha": 8},
        "rollout": {
            **{"engine": "vllm", "vllm_mode": "server", "vllm_server": server},
            **{"prompts": 4, "completions": 4, "max_completion_tokens": 16},
        },
        "optim": {"rollouts": rollouts, "updates_per_rollout": 2, "lr": 1e-3},
        "run": {"threads": 1, "save_every": save_every, "kl_every": 1},
        "eval": {"tasks": ["nano-sort"], "limit": 6},
    }
    return make_recipe({name: {**base.get(name, {}), **tables.get(name, {})} for name in base.keys() | tables.keys()})


def rows(run: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def figures(run: Path) -> list[dict[str, Any]]:
    """The metrics that equal runs have alike, to the bit."""
    return [{key: value for key, value in row.items() if key not in CLOCK | BY_BATCH} for row in rows(run)]
