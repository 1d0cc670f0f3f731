"""lm-eval's own tasks (`stiefel[lm-eval]`) on the model in memory with its adapter; the same directory comes out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..artifacts import EVAL, MANIFEST, SAMPLES, check_room, read_json, write_json, write_text
from ..errors import UserError, nearest
from ..scores import accuracy
from .directory import begin, manifest, same_settings
from .settings import Wanted, check_numbers
from .subject import check_adapter, device_name, identity, load_subject

PREFIX = "lm-eval:"
BATCH = 16
THINKING_ENDS = "</think>"


def require_lm_eval() -> None:
    """Raise where lm-eval is not installed."""
    if find_spec("lm_eval") is None:
        raise UserError(
            "lm-eval is not installed", f"--task {PREFIX}NAME runs its tasks", "pip install 'stiefel[lm-eval]'"
        )


def run_lm_eval(
    wanted: Wanted, *, resume: bool = False, force: bool = False, say: Any = lambda line: None
) -> dict[str, Any]:
    """Run a task or group of lm-eval's, or the YAML file of one, as lm-eval itself would; returns eval.json.

    Prompts, few-shot examples, generation and metrics are lm-eval's. The tokenizer's chat template is applied where it
    has one and the task generates; of a model that thinks, what follows `</think>` is read. Nothing of an unfinished
    one is kept: `resume` begins it again, and leaves a finished one alone. Raises UserError where lm-eval, the task or
    its data are missing.
    """
    require_lm_eval()
    check_numbers(wanted)
    check_adapter(wanted.subject)
    settings = {
        **identity(wanted.subject),
        "dtype": wanted.subject.dtype,
        "task": wanted.task,
        "questions": {"limit": wanted.limit},
        "sampling": {"seed": wanted.drawn.seed},
        "engine": f"lm-eval {version('lm_eval')}",
        "device": device_name(),
        "batch": {"sequences": wanted.batch or BATCH},
    }
    again = resume and (wanted.out / MANIFEST).is_file()
    if again:
        same_settings(wanted.out, settings)
        if read_json(wanted.out / MANIFEST)["status"] == "finished":
            say(f"{wanted.out} is finished")
            found: dict[str, Any] = read_json(wanted.out / EVAL)
            return found
        say(f"{wanted.out}: lm-eval begins again")
    elif resume:
        say(f"{wanted.out} holds no evaluation to go on with: beginning a new one")
    check_room(wanted.out, force=force or again, kind="evaluation")
    results = answered(wanted)
    begin(wanted.out, settings)
    write_text(wanted.out / SAMPLES, "".join(json.dumps(row, default=str) + "\n" for row in sample_rows(results)))
    summary = summary_of(wanted.task, results)
    write_json(wanted.out / EVAL, summary)
    write_json(wanted.out / MANIFEST, manifest(settings, "finished"))
    return summary


def answered(wanted: Wanted) -> dict[str, Any]:
    """lm-eval's results."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    name = wanted.task.removeprefix(PREFIX)
    manager = TaskManager()
    if not Path(name).is_file() and name not in manager.all_tasks:
        raise UserError(
            f"lm-eval has no task {name!r}",
            f"it is none of its {len(manager.all_tasks):,} tasks, groups and tags, and no YAML file here",
            nearest(name, manager.all_tasks) if close_to(name, manager.all_tasks) else "see `lm-eval ls tasks`",
        )
    try:
        tasks = manager.load([name])["tasks"]
    except (OSError, ValueError, LookupError) as error:
        raise UserError(
            f"lm-eval could not load {name}",
            (str(error).splitlines() or [type(error).__name__])[0][:300],
            "check the connection to the hub, or give a YAML file whose data are here (dataset_path: json)",
        ) from error
    unsafe = [task for task, one in tasks.items() if one.config.unsafe_code]
    if unsafe:
        raise UserError(
            f"{unsafe[0]} runs what the model wrote, outside of any sandbox",
            "lm-eval marks it as unsafe code",
            "--task humaneval, humaneval-chat or mbpp, which run in a sandbox",
        )
    tokenizer = wanted.subject.tokenizer()
    generates = all(one.OUTPUT_TYPE == "generate_until" for one in tasks.values())
    model = HFLM(
        pretrained=load_subject(wanted.subject, tokenizer),
        tokenizer=tokenizer,
        batch_size=wanted.batch or BATCH,
        think_end_token=THINKING_ENDS if THINKING_ENDS in tokenizer.get_vocab() else None,
    )
    seed = wanted.drawn.seed
    try:
        results: dict[str, Any] = simple_evaluate(
            model=model,
            tasks=[name],
            task_manager=manager,
            limit=wanted.limit,
            apply_chat_template=generates and tokenizer.chat_template is not None,
            random_seed=seed,
            numpy_random_seed=seed % 2**32,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
            bootstrap_iters=0,
        )
    except LookupError as error:
        if "nltk" not in str(error).lower():
            raise
        raise UserError(
            f"{name} needs data of NLTK's",
            "they are downloaded when they are first used, and could not be",
            "python -m nltk.downloader punkt_tab, with a connection; then again",
        ) from error
    return results


def close_to(name: str, known: Sequence[str]) -> bool:
    """Whether a suggestion names a few of thousands, and not all of them."""
    return nearest(name, known).startswith("did you mean")


def sample_rows(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row of samples.jsonl for each question (of each filter, where a task reads answers in several ways)."""
    for task, samples in results["samples"].items():
        for sample in samples:
            yield {
                "task": task,
                "question": sample["doc_id"],
                "filter": sample["filter"],
                "prompt": next(iter(sample["arguments"].values()))["arg_0"]
                if isinstance(sample["arguments"], dict)
                else sample["arguments"],
                "answer": sample["target"],
                "completion": sample["resps"],
                "extracted": sample["filtered_resps"],
                "scores": {metric: sample[metric] for metric in sample["metrics"]},
            }


def summary_of(name: str, results: dict[str, Any]) -> dict[str, Any]:
    """eval.json: each figure as lm-eval computes it, with our interval over questions where it is their mean.

    `lm_eval` holds lm-eval's own tables, with its versions of the tasks.
    """
    scores: dict[str, Any] = {}
    rows = list(sample_rows(results))
    for task, figures in results["results"].items():
        for figure, value in figures.items():
            metric, comma, kind = figure.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            label = f"{task} {metric}" + ("" if kind == "none" else f" ({kind})")
            values = [row["scores"].get(metric) for row in rows if (row["task"], row["filter"]) == (task, kind)]
            scores[label] = {"mean": float(value), "low": None, "high": None, "questions": len(values)}
            if values and all(isinstance(one, int | float) for one in values):
                own = accuracy([float(one) for one in values])
                if abs(own.mean - value) < 1e-9:  # the figure is the mean over questions
                    scores[label] = asdict(own)
    return {
        "task": name,
        "questions": len({(row["task"], row["question"]) for row in rows}),
        "scores": scores,
        "lm_eval": {key: results[key] for key in ("results", "versions", "n-shot", "higher_is_better", "n-samples")},
    }
