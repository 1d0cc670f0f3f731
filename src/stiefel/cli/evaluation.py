"""Verbs of measuring: eval."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any, NoReturn

import click

from ..errors import UserError, refuse_both
from . import completing
from .options import examples, force_option, json_option, option_values, resume_option, say, task_option


@click.command(
    "eval",
    epilog=examples(
        "stiefel eval nano --adapter runs/lora --task nano-arithmetic --out runs/eval",
        "stiefel eval Qwen/Qwen3-1.7B-Base --task gsm8k --limit 200 --engine vllm --out gsm8k",
        "stiefel eval nano --task nano-arithmetic --show 3",
    ),
)
@click.argument("model")
@click.option("--adapter", type=click.Path(path_type=Path), help="An adapter's directory, ours or PEFT's, or a run's.")
@click.option(
    "--task",
    "task",
    required=True,
    help="A task, a grader or module:function for --data, or lm-eval:NAME.",
    shell_complete=completing.tasks,
)
@click.option("--data", default="", help="A local file with the task's columns, or a hub id, in place of its own.")
@click.option("--split", default="", help="The split of a hub data set, in place of the task's own.")
@click.option("--data-revision", default="", help="Branch, tag or commit of a hub data set.")
@click.option("--prompt-column", default="", help="Of your own --data for a grader: prompt by default.")
@click.option("--answer-column", default="", help="Of your own --data for a grader: answer by default.")
@click.option("--chat", is_flag=True, help="Prompts of your own --data, or of reasoning-gym, are a user's messages.")
@task_option
@click.option("--samples", type=int, help="Completions a question; this and the next four: the task's by default.")
@click.option("--temperature", type=float, help="0 is greedy.")
@click.option("--top-p", type=float, help="Nucleus; 1 keeps all tokens.")
@click.option("--top-k", type=int, help="0 keeps all tokens.")
@click.option("--max-tokens", type=int, help="Where a completion is cut off.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the sampling.")
@click.option("--limit", type=int, help="Only the first questions.")
@click.option("--batch", type=int, help="Sequences written together; by default 32 on a CPU, on a GPU what fits.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Type the model is loaded in; auto is the checkpoint's own.",
)
@click.option("--revision", default="", help="Branch, tag or commit of a model's hub id.")
@click.option(
    "--chat-template-option", multiple=True, metavar="KEY=VALUE", help="A setting of the chat template; repeatable."
)
@click.option("--turn-end", multiple=True, metavar="TOKEN", help="A further token that ends an answer; repeatable.")
@click.option("--engine", type=click.Choice(["hf", "vllm"]), default="hf", show_default=True, help="What generates.")
@click.option("--k", "ks", default="", metavar="K,K,…", help="The k of pass@k to print; powers of two by default.")
@click.option("--show", type=int, help="Print the first prompts as the model gets them, and stop.")
@click.option("--against", type=click.Path(path_type=Path), help="An evaluation of the same questions to compare with.")
@click.option("--strict", is_flag=True, help="Exit 1 if a gold answer cannot be read.")
@click.option("--out", type=click.Path(path_type=Path, resolve_path=True), help="Directory to write.")
@resume_option
@force_option
@json_option
@click.pass_context
def evaluate(context: click.Context, /, **given: Any) -> None:
    """Measure a MODEL on a task, with an adapter or without.

    MODEL is a hub id, a directory, or nano.
    """
    refuse_both(given["resume"], given["force"])
    from ..artifacts import MANIFEST, require_begun
    from ..quiet import quiet

    quiet()
    if given["task"].startswith("lm-eval:"):
        refuse_own_settings(given)
    if given["show"] is not None:
        show(given)
        return
    if given["out"] is None:
        refuse_no_out(given)
    if given["resume"]:
        require_begun(given["out"], MANIFEST, "evaluation")
    if given["task"].startswith("lm-eval:"):
        measure_by_lm_eval(given)
        return
    context.exit(measure(given))


def refuse_no_out(given: dict[str, Any]) -> NoReturn:
    """Raise for what is wrong with the task, a reward or rows of one's own, and else for the missing directory."""
    from ..evaluation import asked_of

    if not given["task"].startswith("lm-eval:"):
        asked_of(wanted_of(given))
    raise UserError("no --out was given", "an evaluation needs a directory", "add --out DIR, or --show 1")


def wanted_of(given: dict[str, Any]) -> Any:
    """What the options ask for."""
    from ..adapter import find_adapter
    from ..evaluation import Drawn, Subject, Wanted

    adapter = find_adapter(given["adapter"].resolve()) if given["adapter"] is not None else None
    options = dict(chosen_option(text) for text in given["chat_template_option"])
    return Wanted(
        subject=Subject(given["model"], given["revision"], given["dtype"], adapter, given["turn_end"], options),
        task=given["task"],
        out=given["out"] or Path(),
        data=given["data"],
        data_revision=given["data_revision"],
        split=given["split"],
        prompt_column=given["prompt_column"],
        answer_column=given["answer_column"],
        chat=given["chat"],
        drawn=Drawn(*(given[key] for key in ("samples", "temperature", "top_p", "top_k", "max_tokens", "seed"))),
        limit=given["limit"],
        batch=given["batch"],
        engine=given["engine"],
        options=option_values(given["options"]),
    )


def show(given: dict[str, Any]) -> None:
    """Print prompts, special tokens and all."""
    from ..evaluation import first_prompts

    prompts = first_prompts(wanted_of(given), given["show"])
    if given["as_json"]:
        click.echo(json.dumps(prompts, indent=1))  # in ASCII, which every terminal and pipe carries
        return
    for number, prompt in enumerate(prompts, start=1):
        say(f"question {number}: {len(prompt['tokens'])} tokens, answer {prompt['answer']!r}")
        click.echo(prompt["prompt"])


def measure(given: dict[str, Any]) -> int:
    """Evaluate, print, compare; the exit status."""
    from ..evaluation import (
        check_ks,
        compare_evaluations,
        difference_rows,
        evaluate_into,
        prepare_evaluation,
        print_rows,
        read_evaluation,
        require_same_questions,
        score_rows,
        unreadable,
        unreadable_warning,
    )
    from ..progress import sample_progress
    from ..scores import cut_off_warning
    from ..tasks import stated

    wanted, ks = wanted_of(given), chosen_ks(given["ks"])
    with sample_progress(wanted.task) as progress:
        prepared = prepare_evaluation(wanted)
        check_ks(ks, prepared.sampling.samples)
        before = read_evaluation(given["against"]) if given["against"] is not None else None
        if before is not None:
            require_same_questions(before.settings, prepared.settings, str(before.path))
        say(f"{wanted.task}: {stated(prepared.settings['origin'])}, {prepared.settings['questions']['count']:,} asked")
        found = evaluate_into(prepared, resume=given["resume"], force=given["force"], progress=progress, say=say)
    comparison = compare_evaluations(before, found) if before is not None else None
    lost = unreadable(found.samples)
    if lost:
        say(unreadable_warning(wanted.task, lost, found.summary["questions"]))
    if cut := cut_off_warning(
        found.summary["truncated"],
        "the completions",
        f"{prepared.sampling.max_tokens} tokens",
        "give --max-tokens more, or ask for shorter answers",
    ):
        say(cut)
    if given["as_json"]:
        click.echo(json.dumps({**found.summary, **({"comparison": comparison} if comparison else {})}, indent=1))
    else:
        print_rows(
            f"{wanted.out}: {wanted.task}, {title(given)}", ("", "value", "95% interval"), score_rows(found.summary, ks)
        )
        if comparison is not None:
            heading = ("", "difference [95%]", "from → to")
            print_rows(f"against {before.path}" if before else "", heading, difference_rows(comparison, ks))
            for key, (then, now) in comparison["sampling"].items():
                say(f"note: sampled differently: {key} {then} there, {now} here")
    say(f"next: {next_command(given)}")
    return 1 if (lost and given["strict"]) or not found.summary["scores"] else 0


NOT_OF_LM_EVAL = (
    *("data", "split", "data_revision", "prompt_column", "answer_column", "chat"),
    *("samples", "temperature", "top_p", "top_k", "max_tokens", "ks", "show", "against", "strict", "options"),
)


def refuse_own_settings(given: dict[str, Any]) -> None:
    """Raise for what lm-eval settles itself."""
    written = [key for key in NOT_OF_LM_EVAL if given[key] not in (None, "", False, ())]
    if given["engine"] != "hf":
        written.append("engine")
    if written:
        name = {"ks": "k", "options": "option"}.get(written[0], written[0].replace("_", "-"))
        raise UserError(
            f"--{name} is given for {given['task']}",
            "prompts, data, sampling and scores are lm-eval's own there",
            f"leave out --{name}; --limit, --batch, --seed, --dtype and --adapter are read",
        )


def measure_by_lm_eval(given: dict[str, Any]) -> None:
    """Run lm-eval's task and print its figures."""
    from ..evaluation import lm_eval_rows, print_rows, run_lm_eval
    from ..progress import working

    wanted = wanted_of(given)
    with working(given["task"]) as speak:
        summary = run_lm_eval(wanted, resume=given["resume"], force=given["force"], say=speak)
    if given["as_json"]:
        click.echo(json.dumps(summary, indent=1, default=str))
    else:
        heading = ("", "value", "95% interval")
        print_rows(f"{wanted.out}: {wanted.task}, {title(given)}", heading, lm_eval_rows(summary))
    if given["adapter"] is None:
        say(f"next: stiefel eval {given['model']} --adapter DIR --task {wanted.task} --out {wanted.out}-adapter")
    else:
        say(f"next: stiefel inspect {given['adapter']} --base {given['model']}")


def chosen_option(text: str) -> tuple[str, Any]:
    """`enable_thinking=false` → its name and its value, read as a recipe would."""
    from ..recipe import parse_value

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(
            f"--chat-template-option {text!r} is not KEY=VALUE",
            "it has no =" if not equals else "it has no key",
            "write --chat-template-option enable_thinking=false",
        )
    found = parse_value(value)
    if not isinstance(found, bool | int | float | str) or (isinstance(found, float) and not math.isfinite(found)):
        raise UserError(
            f"--chat-template-option {text!r}",
            "a setting is true, false, a number or a text",
            "write --chat-template-option enable_thinking=false",
        )
    return key, found


def chosen_ks(text: str) -> list[int]:
    """`1,8` → [1, 8]."""
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise UserError(f"--k {text!r}", "it is no list of whole numbers", "give --k 1,8") from error


def title(given: dict[str, Any]) -> str:
    """The subject in words."""
    return f"{given['model']} with {given['adapter']}" if given["adapter"] else str(given["model"])


KEPT = (
    *("data", "split", "data_revision", "prompt_column", "answer_column", "samples", "temperature", "top_p", "top_k"),
    *("max_tokens", "limit", "batch", "dtype", "revision", "engine"),
)


def next_command(given: dict[str, Any]) -> str:
    """What is useful after an evaluation: the same on the other side, or a look at what was trained."""
    usual = (None, "", "auto", "hf")
    written = [f" --{key.replace('_', '-')} {given[key]}" for key in KEPT if given[key] not in usual]
    written += [" --chat"] if given["chat"] else []
    for key in ("chat_template_option", "turn_end"):
        written += [f" --{key.replace('_', '-')} {shlex.quote(text)}" for text in given[key]]
    written += [f" --option {shlex.quote(text)}" for text in given["options"]]
    command = f"stiefel eval {given['model']} --task {given['task']}{''.join(written)}"
    if given["adapter"] is None:
        return f"{command} --adapter DIR --out {given['out']}-adapter --against {given['out']}"
    if given["against"] is None:
        return f"{command} --out {given['out']}-base, and this one again with --resume --against {given['out']}-base"
    return f"stiefel inspect {given['adapter']} --base {given['model']}"
