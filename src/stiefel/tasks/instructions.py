"""Instruction following: ifeval, graded by the checks of lm-eval (`stiefel[lm-eval]`)."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from typing import Any

from ..errors import UserError
from ..rewards import Grade, after_thinking
from .benchmark import Benchmark, Fields, Hub, as_text, fill
from .task import Row, Sampling


def grade_ifeval(completion: str, answer: Any = "", **row: Any) -> Grade:
    """1 if every instruction of the row is followed, strictly (IFEval's prompt-level strict accuracy)."""
    try:
        with redirect_stdout(sys.stderr):  # it downloads what it needs, and says so
            from lm_eval.tasks.ifeval import utils
    except ImportError as error:
        raise UserError(
            "ifeval needs lm-eval", f"its checks are lm-eval's: {error}", "pip install 'stiefel[lm-eval]'"
        ) from error
    text = after_thinking(completion).strip()
    document = {name: row[name] for name in ("key", "prompt", "instruction_id_list", "kwargs")}
    document["kwargs"] = [{name: value for name, value in one.items() if value is not None} for one in row["kwargs"]]
    with redirect_stdout(sys.stderr):
        followed = utils.process_results(document, [text])
    names = zip(row["instruction_id_list"], followed["inst_level_strict_acc"], strict=True)
    broken = [name for name, kept in names if not kept]
    return Grade(float(not broken), text[:200], f"not followed: {', '.join(broken)}" if broken else "all followed")


def ifeval_row(template: str, fields: Fields) -> Row:
    """The instruction as it is; the checks are the gold."""
    kwargs = fields["kwargs"]
    columns = {
        "key": fields["key"] or 0,
        "prompt": fields["prompt"],
        "instruction_id_list": list(fields["instruction_id_list"]),
        "kwargs": json.loads(kwargs) if isinstance(kwargs, str) else [dict(one) for one in kwargs],
    }
    return Row(fill(template, prompt=as_text(fields["prompt"])), "", "", columns)


ifeval = Benchmark(
    name="ifeval",
    description="instructions whose following can be checked",
    grader=grade_ifeval,
    hub=Hub("google/IFEval", "train", "", 541, seen="a public list"),
    template="{prompt}",
    columns={"prompt": ("prompt",), "instruction_id_list": ("instruction_id_list",), "kwargs": ("kwargs",)},
    optional={"key": ("key",)},
    make=ifeval_row,
    sampling=Sampling(samples=1, temperature=0.0, top_p=1.0, max_tokens=1280),
    source="Zhou et al., arXiv:2311.07911; sampling: lm-eval's",
)
