"""Overrides → one bash script that a person can read: what it is, what it needs, one command, and what comes after."""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

from ..nano import NANO
from ..recipe import Recipe, usual_recipe
from .able import SAID
from .carried import Carried
from .hydra import in_shell
from .installed import in_words
from .measured import apart, evaluated
from .overrides import groups
from .shares import Shares

MODEL_OF = "from stiefel.model import model_files; print(model_files({model!r}, {revision!r}))"
ENDED = "python -m stiefel.verl ended  # which fails where a reward did: verl goes on without such completions"
STARTS = """\
# verl empties the metrics file that it opens: every start has one of its own
starts=1
while [ -e "$RUN/metrics-$starts.jsonl" ]; do starts=$((starts + 1)); done
export VERL_FILE_LOGGER_PATH="$RUN/metrics-$starts.jsonl"
"""


@dataclass(frozen=True)
class Script:
    """What a script is made of; `run` is the directory that it lies in, as it stands in the script."""

    recipe: Recipe
    adapter: Carried
    parts: Shares
    run: str
    command: str  # by which it was asked for


def text_of(script: Script) -> str:
    """The whole script."""
    return "\n".join([*head(script), *variables(script), *command(script), *after(script)]) + "\n"


def head(script: Script) -> list[str]:
    """Where it comes from, and what of the recipe has no meaning to verl."""
    lines = [
        f"Written by `{script.command}` for verl {in_words()}.",
        f"Run it in an environment that holds verl[vllm]=={in_words()} and stiefel; a second start goes on from the "
        "last checkpoint. Arguments are further settings of verl's, and win.",
    ]
    return [
        "#!/usr/bin/env bash",
        *(row for line in lines for row in comment(line)),
        *(row for line in left_aside(script.recipe) for row in comment(line, "  ")),
        "set -euo pipefail",
        "",
    ]


def left_aside(recipe: Recipe) -> list[str]:
    """A line for each written key that is not verl's, and for what is measured otherwise."""
    usual = usual_recipe(recipe.algorithm.name)
    found: dict[str, list[str]] = {}
    for key, what in SAID.items():
        section, _, name = key.partition(".")
        if vars(vars(recipe)[section])[name] != usual[section][name]:
            found.setdefault(what, []).append(key)
    lines = [f"{', '.join(keys)}: {what}." for what, keys in found.items()]
    if recipe.algorithm.dynamic_sampling:
        lines.append(
            "algorithm.max_gen_batches: verl samples until a rollout is full of mixed groups, without a bound."
        )
    if recipe.cluster.dynamic_batch and recipe.optim.micro_batch:
        lines.append("optim.micro_batch: cluster.dynamic_batch stands in its place here.")
    if recipe.model.dtype == "bfloat16" and recipe.model.compute == "float32":
        lines.append(
            "model.compute: the factors are kept and updated in float32, and multiplied in bfloat16 like the base."
        )
    if recipe.optim.warmup_rollouts:
        lines.append(
            "optim.warmup_rollouts: verl warms up from 0 at the first rollout, `stiefel train` from one step on."
        )
    return ["Of the recipe:", *lines] if lines else []


def variables(script: Script) -> list[str]:
    """Where things lie, and the check before anything is started."""
    model = script.recipe.model
    if model.revision or model.path == NANO:
        named = MODEL_OF.format(model=model.path, revision=model.revision)
        base = f'"$(python -c {shlex.quote(named)})"'
    else:
        base = shlex.quote(str(Path(model.path).absolute()) if Path(model.path).is_dir() else model.path)
    lines = [f"RUN={script.run}  # {contents(script)}", f"MODEL={base}"]
    if script.adapter.rank:
        found = script.adapter.directory
        lines.append('ADAPTER="$RUN/adapter"' if found is None else f"ADAPTER={shlex.quote(str(found))}")
    lines += ['export STIEFEL_VERL="$RUN/verl.json"', *STARTS.splitlines()]
    return [*lines, "python -m stiefel.verl  # the versions, and the adapter against what is written below"]


def contents(script: Script) -> str:
    """What lies in the script's directory."""
    made = "adapter/, " if script.adapter.rank and script.adapter.directory is None else ""
    return f"holds {made}recipe.toml and verl.json; takes checkpoints/ and metrics-N.jsonl"


def command(script: Script) -> list[str]:
    """The overrides, one a line, and verl's own command."""
    lines = [*(measurements(script, "before", ["$MODEL"]) if apart(script.recipe) else []), "", "overrides=("]
    for group in groups(script.recipe, script.adapter, script.parts):
        lines += [f"  # {group.title}", *(f"  {in_shell(key, value)}" for key, value in group.settings.items())]
    return [*lines, ")", 'python -m verl.trainer.main_ppo hydra.run.dir="$RUN/hydra" "${overrides[@]}" "$@"', ENDED]


def after(script: Script) -> list[str]:
    """What was trained, out of verl's last checkpoint, and what it scores where verl cannot measure it."""
    full = not script.adapter.rank
    form = "merged" if full else "lora"
    subject = ["$RUN/trained"] if full else ["$MODEL", "--adapter", "$RUN/trained"]
    lines = [
        "",
        "# what was trained, out of verl's last checkpoint",
        f'stiefel export "$RUN/checkpoints" --base "$MODEL" --as {form} --out "$RUN/trained" --force',
    ]
    return lines + (measurements(script, "after", subject) if apart(script.recipe) else [])


def measurements(script: Script, when: str, subject: list[str]) -> list[str]:
    """A line of `stiefel eval` for each task, in the way that it is usually measured; what is done is left alone."""
    words = " ".join(word if word.startswith("--") else f'"{word}"' for word in subject)
    lines = [
        "",
        f"# every task in its own way, {when} training; EVALUATE: the stiefel of an environment with vLLM 0.30",
    ]
    for task, arguments in evaluated(script.recipe).items():
        out = f'"$RUN/{when}/{task.replace(":", "-")}"'
        lines.append(
            f"[ -e {out}/eval.json ] || ${{EVALUATE:-stiefel}} eval {words} {shlex.join(arguments)} --out {out} --force"
        )
    return lines


def comment(line: str, indent: str = "") -> list[str]:
    """A line as comments of at most 120 signs."""
    return textwrap.wrap(
        line, 118, initial_indent=f"# {indent}", subsequent_indent=f"# {indent}", break_on_hyphens=False
    )
