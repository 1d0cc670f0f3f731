"""The settings of a run: a frozen, typed tree, read from TOML, in which an unknown key is an error."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from ..errors import UserError, nearest
from .changes import parse_change, places_set
from .explained import explain
from .mixture import check_mixture, with_mixture
from .read import read_toml
from .sections import (
    AdapterSettings,
    AlgorithmSettings,
    ClusterSettings,
    EvalSettings,
    ExpectedSettings,
    GuardSettings,
    ModelSettings,
    OptimSettings,
    RolloutSettings,
    RunSettings,
    Section,
    TaskSettings,
)


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
    guard: GuardSettings = GuardSettings()
    cluster: ClusterSettings = ClusterSettings()
    expected: ExpectedSettings = ExpectedSettings()

    def to_toml(self) -> str:
        """Every key with its resolved value."""
        return tomli_w.dumps(self.model_dump())


def load_recipe(path: Path, changes: Iterable[str] = (), profile: str = "") -> Recipe:
    """The recipe in a file, overlaid with one of its profiles and then with `--set a.b=value` changes."""
    tables = read_toml(path)
    if is_grid(tables):
        raise UserError(
            f"{path} is a grid", "it holds many runs, and a recipe is one", f"stiefel compare {path} --out DIR"
        )
    return make_recipe(tables, changes, profile, str(path))


def is_grid(tables: Mapping[str, Any]) -> bool:
    """Whether a file's tables are those of a grid."""
    return bool(tables.keys() & {"axes", "recipe"}) and not tables.keys() & Recipe.model_fields.keys()


# where an algorithm's defaults are not DAPO's; sources: GRPO arXiv:2402.03300, Dr. GRPO arXiv:2503.20783
DEFAULTS: dict[str, dict[str, Any]] = {
    "dapo": {},
    "grpo": {"beta": 0.04, "clip_high": 0.2, "dual_clip": 0.0},
    "dr_grpo": {"clip_high": 0.2, "dual_clip": 0.0},
    "sft": {"beta": 0.0, "dual_clip": 0.0},
}
ALGORITHMS = tuple(DEFAULTS)
SFT_KEYS = ("epochs", "batch")
ROLLOUT_KEYS = {  # what only rollouts read
    "rollout": {"prompts", "completions", "temperature", "top_p", "top_k", "engine", "share_prompts"},
    "optim": {"rollouts", "updates_per_rollout", "kl_cap", "kl_cap_rows", "kl_cap_total"},
    "run": {"kl_every", "geometry_every", "samples_every"},
    "eval": {"every"},
    "guard": {"action", "kl_base", "grad_norm"},
    "task": {"reward", "partial_credit"},
}
DRAWN = {"samples", "temperature", "top_p"}  # of [eval], where it is not the task that says
OF_ADAPTER_ITSELF = {"path", "dropout_on"}  # what is read beside adapter.path
VLLM_KEYS = (
    "vllm_mode",
    "vllm_server",
    "vllm_memory",
    "vllm_tensor_parallel",
    "sync",
    "importance_correction",
    "importance_cap",
)


def make_recipe(
    tables: Mapping[str, Any],
    changes: Iterable[str] = (),
    profile: str = "",
    source: str = "",
    set_over: Collection[str] = (),
) -> Recipe:
    """The recipe of nested tables; raises UserError for the first key or value that does not fit.

    `set_over`: what of the tables is not from `source` but from changes, where these are laid over them already.
    """
    if not isinstance(tables, Mapping):
        raise UserError(f"recipe = {tables!r} in {source}", "a recipe is a table of settings", "write [recipe.adapter]")
    base, given = profiled(tables, profile, source), [parse_change(change) for change in changes]
    set_over = [*set_over, *places_set(base, given)]
    for change in given:
        base = overlay(base, change)
    base = with_mixture(base)
    refuse_unused(base)
    try:
        recipe = Recipe.model_validate(with_defaults(base))
    except ValidationError as error:
        raise explain(error, Recipe, source, set_over) from error
    check(recipe)
    return recipe


def profiled(tables: Mapping[str, Any], profile: str, source: str) -> dict[str, Any]:
    """The tables with one of their profiles laid over them, or none where it has no name; the others are left out."""
    base = {key: value for key, value in tables.items() if key != "profile"}
    profiles = profiles_of(tables, source)
    if not profile:
        return base
    if profile not in profiles:
        raise UserError(
            f"{source} has no profile {profile!r}",
            "it holds " + (", ".join(sorted(profiles)) or "none"),
            nearest(profile, profiles) if profiles else "leave the profile out",
        )
    return overlay(base, profiles[profile])


def profiles_of(tables: Mapping[str, Any], source: str) -> Mapping[str, Mapping[str, Any]]:
    """A recipe's profiles by their names."""
    profiles = tables.get("profile", {})
    if not isinstance(profiles, Mapping) or not all(isinstance(table, Mapping) for table in profiles.values()):
        raise UserError(
            f"profile in {source} is no table of tables", "a profile overlays settings", "[profile.NAME.optim]"
        )
    return profiles


def refuse_unused(tables: Mapping[str, Any]) -> None:
    """Raise for written keys that nothing would read; a resolved recipe names every key, so defaults pass."""
    adapter = tables.get("adapter", {})
    if isinstance(adapter, Mapping) and adapter.get("path"):
        unused = written(adapter, AdapterSettings().model_dump(), OF_ADAPTER_ITSELF)
        if unused:
            raise UserError(
                f"adapter.{unused[0]} is set beside adapter.path",
                "the adapter in that directory has a method, rank, alpha and targets of its own",
                f"leave out adapter.path, or adapter.{', adapter.'.join(unused)}",
            )
    algorithm = tables.get("algorithm", {})
    name = algorithm_of(tables)
    if name is not None:
        usual = {**AlgorithmSettings().model_dump(), **DEFAULTS[name]}
        read = {"name", *SFT_KEYS} if name == "sft" else set(AlgorithmSettings.model_fields) - set(SFT_KEYS)
        unused = written(algorithm, usual, read)
        if unused:
            raise UserError(
                f"algorithm.{unused[0]} is set for {name}",
                f"{name} has no use for it, and a setting that nothing reads would be lost in silence",
                f"leave out algorithm.{', algorithm.'.join(unused)}, or choose another algorithm.name",
            )
        if name == "sft":
            refuse_rollout_keys(tables)
    rollout = tables.get("rollout", {})
    if isinstance(rollout, Mapping) and rollout.get("engine", "hf") == "hf":
        unused = written(rollout, RolloutSettings().model_dump(), set(RolloutSettings.model_fields) - set(VLLM_KEYS))
        if unused:
            raise UserError(
                f"rollout.{unused[0]} is set for rollout.engine = 'hf'",
                "only vllm reads it",
                f"leave out rollout.{', rollout.'.join(unused)}, or set rollout.engine = 'vllm'",
            )


def refuse_rollout_keys(tables: Mapping[str, Any]) -> None:
    """Raise for written keys of rollouts where there are none."""
    usual = Recipe().model_dump()
    for section, keys_of_rollouts in ROLLOUT_KEYS.items():
        table = tables.get(section, {})
        if isinstance(table, Mapping):
            read = set(usual[section]) - keys_of_rollouts
            if section == "task" and measures_its_own(tables):
                read.add("reward")
            unused = written(table, usual[section], read)
            if "kl_cap" in unused:
                raise UserError(
                    f"optim.kl_cap = {table['kl_cap']} is set for sft",
                    "it bounds the KL on what a policy has sampled, and supervised training samples nothing",
                    "leave it out, and set a smaller optim.lr, which bounds the step",
                )
            if unused:
                raise UserError(
                    f"{section}.{unused[0]} is set for sft",
                    "supervised training generates nothing: its length is algorithm.epochs, its batch algorithm.batch",
                    f"leave out {section}.{f', {section}.'.join(unused)}",
                )


def measures_its_own(tables: Mapping[str, Any]) -> bool:
    """Whether [eval] measures what is trained, so that its reward is read where nothing is rewarded."""
    task, measured = tables.get("task", {}), tables.get("eval", {})
    if not (isinstance(task, Mapping) and isinstance(measured, Mapping)):
        return False
    return bool(measured.get("validation")) or task.get("name", TaskSettings().name) in measured.get("tasks", [])


def written(table: Mapping[str, Any], usual: Mapping[str, Any], read: set[str]) -> list[str]:
    """The known keys of a table that are not read and do not have their usual value."""
    return [key for key in table if key in usual and key not in read and table[key] != usual[key]]


def with_defaults(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tables with the named algorithm's defaults below what was written."""
    name = algorithm_of(tables)
    return tables if name is None else {**tables, "algorithm": {**DEFAULTS[name], **tables.get("algorithm", {})}}


def algorithm_of(tables: Mapping[str, Any]) -> str | None:
    """The algorithm that is named, or else the default; None where what stands there is no name of one."""
    algorithm = tables.get("algorithm", {})
    name = algorithm.get("name", AlgorithmSettings().name) if isinstance(algorithm, Mapping) else None
    return name if isinstance(name, str) and name in DEFAULTS else None


def usual_recipe(algorithm: str) -> dict[str, Any]:
    """Every key with its default, where the algorithm of that name is chosen."""
    return Recipe().model_dump() | {
        "algorithm": {**AlgorithmSettings().model_dump(), "name": algorithm, **DEFAULTS.get(algorithm, {})}
    }


def overlay(base: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `base`, table by table."""
    merged = dict(base)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overlay(merged[key], value) if both else value
    return merged


def by_key(tables: Mapping[str, Any]) -> dict[str, Any]:
    """`section.key` → value, two levels deep, as a recipe is; a method's options stay one value."""
    return {f"{section}.{key}": value for section, table in tables.items() for key, value in table.items()}


def check_validation(recipe: Recipe) -> None:
    """Raise where eval.defer leaves nothing to choose by, or something that could not be measured afterwards."""
    if not recipe.eval.defer:
        return
    if not recipe.eval.validation:
        raise UserError(
            "eval.defer without eval.validation",
            "eval.tasks are measured once something is chosen (rate = 'tuned' of a grid), and nothing would choose",
            "set eval.validation to a number of questions",
        )
    if recipe.eval.every:
        raise UserError(
            f"eval.every = {recipe.eval.every} beside eval.defer",
            "eval.tasks are measured when the run has ended (rate = 'tuned' of a grid), and not on its way",
            "leave out eval.every",
        )
    if recipe.rollout.engine == "vllm":
        raise UserError(
            "rollout.engine = 'vllm' beside eval.defer",
            "a run's own engine measures its eval.tasks, and it is gone when they are chosen (rate = 'tuned')",
            "set rollout.engine = 'hf', or choose the rate by a grid without rate, on eval.validation",
        )


def check(recipe: Recipe) -> None:
    """What no single key can tell."""
    check_mixture(recipe.task)
    algorithm, rollout, optim = recipe.algorithm, recipe.rollout, recipe.optim
    completions = rollout.prompts * rollout.completions
    if algorithm.name != "sft" and completions % optim.updates_per_rollout:
        divisors = [str(n) for n in range(1, completions + 1) if completions % n == 0]
        raise UserError(
            f"optim.updates_per_rollout = {optim.updates_per_rollout} does not divide the rollout",
            f"rollout.prompts × rollout.completions = {completions} completions must split into equal mini-batches",
            f"one of {', '.join(divisors)}",
        )
    batch = algorithm.batch if algorithm.name == "sft" else completions // optim.updates_per_rollout
    if optim.micro_batch and batch % optim.micro_batch:
        raise UserError(
            f"optim.micro_batch = {optim.micro_batch} does not divide an optimizer step's {batch} sequences",
            "the pieces of a step are equally large",
            "one of " + ", ".join(str(n) for n in range(1, batch + 1) if batch % n == 0),
        )
    if 0 < algorithm.dual_clip < 1 + algorithm.clip_high:
        raise UserError(
            f"algorithm.dual_clip = {algorithm.dual_clip:g} is below 1 + clip_high = {1 + algorithm.clip_high:g}",
            "it is a bound where the advantage is negative, and one so low would clip the ratio of positive ones too",
            f"give {1 + algorithm.clip_high:g} or more, or 0 for no bound",
        )
    if algorithm.overlong_buffer > rollout.max_completion_tokens:
        raise UserError(
            f"algorithm.overlong_buffer = {algorithm.overlong_buffer} is longer than a completion",
            f"rollout.max_completion_tokens is {rollout.max_completion_tokens}",
            f"give at most {rollout.max_completion_tokens}",
        )
    check_validation(recipe)
    if recipe.eval.every and not (recipe.eval.tasks or recipe.eval.validation):
        raise UserError(
            f"eval.every = {recipe.eval.every} without eval.tasks",
            "there is nothing to measure",
            "name the tasks, or leave out eval.every",
        )
    if recipe.task.heldout and recipe.task.name not in recipe.eval.tasks:
        raise UserError(
            f"task.heldout = {recipe.task.heldout!r} without {recipe.task.name} among eval.tasks",
            "nothing would be measured on these rows",
            f'set eval.tasks = ["{recipe.task.name}"], or leave task.heldout out',
        )
    if recipe.eval.sampling == "task":
        unread = written(recipe.eval.model_dump(), EvalSettings().model_dump(), set(EvalSettings.model_fields) - DRAWN)
        if unread:
            raise UserError(
                f"eval.{unread[0]} is set beside eval.sampling = 'task'",
                "each task is measured in its own way, and nothing would read it",
                f"leave out eval.{', eval.'.join(unread)}, or set eval.sampling = 'recipe'",
            )
    if recipe.guard.action == "off" and (recipe.guard.kl_base or recipe.guard.grad_norm):
        raise UserError(
            "[guard] has bounds, and guard.action = 'off'",
            "nothing would be done where they are passed",
            "set guard.action = 'stop' or 'restore', or leave the bounds out",
        )
    if optim.kl_cap_rows and not optim.kl_cap:
        raise UserError(
            f"optim.kl_cap_rows = {optim.kl_cap_rows!r} without optim.kl_cap",
            "there is no bound to hold on these rows",
            "set optim.kl_cap, or leave optim.kl_cap_rows out",
        )
    if optim.kl_cap_total != OptimSettings().kl_cap_total and not optim.kl_cap_rows:
        raise UserError(
            f"optim.kl_cap_total = {optim.kl_cap_total:g} without optim.kl_cap_rows",
            "it bounds the KL on these rows",
            "set optim.kl_cap_rows, or leave optim.kl_cap_total out",
        )
    usual = AlgorithmSettings()
    for key, switch, on in (
        ("max_gen_batches", "dynamic_sampling", algorithm.dynamic_sampling),
        ("overlong_penalty", "overlong_buffer", algorithm.overlong_buffer > 0),
    ):
        if not on and vars(algorithm)[key] != vars(usual)[key]:
            raise UserError(
                f"algorithm.{key} = {vars(algorithm)[key]} without algorithm.{switch}",
                "nothing would read it",
                f"set algorithm.{switch} too, or leave algorithm.{key} out",
            )
    if recipe.guard.action == "restore" and not recipe.run.save_every:
        raise UserError(
            "guard.action = 'restore' with run.save_every = 0",
            "there would be no checkpoint to go back to",
            "set run.save_every, or guard.action = 'stop'",
        )
