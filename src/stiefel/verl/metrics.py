"""verl's metrics → rows of metrics.jsonl: in our names and units, without what verl does not measure.

verl's file logger writes an object a step, {"step": …, "data": {name: figure}}, of its last start alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..artifacts import read_jsonl
from ..errors import UserError

# ours ← verl's, where both are the same number
SAME = {
    "reward": "critic/score/mean",  # of the completions that were trained on: of dropped groups verl tells nothing
    "grad_norm": "actor/grad_norm",
    "entropy": "actor/entropy",
    "clip_fraction": "actor/pg_clipfrac",
    "completion_length": "response_length/mean",
    "kl_base": "actor/kl_base",
    "kl_base_k1": "actor/kl_base_k1",
    "kl_reference": "actor/kl_loss",
    "sync_survival": "actor/sync_survival",
    "sync_error": "actor/sync_error",
    "seconds": "perf/time_per_step",
}
REWARD, RATE, MEMORY = SAME["reward"], "actor/lr", "actor/perf/max_memory_allocated_gb"
LONGEST, AT_LONGEST = "response_length/max", "response_length/clip_ratio"
TOKENS, PROMPT = "perf/total_num_tokens", "prompt_length/mean"

Row = dict[str, Any]


def metric_rows(files: Iterable[Path], limit: int) -> list[Row]:
    """A row a rollout, of the files of all starts of a run, oldest first; a step that was done again counts once.

    `limit` is the number of tokens at which a completion is cut off. Raises UserError for a file that is not verl's.
    """
    steps: dict[int, Mapping[str, Any]] = {}
    for file in files:
        for number, row in enumerate(read_jsonl(file), start=1):
            match row:
                case {"step": int(step), "data": dict(told)}:
                    if REWARD in told:  # not a measurement between rollouts
                        steps[step] = told
                case _:
                    raise UserError(
                        f"{file} line {number} is no metrics of verl",
                        'each line holds "step" and "data"',
                        "give what verl's file logger wrote: trainer.logger with file in it",
                    )
    rows, rate = [], None
    for step, data in sorted(steps.items()):
        rows.append(metric_row(step, data, rate if step - 1 in steps else None, limit))
        rate = data.get(RATE)
    return rows


def metric_row(step: int, data: Mapping[str, Any], rate: float | None, limit: int) -> Row:
    """One rollout; `rate` is what verl told at the one before it, after its schedule's step: this one's."""
    found: Row = {ours: data[theirs] for ours, theirs in SAME.items() if theirs in data}
    if rate is not None:
        found["learning_rate"] = rate
    if data.get(LONGEST) is not None and AT_LONGEST in data:
        # verl counts those as long as the longest, which is the limit where any was cut off
        found["truncated_fraction"] = data[AT_LONGEST] if data[LONGEST] >= limit else 0.0
    if MEMORY in data:
        found["peak_memory_bytes"] = None if data[MEMORY] is None else int(data[MEMORY] * 2**30)
    needed = [data[name] for name in (TOKENS, PROMPT, SAME["completion_length"], SAME["seconds"]) if data.get(name)]
    if len(needed) == 4:
        total, prompt, response, seconds = needed
        found["tokens_per_second"] = total * response / (prompt + response) / seconds  # of those that were sampled
    strange = [name for name, value in found.items() if value is None or not math.isfinite(value)]
    finite = {name: value for name, value in found.items() if name not in strange}
    return {"step": step, **finite, **({"not_finite": strange} if strange else {})}
