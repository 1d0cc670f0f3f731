"""Every key of a recipe and of a grid, with all that is known of it: what `stiefel help` and docs/recipe.md say."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..errors import UserError, nearest
from .explained import called
from .grid import GRID_KEYS
from .measured import MeasureSettings
from .recipe import DEFAULTS, DRAWN, OF_ADAPTER_ITSELF, ROLLOUT_KEYS, SFT_KEYS, VLLM_KEYS, Recipe
from .sections import MixtureEntry, Section
from .wanted import kind

EXAMPLES: dict[str, Any] = {  # of a text, a list or a table, where the default is empty or says little
    "model.path": "Qwen/Qwen3-1.7B-Base",
    "model.revision": "main",
    "model.turn_ends": ["<|eot_id|>"],
    "model.chat_template_options": {"enable_thinking": False},
    "adapter.method": "rlpo+dora",
    "adapter.path": "runs/first/adapter",
    "adapter.targets": ["q_proj", "v_proj"],
    "adapter.options": {"sigma": "undivided"},
    "task.name": "gsm8k",
    "task.data": "rows.jsonl",
    "task.split": "train",
    "task.revision": "main",
    "task.prompt_column": "question",
    "task.answer_column": "solution.final",
    "task.reward": "my_rewards:score",
    "task.heldout": "heldout.jsonl",
    "task.options": {"max_value": 40},
    "task.mixture": [{"name": "reasoning_gym:gcd", "weight": 2.0}],
    "task.mixture.name": "reasoning_gym:gcd",
    "task.mixture.options": {"max_value": 40},
    "rollout.vllm_server": "http://10.0.0.2:8000",
    "optim.kl_cap": 1e-3,
    "optim.kl_cap_rows": "other.jsonl",
    "run.report_to": ["tensorboard"],
    "eval.tasks": ["gsm8k", "math500"],
    "guard.kl_base": 1.0,
    "guard.grad_norm": 100.0,
    "expected.source": "the paper's Table 1",
    "expected.metric": "pass@4",
    "expected.average_of": ["gsm8k", "math500"],
    "expected.scores": {"rlpo": {"gsm8k": 0.75}},
    "measure.source": "the paper's Table 4",
    "measure.published": {"milora": {"norm": 5.11}},
}
NEEDS = {  # what is refused where another key does not switch it on
    "algorithm.max_gen_batches": "algorithm.dynamic_sampling",
    "algorithm.overlong_penalty": "algorithm.overlong_buffer",
    "optim.kl_cap_rows": "optim.kl_cap",
    "optim.kl_cap_total": "optim.kl_cap_rows",
    "eval.every": "eval.tasks",
    "guard.kl_base": "guard.action",
    "guard.grad_norm": "guard.action",
}
MEASURE = "measure"  # the table of a grid that has keys of its own
UNUSED = ("rank", "alpha", "dropout", "targets")  # of [adapter]: some methods have no use for them


@dataclass(frozen=True)
class Key:
    """One key: its name, what it may be, its default, what it means, where it is refused, and a line that sets it."""

    name: str  # section.key, or a grid's own
    kind: str
    default: str  # as TOML writes it; empty where there is none
    meaning: str
    notes: tuple[str, ...]
    example: str  # a line of its table

    @property
    def section(self) -> str:
        """The table that it stands in; empty for a grid's own."""
        return self.name.rpartition(".")[0]

    @property
    def settable(self) -> bool:
        """Whether --set takes it by its name: what a recipe holds, but for the entries of a list."""
        return self.section not in ("", MEASURE, "task.mixture")

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it takes, where these are few."""
        if self.kind == "true or false":
            return ("true", "false")
        listed = self.kind.removeprefix("one of ")
        return tuple(one for one in listed.split(", ") if one != '""') if listed != self.kind else ()

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def recipe_keys() -> list[Key]:
    """Every key of a recipe, in the order of its sections."""
    return [key_of(f"{section}.{name}", field) for section, name, field in fields()]


def grid_keys() -> list[Key]:
    """The keys of a grid, those of its [measure] among them."""
    found = []
    for name, facts in GRID_KEYS.items():
        found.append(Key(name, *facts))
        if name == MEASURE:
            found += [key_of(f"{name}.{inner}", field) for inner, field in MeasureSettings.model_fields.items()]
    return found


def find_keys(name: str) -> list[Key]:
    """The key of that name, or all of a section, or of a grid for `grid`; an unknown name raises with the nearest."""
    known = [*recipe_keys(), *grid_keys()]
    wanted = name.strip().strip("[]").removeprefix("recipe.").removeprefix("grid.")
    if wanted == "grid":
        return grid_keys()
    if found := [key for key in known if wanted in (key.name, key.section)]:
        return found
    names = [key.name for key in known]
    if same := called(wanted, names):
        return [key for key in known if key.name in same]
    words = {key.rpartition(".")[2]: key for key in names}
    close = nearest(wanted, [*names, *sections(), "grid"] if "." in wanted else [*words, *sections(), "grid"])
    raise UserError(
        f"unknown key {name}",
        "it is neither a key of a recipe or a grid nor a table of them",
        close if close.startswith("did you mean") else f"one of the tables: {', '.join([*sections(), 'grid'])}",
    )


def sections() -> dict[str, str]:
    """The tables of a recipe, each with what its docstring says beyond its name."""
    found = {}
    for name, table in Recipe.model_fields.items():
        assert table.annotation is not None
        found[name] = (inspect.getdoc(table.annotation) or "").removeprefix(f"[{name}]").removeprefix(": ")
    return found


def fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """(Section, key, field) of every key."""
    for section, table in Recipe.model_fields.items():
        assert isinstance(table.annotation, type)
        assert issubclass(table.annotation, Section)
        for name, field in table.annotation.model_fields.items():
            yield section, name, field
            if name == "mixture":
                yield from ((f"{section}.{name}", inner, below) for inner, below in MixtureEntry.model_fields.items())


def key_of(name: str, field: FieldInfo) -> Key:
    """A key of a recipe."""
    annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    default = "" if field.default is PydanticUndefined else toml(field.default)
    example = f"{name.rpartition('.')[2]} = {toml(example_of(name, field))}"
    return Key(name, kind(annotation), default, field.description or "", tuple(notes_on(name)), example)


def example_of(name: str, field: FieldInfo) -> Any:
    """A value that one may set."""
    if name in EXAMPLES:
        return EXAMPLES[name]
    if get_origin(field.annotation) is Literal:
        return next(one for one in get_args(field.annotation) if one and one != field.default)
    return not field.default if isinstance(field.default, bool) else field.default


def notes_on(name: str) -> Iterator[str]:
    """Where the key has another default, and where it is refused because nothing would read it."""
    section, _, key = name.partition(".")
    if section == "algorithm" and key != "name":
        others = [f"{algorithm} {toml(usual[key])}" for algorithm, usual in DEFAULTS.items() if key in usual]
        if others:
            yield f"its default with {', '.join(others)}"
        yield "refused except with sft" if key in SFT_KEYS else "refused with sft"
    if key in ROLLOUT_KEYS.get(section, ()):
        yield "refused with sft, which samples nothing" + (
            ", but where it grades an eval task" if key == "reward" else ""
        )
    if section == "rollout" and key in VLLM_KEYS:
        yield 'refused with `rollout.engine = "hf"`'
    if section == "adapter" and key not in OF_ADAPTER_ITSELF:
        yield "refused beside adapter.path, whose adapter has its own"
    if section == "adapter" and key in UNUSED:
        yield "refused for a method that has no use for it"
    if section == "eval" and key in DRAWN:
        yield 'refused with `eval.sampling = "task"`'
    if name in NEEDS:
        yield f"needs {NEEDS[name]}"
    if section == "cluster":
        yield sections()[section].removesuffix(".")


def as_change(key: str, value: Any) -> str:
    """A key and its value as `--set` takes them."""
    return f"{key}={toml(value)}"


def toml(value: Any) -> str:
    """A value as TOML writes it, in one line."""
    if isinstance(value, Mapping):
        inner = ", ".join(
            f"{key if key.isidentifier() else json.dumps(key)} = {toml(one)}" for key, one in value.items()
        )
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
