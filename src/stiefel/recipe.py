"""The settings of a run: a frozen, typed tree, read from TOML, in which an unknown key is an error."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import UserError, nearest

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
NotNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class ModelSettings(Section):
    """[model]"""

    path: Annotated[str, Field(min_length=1)] = "nano"
    """Hub id, local directory, or nano."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the frozen weights; the trained factors are float32 always."""
    revision: str = ""
    """Branch, tag or commit of a hub id."""


class AdapterSettings(Section):
    """[adapter]"""

    method: str = "rlpo"
    """One of `stiefel methods`."""
    path: str = ""
    """An adapter directory to start from; method, rank, alpha and targets are then its own."""
    rank: Positive = 8
    """r."""
    alpha: Positive = 16
    """The adapter is scaled by s = alpha/r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input."""
    targets: str | list[str] = "all-linear"
    """all-linear, a list of module names, or a regular expression."""
    options: dict[str, str | float] = {}
    """The method's own options."""


class TaskSettings(Section):
    """[task]"""

    name: str = "nano-arithmetic"
    """What is trained."""


class AlgorithmSettings(Section):
    """[algorithm]"""

    name: Literal["dapo"] = "dapo"
    """Policy-gradient loss."""
    beta: NotNegativeFloat = 0.0
    """Weight of the KL to the base policy in the loss."""
    clip_low: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The ratio is clipped below at 1 − clip_low."""
    clip_high: PositiveFloat = 0.28
    """The ratio is clipped above at 1 + clip_high."""
    dual_clip: Annotated[float, Field(gt=1)] = 10.0
    """Bound on the ratio where the advantage is negative."""
    entropy: NotNegativeFloat = 0.0
    """Weight of the entropy bonus."""
    dynamic_sampling: Literal[False] = False
    """Replace groups of equal correctness by fresh prompts; not available yet."""


class RolloutSettings(Section):
    """[rollout]"""

    engine: Literal["hf"] = "hf"
    """What generates the completions."""
    prompts: Positive = 8
    """Prompts a rollout."""
    completions: Annotated[int, Field(ge=2)] = 8
    """Completions a prompt: the group whose rewards are compared."""
    temperature: PositiveFloat = 1.0
    """Sampling temperature; the loss uses the same."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus; 1 keeps all tokens."""
    top_k: NotNegative = 0
    """0 keeps all tokens."""
    max_prompt_tokens: Positive = 64
    """A longer prompt is an error."""
    max_completion_tokens: Positive = 64
    """Completions are cut off here."""


class OptimSettings(Section):
    """[optim]"""

    lr: NotNegativeFloat = 3e-4
    """Learning rate; 0 is a valid rate, which measures without training."""
    schedule: Literal["constant", "cosine"] = "constant"
    """How the rate goes, counted in rollouts."""
    rollouts: Positive = 60
    """Length of the run."""
    updates_per_rollout: Positive = 2
    """Mini-batches a rollout is split into; each is one optimizer step."""
    weight_decay: NotNegativeFloat = 0.1
    """AdamW's decoupled decay."""
    weight_decay_on: Literal["delta", "factors"] = "delta"
    """Decay the change from the start (towards the base), or A and B themselves as published."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm."""
    warmup_rollouts: NotNegative = 0
    """Linear warm-up."""


class RunSettings(Section):
    """[run]"""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the start, the prompts and the sampling."""
    kl_every: Positive = 10
    """Rollouts between measurements of kl_base and kl_step, which cost a forward pass each."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0 leaves torch's choice. A tiny model is fastest on one."""


class EvalSettings(Section):
    """[eval]"""

    tasks: list[str] = []
    """Tasks measured before and after training."""
    samples: Positive = 1
    """Completions a question."""
    temperature: NotNegativeFloat = 0.6
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Nucleus."""
    limit: Positive = 500
    """Questions a task."""


class Recipe(Section):
    """One run, whole."""

    model: ModelSettings = ModelSettings()
    adapter: AdapterSettings = AdapterSettings()
    task: TaskSettings = TaskSettings()
    algorithm: AlgorithmSettings = AlgorithmSettings()
    rollout: RolloutSettings = RolloutSettings()
    optim: OptimSettings = OptimSettings()
    run: RunSettings = RunSettings()
    eval: EvalSettings = EvalSettings()

    def to_toml(self) -> str:
        """Every key with its resolved value."""
        return tomli_w.dumps(self.model_dump())


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"no file {path}", "there is nothing to read", "give an existing TOML file") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a directory", "a TOML file is needed", "name the file in it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML", str(error), "mend that place") from error


def load_recipe(path: Path, changes: Iterable[str] = (), profile: str = "") -> Recipe:
    """The recipe in a file, overlaid with one of its profiles and then with `--set a.b=value` changes."""
    return make_recipe(read_toml(path), changes, profile, str(path))


def make_recipe(tables: Mapping[str, Any], changes: Iterable[str] = (), profile: str = "", source: str = "") -> Recipe:
    """The recipe of nested tables; raises UserError for the first key or value that does not fit."""
    if not isinstance(tables, Mapping):
        raise UserError(f"recipe = {tables!r} in {source}", "a recipe is a table of settings", "write [recipe.adapter]")
    base = {key: value for key, value in tables.items() if key != "profile"}
    profiles = tables.get("profile", {})
    if not isinstance(profiles, Mapping) or not all(isinstance(table, Mapping) for table in profiles.values()):
        raise UserError(
            f"profile in {source} is no table of tables", "a profile overlays settings", "[profile.NAME.optim]"
        )
    if profile:
        if profile not in profiles:
            raise UserError(
                f"{source} has no profile {profile!r}",
                "it holds " + (", ".join(sorted(profiles)) or "none"),
                nearest(profile, profiles) if profiles else "leave --profile out",
            )
        base = overlay(base, profiles[profile])
    for change in changes:
        base = overlay(base, parse_change(change))
    refuse_unused(base)
    try:
        recipe = Recipe.model_validate(base)
    except ValidationError as error:
        raise explain(error, source) from error
    check(recipe)
    return recipe


def refuse_unused(tables: Mapping[str, Any]) -> None:
    """Raise for written keys that a saved adapter decides."""
    adapter = tables.get("adapter", {})
    if isinstance(adapter, Mapping) and adapter.get("path"):
        usual = AdapterSettings().model_dump()  # a resolved recipe names every key
        unused = [key for key in adapter if key != "path" and adapter[key] != usual.get(key)]
        if unused:
            raise UserError(
                f"adapter.{unused[0]} is set beside adapter.path",
                "the adapter in that directory has a method, rank, alpha and targets of its own",
                f"leave out adapter.path, or adapter.{', adapter.'.join(unused)}",
            )


def overlay(base: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `base`, table by table."""
    merged = dict(base)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overlay(merged[key], value) if both else value
    return merged


def parse_change(change: str) -> dict[str, Any]:
    """`optim.lr=1e-3` → {"optim": {"lr": 0.001}}; a value that is not TOML is taken as a string."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {change!r} is not a change", "it has no key and value", "write --set optim.lr=1e-3")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {"value": text}
    if parsed.keys() != {"value"}:
        raise UserError(f"--set {change!r} is more than one change", "one key is set at a time", "repeat --set")
    value = parsed["value"]
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def explain(error: ValidationError, source: str) -> UserError:
    """The first thing that pydantic found wrong, as one message in the recipe's own words."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    where = f" in {source}" if source else ""
    if first["type"] == "extra_forbidden":
        return UserError(
            f"unknown key {path}{where}",
            "a key that nothing reads would be a setting silently lost",
            nearest(path, keys()),
        )
    return UserError(f"{path} = {first['input']!r}{where} does not fit", first["msg"], f"{path}: {meaning(path)}")


def keys() -> dict[str, str]:
    """Every key of a recipe, `section.key`, with its docstring and default."""
    found = {}
    for section, table in Recipe.model_fields.items():
        assert isinstance(table.annotation, type)
        assert issubclass(table.annotation, Section)
        for key, entry in table.annotation.model_fields.items():
            found[f"{section}.{key}"] = f"{entry.description} Default: {entry.default!r}."
    return found


def meaning(path: str) -> str:
    """The docstring of the key that a location points at or into."""
    known = keys()
    section_and_key = ".".join(path.split(".")[:2])
    return known.get(section_and_key, "a table of settings; the keys are " + ", ".join(sorted(known)))


def check(recipe: Recipe) -> None:
    """What no single key can tell."""
    completions = recipe.rollout.prompts * recipe.rollout.completions
    if completions % recipe.optim.updates_per_rollout:
        divisors = [str(n) for n in range(1, completions + 1) if completions % n == 0]
        raise UserError(
            f"optim.updates_per_rollout = {recipe.optim.updates_per_rollout} does not divide the rollout",
            f"rollout.prompts × rollout.completions = {completions} completions must split into equal mini-batches",
            f"one of {', '.join(divisors)}",
        )
