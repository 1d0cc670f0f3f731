"""Twenty kills of one run, each resumed, must end in the bits of a run left alone: `python -m benchmarks.kills`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from safetensors.torch import load_file

from benchmarks.machine import keep
from stiefel.artifacts import read_jsonl
from stiefel.quiet import quiet
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from tests.run.kills import killed_run

RECIPE = {
    "optim": {"rollouts": 60, "lr": 1e-3, "schedule": "cosine"},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 32},
    "algorithm": {"dynamic_sampling": True, "max_gen_batches": 3, "beta": 0.01},
    "run": {"threads": 1, "kl_every": 2, "save_every": 2},
    "eval": {"tasks": ["nano-sort"], "limit": 10, "every": 5, "temperature": 1.0},
    "adapter": {"method": "pissa"},
}
CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}


def main() -> None:
    """Count the kills that hit, and what differs afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    quiet()
    with tempfile.TemporaryDirectory() as place:
        whole, killed = Path(place) / "whole", Path(place) / "killed"
        began = time.perf_counter()
        train(make_recipe(RECIPE), whole)
        seconds = time.perf_counter() - began
        # twenty lives of 0.1 to 1 times an eleventh of a whole run: together about one, less what each start costs
        places = killed_run(make_recipe(RECIPE), killed, kills, seconds / 11)
        files = ("adapter/adapter_model.safetensors", "best/adapter_model.safetensors")
        tensors = [(load_file(whole / name), load_file(killed / name)) for name in files]
        rows = [
            [{key: row[key] for key in row.keys() - CLOCK} for row in read_jsonl(run / "metrics.jsonl")]
            for run in (whole, killed)
        ]
        results = {
            "kills": kills,
            "rows_at_each_kill": places,
            "weights_equal": all(one[name].equal(other[name]) for one, other in tensors for name in one | other),
            "metrics_equal": rows[0] == rows[1],
            "samples_equal": (whole / "samples.jsonl").read_text() == (killed / "samples.jsonl").read_text(),
        }
    keep("kills", results)
    assert all(results[name] for name in ("weights_equal", "metrics_equal", "samples_equal"))


if __name__ == "__main__":
    main()
