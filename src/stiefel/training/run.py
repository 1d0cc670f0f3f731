"""A recipe → a run directory."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..adapter import attach, certificate_of, trainable_parameters
from ..artifacts import (
    ADAPTER,
    BEST,
    CHECKPOINTS,
    EVAL,
    EVALUATED,
    GEOMETRY,
    MANIFEST,
    METRICS,
    RECIPE,
    SAMPLES,
    check_room,
    discard,
    write_json,
    write_text,
)
from ..errors import UserError
from ..geometry.live import GeometryCallback
from ..methods import compose, unused_settings, used_settings
from ..recipe import Recipe
from ..saved import load, save
from ..sections import AdapterSettings
from ..tasks import Task, find_task, training_task
from ..weights import load_model, load_tokenizer
from .adalora import is_adalora, schedule
from .arguments import trainer_arguments
from .checkpoints import checkpoints
from .directory import (
    finished,
    last_checkpoint,
    manifest,
    note,
    read_events,
    rewind,
    same_base,
    same_data,
    same_recipe,
    status,
    sweep,
)
from .evaluation import (
    AFTER,
    BEFORE,
    BaseSamples,
    Progress,
    append_samples,
    compare_scores,
    during,
    mean_score,
    measure,
    read_samples,
    tasks_of,
)
from .guard import Guard, Tripped
from .metrics import RolloutMetrics, Row
from .probabilities import NoProbabilities, finite_logits
from .processes import replicas
from .reaction import ended, react
from .reporting import report_into, require_reporters
from .rows import digest, sft_rows, training_rows
from .settings import grpo_config, sft_config
from .sft import SFTTrainer
from .sync import require_vllm
from .trainer import GRPOTrainer


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    base: BaseSamples | None = None,
    progress: Progress = lambda line: None,
    on_row: Callable[[Row], None] = lambda row: None,
    shared: bool = False,
    written: Collection[str] = (),
) -> None:
    """Train as the recipe says and leave a run directory.

    An existing directory is refused without `resume` or `force`. With `resume` a finished run is left alone and an
    unfinished one goes on from its last checkpoint, or begins again where it has none: either ends in the bits of a run
    that was never interrupted. With `force` the directory is replaced once everything is loaded. `base` holds samples
    of the base model, by task, where the caller has them already; `shared` says that the settings are those of a whole
    comparison, so that a method may have no use for some, but for those of [adapter] in `written`. Raises Diverged,
    after noting it in the manifest, where the policy stops giving probabilities or the guard ends the run. Every
    process of a launch calls it alike.
    """
    disable_progress_bar()
    again = resume and bool(status(out))
    if again:
        same_recipe(recipe, out)
        if finished(out):
            progress(f"{out} is finished" if status(out) == "finished" else f"{out} has ended: it diverged")
            return
    check_room(out, force=force or again, kind="run")
    check_names(recipe, shared=shared, written=written)
    check_run(recipe, out)
    replicas().wait_for_everyone()  # all have looked before one writes
    events = read_events(out) if again else []
    if events and events[-1]["action"] == "stop":  # killed before it could say so in the manifest
        raise ended(out, events[-1]["reason"])
    keep = again and bool(checkpoints(out / CHECKPOINTS) or events)
    if again:
        progress(f"{out}: going on from its last checkpoint" if keep else f"{out} has no checkpoint: beginning again")
    while True:
        try:
            Attempt(recipe, out, keep, base, progress, on_row).run()
        except Tripped as trip:
            react(recipe, out, trip, progress)
            keep = True
        else:
            return


class Attempt:
    """One way through a run, from its start or its last checkpoint, to its end or to what the guard does not accept."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        keep: bool,
        base: BaseSamples | None,
        progress: Progress,
        on_row: Callable[[Row], None],
    ) -> None:
        self.recipe, self.out, self.progress, self.on_row = recipe, out, progress, on_row
        self.main = PartialState().is_main_process
        self.guard = Guard(recipe.guard)
        supervised = recipe.algorithm.name == "sft"
        task = training_task(recipe.task, graded=not supervised)
        self.model, self.tokenizer = load_pair(recipe)
        read = sft_rows if supervised else training_rows
        dataset = read(recipe, task, self.tokenizer, progress)
        data = digest(dataset)
        updates = recipe.optim.rollouts * recipe.optim.updates_per_rollout
        if supervised:
            updates = recipe.algorithm.epochs * math.ceil(len(dataset) / recipe.algorithm.batch)
            check_budget(recipe, updates)
        if keep:
            same_data(out, recipe, data)
        if self.main and keep:
            sweep(out)
            rewind(out)
        PartialState().wait_for_everyone()
        self.phases = read_samples(out / SAMPLES) if keep else {}
        known = BEFORE in self.phases
        if not known:
            drawn = base if base is not None else measured(recipe, self.model, self.tokenizer, BEFORE, progress)
            self.phases[BEFORE] = drawn
        self.model = adapted(recipe, self.model)
        if is_adalora(self.model):  # of an adapter in a directory it is not known before
            schedule(certificate_of(self.model).options, updates)
        stands_on = {base.name: base.fingerprint for base in certificate_of(self.model).bases}
        if keep:
            same_base(out, recipe, stands_on)
        elif self.main:
            self._begin(data, stands_on)
        if self.main and not known:
            append_samples(out / SAMPLES, BEFORE, self.phases[BEFORE])
        PartialState().wait_for_everyone()
        self.checkpoint = last_checkpoint(out)
        report_into(out, recipe.run.report_to)
        self.trainer: GRPOTrainer | SFTTrainer
        if supervised:
            self.trainer = SFTTrainer(recipe, out, self.model, self.tokenizer, dataset, on_row)
        else:
            self.trainer = self._rollout_trainer(task, dataset, 0.5 ** len(read_events(out)))
        for callback in (PrinterCallback, ProgressCallback):
            self.trainer.remove_callback(callback)

    def _begin(self, data: str, base: dict[str, str]) -> None:
        if self.out.is_dir():
            discard(self.out)
        self.out.mkdir(parents=True)
        write_json(self.out / MANIFEST, manifest(self.recipe, data, base))  # first: it makes the directory a run's
        write_text(self.out / RECIPE, self.recipe.to_toml())

    def _rollout_trainer(self, task: Task, dataset: Dataset, scale: float) -> GRPOTrainer:
        recipe = self.recipe
        metrics = RolloutMetrics(self.out / METRICS, self._after_rollout)
        trainer = GRPOTrainer(
            self.model,
            callbacks=[metrics, *self._geometry()],
            **trainer_arguments(recipe, task, dataset, self.tokenizer, self.out / CHECKPOINTS, scale=scale),
            journals=[self.out / METRICS, self.out / SAMPLES, self.out / GEOMETRY],
        )
        metrics.watch(trainer)
        return trainer

    def _geometry(self) -> list[GeometryCallback]:
        every, updates = self.recipe.run.geometry_every, self.recipe.optim.updates_per_rollout
        path = self.out / GEOMETRY
        return [GeometryCallback(path, self.model, every, updates_per_rollout=updates)] if every else []

    def _after_rollout(self, row: Row) -> None:
        self.guard.look(row)
        every, rollout = self.recipe.eval.every, row["step"]
        if every and rollout % every == 0 and rollout < self.recipe.optim.rollouts:
            self._evaluate(during(rollout))
        if self.main:
            self.on_row(row)

    def _evaluate(self, when: str) -> None:
        """Measure the policy as it is, and keep its adapter if none was better."""
        earlier = [mean_score(samples) for name, samples in self.phases.items() if name != BEFORE]
        self.phases[when] = measured(self.recipe, self.model, self.tokenizer, when, self.progress)
        if not self.main:
            return
        append_samples(self.out / SAMPLES, when, self.phases[when])
        if self.recipe.eval.every and mean_score(self.phases[when]) > max(earlier, default=-1.0):
            replace_adapter(self.model, self.out / EVALUATED / when)

    def run(self) -> None:
        """Train to the end and write what is left."""
        try:
            self.trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
            self.model.eval()
            self._evaluate(AFTER)
        except FloatingPointError as error:  # of supervised training, which has no guard
            raise ended(self.out, str(error)) from error
        except NoProbabilities as error:
            raise self._lost() from error
        if not self.main:
            return
        write_json(self.out / EVAL, compare_scores(self.phases))
        replace_adapter(self.model, self.out / ADAPTER)
        note(
            self.out,
            "finished",
            not_applicable=not_applicable(self.recipe),
            **self._counts(),
            events=read_events(self.out),
            **self._best(),
        )

    def _lost(self) -> Exception:
        """What is raised for a policy that gives no probabilities any more."""
        if isinstance(self.trainer, SFTTrainer):
            return ended(self.out, "the trained model gives no probabilities any more")
        rollout = self.trainer.rollout  # the one that it would generate
        reason = f"the policy gives no probabilities any more after rollout {rollout - 1}"
        if self.recipe.guard.action != "off":
            return Tripped(rollout, reason)
        return ended(self.out, reason)

    def _counts(self) -> dict[str, Any]:
        trainable = trainable_parameters(self.model)
        total = sum(p.numel() for p in self.model.parameters())
        return {"parameters": total - trainable, "trainable_parameters": trainable}

    def _best(self) -> dict[str, Any]:
        """The best evaluation; its adapter was kept when it was the best so far, whatever a guard undid since."""
        if not self.recipe.eval.every:
            return {}
        scores = {when: mean_score(samples) for when, samples in self.phases.items() if when != BEFORE}
        best = max(scores, key=lambda when: scores[when])
        if (self.out / EVALUATED / best).is_dir():  # a run killed right here had got further
            if (self.out / BEST).is_dir():
                discard(self.out / BEST)
            (self.out / EVALUATED / best).rename(self.out / BEST)
        if (self.out / EVALUATED).is_dir():
            discard(self.out / EVALUATED)
        return {"best": {"when": best, "score": scores[best]}}


def replace_adapter(model: Any, out: Path) -> None:
    """Save the adapter in place of an earlier one."""
    if out.is_dir():
        discard(out)
    save(model, out)


def check_names(recipe: Recipe, *, shared: bool = False, written: Collection[str] = ()) -> None:
    """Raise for a task, method, option or setting that has no meaning, before anything is loaded.

    Of `shared` settings only those of [adapter] that are named in `written` must have one.
    """
    if not recipe.task.data:
        find_task(recipe.task.name)
    tasks_of(recipe)
    require_reporters(recipe.run.report_to)
    if recipe.adapter.path:
        return
    compose(recipe.adapter.method).resolve_options(recipe.adapter.options)
    usual = AdapterSettings()
    lost = [key for key in not_applicable(recipe) if vars(recipe.adapter)[key] != vars(usual)[key]]
    if shared:
        lost = [key for key in lost if key in written]
    if lost:
        raise UserError(
            f"adapter.{lost[0]} = {vars(recipe.adapter)[lost[0]]!r} is set for {recipe.adapter.method}",
            f"{recipe.adapter.method} has no use for it, and a setting that nothing reads would be lost in silence",
            f"leave out adapter.{', adapter.'.join(lost)}",
        )


def check_run(recipe: Recipe, out: Path) -> None:
    """Raise for what a trainer would refuse, before an earlier run is replaced."""
    supervised = recipe.algorithm.name == "sft"
    config = sft_config(recipe, out) if supervised else grpo_config(recipe, out)
    if recipe.rollout.engine == "vllm":
        require_vllm()
    if recipe.adapter.path:
        return
    if not supervised:  # its updates are known once its rows are read
        check_budget(recipe, config.max_steps)
    composition = compose(recipe.adapter.method)
    if recipe.run.geometry_every and (composition.has("ia3") or composition.stands_on == "norms"):
        raise UserError(
            f"run.geometry_every is set for {recipe.adapter.method}",
            "it changes no matrix by itself, so that there is nothing to measure of each",
            "leave out run.geometry_every, or choose another method",
        )


def check_budget(recipe: Recipe, updates: int) -> None:
    """Raise where AdaLoRA has too few updates to cut its rank in."""
    if recipe.adapter.path:
        return
    composition = compose(recipe.adapter.method)
    if composition.has("adalora"):
        schedule(composition.resolve_options(recipe.adapter.options), updates)


def not_applicable(recipe: Recipe) -> list[str]:
    """The adapter's settings that its method has no use for."""
    settings = recipe.adapter
    return [] if settings.path else sorted(unused_settings(compose(settings.method), settings.options))


def load_pair(recipe: Recipe) -> tuple[Any, Any]:
    """The base model and its tokenizer, on the recipe's number of threads."""
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    tokenizer = load_tokenizer(recipe.model.path, recipe.model.revision)
    if tokenizer.eos_token is None:
        raise UserError(
            f"the tokenizer of {recipe.model.path} has no end-of-sequence token",
            "a completion could not end, and none could be learned to",
            "set eos_token in its tokenizer_config.json",
        )
    return load_model(recipe.model.path, recipe.model.dtype, recipe.model.revision), tokenizer


def measure_base(recipe: Recipe) -> BaseSamples:
    """Graded samples of the base model on the recipe's evaluation tasks."""
    model, tokenizer = load_pair(recipe)
    return measured(recipe, model, tokenizer, BEFORE, lambda line: None)


def measured(recipe: Recipe, model: Any, tokenizer: Any, when: str, progress: Progress) -> BaseSamples:
    """`measure`; raises NoProbabilities, in every process alike, where the model's logits are no numbers."""
    with finite_logits(model):
        return measure(recipe, model, tokenizer, when, progress)


def adapted(recipe: Recipe, model: Any) -> Any:
    """The model with the recipe's adapter: a saved one, or a new start."""
    settings = recipe.adapter
    options: dict[str, Any] = dict(settings.options)
    if settings.path:
        return load(model, settings.path)
    given = settings.model_dump(include={"rank", "alpha", "dropout", "targets"})
    return attach(
        model,
        settings.method,
        seed=recipe.run.seed,
        **used_settings(settings.method, **given, options=options),
        **options,
    )
