"""A first recipe or grid as a file with comments, in which every key says what it is: what `stiefel new` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tomli_w

from .explained import keys
from .recipe import Recipe, algorithm_of

NANO = "nano"
RATES = {(True, False): 3e-4, (True, True): 3e-5, (False, False): 1e-5, (False, True): 1e-6}  # (nano, all weights)
CAPPED = {(True, False): 1e-3, (True, True): 1e-4, (False, False): 1e-4, (False, True): 1e-5}  # rather too large ones
CAP = 1e-3  # nats a token; where runs of the study do best: docs/laboratory.md


@dataclass(frozen=True)
class Line:
    """A key with its value, what is to be said of it beside its docstring, and whether it is there or proposed."""

    key: str
    value: Any
    advice: str = ""
    proposed: bool = False

    def text(self) -> str:
        """The docstring, the advice and the key, as lines of TOML; what is proposed is a comment."""
        comments = [keys(Recipe)[self.key].partition(" Default: ")[0], *([self.advice] if self.advice else [])]
        name = self.key.rpartition(".")[2]
        written = (
            f"{name} = {json.dumps(self.value)}"  # a list in one line
            if isinstance(self.value, list)
            else tomli_w.dumps({name: self.value}).strip()
        )
        return "".join(f"# {line}\n" for line in comments) + ("# " if self.proposed else "") + f"{written}\n"


@dataclass(frozen=True)
class Wish:
    """What a recipe is asked for, with what is known of its method and its task."""

    model: str = NANO
    method: str = "lora"
    task: str = "nano-arithmetic"
    algorithm: str = "dapo"
    unused: frozenset[str] = frozenset()  # the settings of [adapter] that the method has no use for
    all_weights: bool = False  # the method trains the model's own weights
    measured: tuple[str, ...] = ("nano-arithmetic", "nano-reverse", "nano-sort")
    endless: bool = True  # rows are made as they are asked for

    @property
    def nano(self) -> bool:
        """Whether it is for the embedded model."""
        return self.model == NANO

    @property
    def supervised(self) -> bool:
        """Whether it learns from the reference answers."""
        return algorithm_of({"algorithm": {"name": self.algorithm}}) == "sft"

    @property
    def rate(self) -> float:
        """A learning rate to begin with: a small one, or one that is rather too large for a cap to hold."""
        return (RATES if self.supervised else CAPPED)[self.nano, self.all_weights]


def starting_recipe(wish: Wish) -> str:
    """A recipe that runs as it is printed: the keys that one looks at first, each with what it means."""
    first = ["optim.lr", "algorithm.epochs" if wish.supervised else "rollout.max_completion_tokens", "eval.limit"]
    head = (
        f"# {wish.method} on {wish.model}, {wish.algorithm}, trained on {wish.task}.\n"
        f"#   stiefel train FILE --out runs/first        add --dry-run to see every key with its value\n"
        + (
            ""
            if wish.supervised
            else "#   stiefel preflight FILE                     what a step of it costs, before it runs\n"
        )
        + f"# Look first at {', '.join(first)}. What is not written has its default: stiefel help.\n"
    )
    return head + as_tables(lines_of(wish))


def starting_grid(wish: Wish, methods: Sequence[str]) -> str:
    """A grid of methods and seeds on one recipe, which stands in it: at an equal first step; supervised, at rates."""
    left_out = ("adapter.method", "optim.lr", "optim.kl_cap", "run.seed")
    lines = [line for line in lines_of(wish) if line.key not in left_out]
    small = RATES[wish.nano, wish.all_weights]
    shown = ", ".join(f"{rate:g}" for rate in (small, float(f"{3.2 * small:.0e}")))
    listed = ", ".join(f'"{method}"' for method in methods)
    varied = (
        f"{len(methods)} methods, 2 learning rates and 3 seeds"
        if wish.supervised
        else f"{len(methods)} methods and 3 seeds"
    )
    runs = 3 * len(methods) * (2 if wish.supervised else 1)
    head = (
        f"# {varied} on {wish.model}: {runs} runs.\n"
        "#   stiefel compare FILE --jobs 2 --out runs/grid        goes on with --resume; ends on a table and a page\n"
        "# Every key of [recipe.*] is explained by: stiefel help KEY.\n"
    )
    if not wish.supervised:
        head += (
            "\n# One rate gives methods steps of very different sizes. So each run's rate is found before it begins:\n"
            f"# where its first step costs {CAP:g} nats a token.\n"
            f'# Without this line [axes] needs "optim.lr" = [{shown}].\n'
            'rate = "kl"\n'
        )
    axes = (
        "\n# A run for every combination; the last axis varies fastest. Keys joined by commas vary together:\n"
        '# "adapter.rank, adapter.alpha" = [[8, 16], [16, 32]]\n'
        "[axes]\n# One seed decides nothing: three give the table its intervals.\n"
        + '"run.seed" = [0, 1, 2]\n'
        + (f'"optim.lr" = [{shown}]\n' if wish.supervised else "")
        + f'"adapter.method" = [{listed}]\n'
    )
    return head + as_tables(lines, "recipe.") + axes


def as_tables(lines: Sequence[Line], above: str = "") -> str:
    """The lines below the headings of their sections."""
    sections: dict[str, list[str]] = {}
    for line in lines:
        sections.setdefault(line.key.partition(".")[0], []).append(line.text())
    return "".join(f"\n[{above}{section}]\n{''.join(texts)}" for section, texts in sections.items())


def lines_of(wish: Wish) -> list[Line]:
    """The keys of the recipe, in the order of its sections."""
    return [
        *about_model(wish),
        *about_adapter(wish),
        *about_task(wish),
        Line("algorithm.name", wish.algorithm),
        *(about_epochs() if wish.supervised else about_rollouts(wish)),
        *about_steps(wish),
        *about_run(wish),
        *about_measuring(wish),
    ]


def about_model(wish: Wish) -> list[Line]:
    """[model]"""
    if wish.nano:
        return [Line("model.path", wish.model, "The embedded one: nothing is downloaded.")]
    return [
        Line("model.path", wish.model),
        Line("model.dtype", "bfloat16", "float32 where there is no GPU and the model is small."),
        Line("model.compute", "bfloat16"),
    ]


def about_adapter(wish: Wish) -> list[Line]:
    """[adapter], less what the method has no use for."""
    rank = 8 if wish.nano else 16
    lines = [
        Line("adapter.method", wish.method),
        Line("adapter.rank", rank),
        Line("adapter.alpha", 2 * rank),
        Line("adapter.targets", "all-linear"),
    ]
    return [line for line in lines if line.key.removeprefix("adapter.") not in wish.unused]


def about_task(wish: Wish) -> list[Line]:
    """[task]"""
    lines = [Line("task.name", wish.task, "`stiefel help task.data` says how rows of your own stand here.")]
    if not wish.supervised:
        mine = Line(
            "task.reward", "my_rewards:score", "`stiefel new reward > my_rewards.py` writes one.", proposed=True
        )
        return [*lines, mine]
    return (
        [*lines, Line("task.train_rows", 1000, "The rows never end; a pass over them must.")] if wish.endless else lines
    )


def about_epochs() -> list[Line]:
    """[algorithm] of supervised training."""
    return [Line("algorithm.epochs", 2), Line("algorithm.batch", 32)]


def about_rollouts(wish: Wish) -> list[Line]:
    """[algorithm] and [rollout]."""
    limit = 64 if wish.task.startswith("nano-") else 1024
    short = "Look first: too few cut answers off before they are given, and what is cut off earns nothing."
    lines = [
        Line("algorithm.dynamic_sampling", True, proposed=True),
        Line("rollout.prompts", 8 if wish.nano else 16),
        Line("rollout.completions", 8),
        Line("rollout.max_completion_tokens", limit, short),
    ]
    if not wish.nano:
        lines.append(Line("rollout.engine", "vllm", "Faster on a GPU: docs/cluster.md#vllm.", proposed=True))
    return lines


def about_steps(wish: Wish) -> list[Line]:
    """[optim]"""
    lines = [
        Line("optim.lr", wish.rate, "Look first: a rate that suits one method breaks another.")
        if wish.supervised
        else Line(
            "optim.lr", wish.rate, "Rather too large than too small: kl_cap holds. `stiefel preflight FILE` tells."
        )
    ]
    if not wish.supervised:
        lines += [
            Line(
                "optim.kl_cap",
                CAP,
                "Choose a step and not a rate; without it a rate that suits one method breaks another.",
            ),
            Line("optim.rollouts", 60 if wish.nano else 100),
            Line("optim.updates_per_rollout", 2 if wish.nano else 4),
        ]
    if not wish.nano:
        lines += [
            Line("optim.micro_batch", 8, "Less where memory does not suffice; it must divide a mini-batch."),
            Line("optim.activation_checkpointing", True),
        ]
    return lines


def about_run(wish: Wish) -> list[Line]:
    """[run]"""
    return [Line("run.seed", 0), *([Line("run.threads", 1)] if wish.nano else [])]


def about_measuring(wish: Wish) -> list[Line]:
    """[eval]"""
    lines = [
        Line("eval.tasks", list(wish.measured), "Before training and after it; name here what must not be forgotten.")
    ]
    if wish.nano:
        return [*lines, Line("eval.temperature", 1.0), Line("eval.top_p", 1.0), Line("eval.limit", 500)]
    return [*lines, Line("eval.sampling", "task"), Line("eval.limit", 200)]
