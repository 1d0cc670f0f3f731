"""What this machine lacks for a work, found without running any of it and without downloading anything."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import datasets
import torch
from datasets.naming import camelcase_to_snakecase
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from ..engine import require_vllm
from ..errors import UserError
from ..foresight import memory_needed
from ..recipe import Recipe
from ..rewards import is_gym
from ..run import check_names, rehearse
from ..tasks import BENCHMARKS, MADE_HERE, looks_like_a_path
from .work import Work

HUBS = {task.name: task.hub for task in BENCHMARKS if task.hub is not None}
PACKAGES = {"ifeval": ("lm_eval", 'pip install "stiefel[lm-eval]"')}
FETCHED = "a run fetches it from the hub"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
GYM = ("reasoning_gym", 'pip install "stiefel[gym]"')


@dataclass(frozen=True)
class Lack:
    """Something that a work needs and this machine has not."""

    kind: str  # model, data, package, vLLM, GPU, memory, settings
    what: str
    instead: str
    uses: tuple[str, ...] = ()  # what it is for, where that is not all of the work

    def __str__(self) -> str:
        """As a line."""
        uses = f", for {', '.join(self.uses)}" if self.uses else ""
        return f"missing {self.kind}: {self.what}{uses}: {self.instead}"


def lacks(work: Work, out: Path) -> list[Lack]:
    """Everything that is missing, each thing once, the models first.

    Where nothing is, each run is rehearsed as a comparison does it: its start on a skeleton, its rows, its reward.
    Raises UserError for a setting that could run nowhere.
    """
    for recipe in work.runs.values():
        check_names(recipe, shared=True)
    found = merged(lack for recipe in work.runs.values() for lack in of_recipe(recipe, work))
    if not found and work.trains:
        done: set[str] = set()
        for recipe in work.runs.values():
            rehearse(recipe, out, done)
    return found


def merged(every: Iterable[Lack]) -> list[Lack]:
    """Each thing once, with all that it is for."""
    found: dict[Lack, tuple[str, ...]] = {}
    for lack in every:
        alone = replace(lack, uses=())
        found[alone] = (*found.get(alone, ()), *lack.uses)
    return [replace(lack, uses=tuple(dict.fromkeys(uses))) for lack, uses in found.items()]


def of_recipe(recipe: Recipe, work: Work) -> Iterator[Lack]:
    """What one run lacks."""
    here = model_here(recipe)
    if not here:
        yield absent_model(recipe)
    if not work.trains:
        return
    yield from data(recipe)
    yield from engine(recipe)
    if here:
        yield from memory(recipe)


def model_here(recipe: Recipe) -> bool:
    """Whether the model's files lie on this machine, in a directory or in the hub's cache."""
    path = recipe.model.path
    if path == "nano" or Path(path).is_dir():
        return True
    return looks_like_an_id(path) and cached(path, "model", recipe.model.revision, weights=True)


def looks_like_an_id(path: str) -> bool:
    """Whether a text has the form of a hub id."""
    return HUB_ID.fullmatch(path) is not None and not looks_like_a_path(path)


def cached(name: str, kind: str, revision: str = "", *, weights: bool = False) -> bool:
    """Whether the hub's client holds a snapshot; nothing is asked of the network."""
    try:
        found = Path(snapshot_download(name, repo_type=kind, revision=revision or None, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):  # the latter: nothing that the hub could hold
        return False
    return not weights or any(found.glob("*.safetensors"))


def absent_model(recipe: Recipe) -> Lack:
    """The model, and how it is had."""
    path = recipe.model.path
    if looks_like_an_id(path):
        return Lack("model", f"{path} is not on this machine", FETCHED)
    instead = "make smollm2-warm, in a checkout" if "smollm2" in path else "give --set model.path=DIRECTORY"
    return Lack("model", f"there is no directory {path}", instead)


def data(recipe: Recipe) -> Iterator[Lack]:
    """The rows that are trained and measured, and the packages that make or grade them."""
    yield from files(recipe)
    made = {task.name for task in MADE_HERE}
    trained = [part.name for part in recipe.task.mixture] or [recipe.task.name]
    for name in dict.fromkeys([*trained, *recipe.eval.tasks]):
        package, instead = GYM if is_gym(name) else PACKAGES.get(name, ("", ""))
        if package and find_spec(package) is None:
            yield Lack("package", f"{package} is not installed", instead, (name,))
        if name in made or name not in HUBS or by_its_own_rows(name, recipe, trained):
            continue
        hub = HUBS[name].id
        if not rows_here(hub):
            yield Lack("data", f"{hub} is not on this machine", FETCHED, (name,))


def by_its_own_rows(name: str, recipe: Recipe, trained: Sequence[str]) -> bool:
    """Whether a task is trained on and measured by rows that the recipe names, so that the hub's are not read."""
    if name != recipe.task.name:
        return False
    trains, measures = name in trained, name in recipe.eval.tasks
    return bool((recipe.task.data or not trains) and (recipe.task.heldout or not measures))


def files(recipe: Recipe) -> Iterator[Lack]:
    """What the recipe names by itself: files, directories or hub ids."""
    task, revision = recipe.task, recipe.task.revision
    heldout = revision if task.heldout == task.data else ""  # a revision is that of `task.data`
    for key, given, of in (("task.data", task.data, revision), ("task.heldout", task.heldout, heldout)):
        if not given or Path(given).expanduser().exists():
            continue
        if not looks_like_an_id(given):
            yield Lack("data", f"there is no file {given}", f"give --set {key}=FILE")
        elif not rows_here(given, of):
            yield Lack("data", f"{given} is not on this machine", FETCHED, (key,))
    rows = recipe.optim.kl_cap_rows
    if rows and not Path(rows).expanduser().is_file():
        yield Lack("data", f"there is no file {rows}", "give --set optim.kl_cap_rows=FILE")


def rows_here(hub: str, revision: str = "") -> bool:
    """Whether a data set of the hub lies on this machine."""
    return cached(hub, "dataset", revision) or prepared(hub)


def prepared(hub: str) -> bool:
    """Whether `datasets` holds the data set in its own cache, by the name that it gives it there."""
    *owner, name = hub.split("/")
    return (Path(datasets.config.HF_DATASETS_CACHE) / "___".join([*owner, camelcase_to_snakecase(name)])).is_dir()


def engine(recipe: Recipe) -> Iterator[Lack]:
    """vLLM, and the GPUs that the settings name."""
    rollout, there = recipe.rollout, torch.cuda.device_count()
    if recipe.algorithm.name == "sft" or rollout.engine == "hf":
        wanted = recipe.cluster.gpus
    else:
        try:
            require_vllm('rollout.engine = "vllm"', 'rollout.engine = "hf"')
        except UserError as error:
            yield Lack("vLLM", error.what, error.instead)
        wanted = max(1, rollout.vllm_tensor_parallel, recipe.cluster.gpus)
    if wanted > there:
        yield Lack("GPU", f"{wanted} GPUs are named, and {there} are here", "docs/scaling.md, docs/cluster.md")


def memory(recipe: Recipe) -> Iterator[Lack]:
    """An update's memory by foresight's formula, against the GPU's or the machine's; where it counts the model."""
    wanted, there = memory_needed(recipe), total_memory()
    if wanted is not None and wanted > there:
        place = "a GPU" if torch.cuda.is_available() else "this machine"
        yield Lack(
            "memory",
            f"an update needs about {wanted / 1e9:.3g} GB, and {place} has {there / 1e9:.3g}",
            "a smaller optim.micro_batch, optim.activation_checkpointing = true, or shorter completions",
        )


def total_memory() -> int:
    """Bytes of the first GPU, or of the machine."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
