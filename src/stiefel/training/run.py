"""A recipe → a run directory."""

from __future__ import annotations

from collections.abc import Callable
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
    EVENTS,
    GEOMETRY,
    MANIFEST,
    METRICS,
    RECIPE,
    SAMPLES,
    check_room,
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
from .adalora import schedule
from .checkpoints import checkpoints, step_of
from .directory import discard, finished, last_checkpoint, manifest, read_events, rewind, same_recipe, status
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
from .guard import MOST_RESTORES, Guard, Tripped
from .metrics import RolloutMetrics, Row, append
from .processes import replicas
from .reporting import report_into, require_reporters
from .rewards import GradedReward, shaping
from .rows import sft_rows, training_rows
from .settings import grpo_config, rate_factor, sft_config
from .sft import SFTTrainer
from .sync import require_vllm
from .trainer import GRPOTrainer

NO_PROBABILITIES = "probability tensor contains"  # torch.multinomial's words for NaN, inf and negatives


class Diverged(UserError):
    """A policy whose probabilities are no longer numbers, or which the guard stopped."""


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
) -> None:
    """Train as the recipe says and leave a run directory.

    An existing directory is refused without `resume` or `force`. With `resume` a finished run is left alone and an
    unfinished one goes on from its last checkpoint, or begins again where it has none: either ends in the bits of a run
    that was never interrupted. With `force` the directory is replaced once everything is loaded. `base` holds samples
    of the base model, by task, where the caller has them already; `shared` says that the settings are those of a whole
    comparison, so that a method may have no use for some. Raises Diverged, after noting it in the manifest,
    where the policy stops giving probabilities or the guard ends the run. Every process of a launch calls it alike.
    """
    disable_progress_bar()
    again = resume and bool(status(out))
    if again:
        same_recipe(recipe, out)
        if finished(out):
            progress(f"{out} is finished")
            return
    check_room(out, force=force or again)
    check_names(recipe, shared=shared)
    check_run(recipe, out)
    replicas().wait_for_everyone()  # all have looked before one writes
    events = read_events(out) if again else []
    if events and events[-1]["action"] == "stop":  # killed before it could say so in the manifest
        raise ended(recipe, out, events[-1]["reason"])
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
        if self.main and keep:
            rewind(out)
        PartialState().wait_for_everyone()
        self.phases = read_samples(out / SAMPLES) if keep else {}
        known = BEFORE in self.phases
        if not known:
            drawn = base if base is not None else measure(recipe, self.model, self.tokenizer, BEFORE, progress)
            self.phases[BEFORE] = drawn
        self.model = adapted(recipe, self.model)
        if self.main and not keep:
            self._begin()
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

    def _begin(self) -> None:
        if self.out.is_dir():
            discard(self.out)
        self.out.mkdir(parents=True)
        write_json(self.out / MANIFEST, manifest(self.recipe, "running"))  # first: it makes the directory a run's
        write_text(self.out / RECIPE, self.recipe.to_toml())

    def _rollout_trainer(self, task: Task, dataset: Dataset, scale: float) -> GRPOTrainer:
        recipe = self.recipe
        metrics = RolloutMetrics(self.out / METRICS, self._after_rollout)
        factor = rate_factor(recipe.optim)
        correctness = GradedReward(task.grader)
        trainer = GRPOTrainer(
            self.model,
            [correctness, *shaping(recipe, correctness)],
            grpo_config(recipe, self.out / CHECKPOINTS),
            dataset,
            processing_class=self.tokenizer,
            callbacks=[metrics, *self._geometry()],
            kl_every=recipe.run.kl_every,
            max_gen_batches=recipe.algorithm.max_gen_batches if recipe.algorithm.dynamic_sampling else 0,
            weight_decay_on=recipe.optim.weight_decay_on,
            rate_factor=lambda update: scale * factor(update),
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
        self.phases[when] = measure(self.recipe, self.model, self.tokenizer, when, self.progress)
        if not self.main:
            return
        append_samples(self.out / SAMPLES, when, self.phases[when])
        if self.recipe.eval.every and mean_score(self.phases[when]) > max(earlier, default=-1.0):
            replace_adapter(self.model, self.out / EVALUATED / when)

    def run(self) -> None:
        """Train to the end and write what is left."""
        self._fit()
        self.model.eval()
        self._evaluate(AFTER)
        if not self.main:
            return
        write_json(self.out / EVAL, compare_scores(self.phases))
        replace_adapter(self.model, self.out / ADAPTER)
        write_json(
            self.out / MANIFEST,
            {
                **manifest(self.recipe, "finished"),
                "not_applicable": not_applicable(self.recipe),
                **self._counts(),
                "events": read_events(self.out),
                **self._best(),
            },
        )

    def _fit(self) -> None:
        try:
            self.trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
        except FloatingPointError as error:  # of supervised training, which has no guard
            raise ended(self.recipe, self.out, str(error)) from error
        except RuntimeError as error:
            if NO_PROBABILITIES not in str(error):
                raise
            assert isinstance(self.trainer, GRPOTrainer)
            reason = f"the policy gave no probabilities any more in rollout {self.trainer.rollout}"
            if self.recipe.guard.action != "off":
                raise Tripped(self.trainer.rollout, reason) from error
            raise ended(self.recipe, self.out, reason) from error

    def _counts(self) -> dict[str, Any]:
        trainable = trainable_parameters(self.model)
        total = sum(p.numel() for p in self.model.parameters())
        bases = certificate_of(self.model).bases
        return {
            "parameters": total - trainable,
            "trainable_parameters": trainable,
            "base": {base.name: base.fingerprint for base in bases},
        }

    def _best(self) -> dict[str, Any]:
        """The best evaluation; its adapter was kept when it was the best so far, whatever a guard undid since."""
        if not self.recipe.eval.every:
            return {}
        scores = {when: mean_score(samples) for when, samples in self.phases.items() if when != BEFORE}
        best = max(scores, key=lambda when: scores[when])
        if (self.out / EVALUATED).is_dir():  # a run killed right here had got further
            if (self.out / BEST).is_dir():
                discard(self.out / BEST)
            (self.out / EVALUATED / best).rename(self.out / BEST)
            discard(self.out / EVALUATED)
        return {"best": {"when": best, "score": scores[best]}}


def ended(recipe: Recipe, out: Path, reason: str) -> Diverged:
    """Note in the manifest that the run went wrong, and the error that says so."""
    if PartialState().is_main_process:
        write_json(out / MANIFEST, {**manifest(recipe, "diverged"), "reason": reason, "events": read_events(out)})
    return Diverged(
        f"{out}: {reason}", "its weights moved beyond what can be trained on", "a smaller optim.lr, or a guard"
    )


def react(recipe: Recipe, out: Path, trip: Tripped, progress: Progress) -> None:
    """Note what the guard saw; raise Diverged where that is the end, return where the run goes on from a checkpoint."""
    events = read_events(out)
    stop = recipe.guard.action == "stop" or len(events) >= MOST_RESTORES
    event: Row = {"event": "guard", "step": trip.step, "reason": trip.reason, "action": "stop"}
    if not stop:
        event |= {"action": "restore", "restored_to": last_good(recipe, out, trip, events)}
    PartialState().wait_for_everyone()
    if PartialState().is_main_process:
        append(out / EVENTS, event)
        if stop:
            append(out / METRICS, event)
    PartialState().wait_for_everyone()
    if stop:
        raise ended(recipe, out, trip.reason)
    progress(f"guard, rollout {trip.step}: {trip.reason}; back to rollout {event['restored_to']} at half the rate")


def last_good(recipe: Recipe, out: Path, trip: Tripped, events: list[Row]) -> int:
    """The rollout of the newest checkpoint worth going back to, 0 for the start; newer ones are removed.

    One is not where the run went back to it last time already, nor where the rollout right after it tripped the guard,
    whose samples are its own policy's.
    """
    tried = {event["restored_to"] for event in events[-1:]} | {trip.step - 1}
    for checkpoint in reversed(checkpoints(out / CHECKPOINTS)):
        rollout = step_of(checkpoint) // recipe.optim.updates_per_rollout
        if rollout not in tried:
            return rollout
        if PartialState().is_main_process:
            discard(checkpoint)
    return 0


def replace_adapter(model: Any, out: Path) -> None:
    """Save the adapter in place of an earlier one."""
    if out.is_dir():
        discard(out)
    save(model, out)


def check_names(recipe: Recipe, *, shared: bool = False) -> None:
    """Raise for a task, method, option or setting that has no meaning, before anything is loaded."""
    if not recipe.task.data:
        find_task(recipe.task.name)
    tasks_of(recipe)
    require_reporters(recipe.run.report_to)
    if recipe.adapter.path:
        return
    compose(recipe.adapter.method).resolve_options(recipe.adapter.options)
    usual = AdapterSettings()
    written = [key for key in not_applicable(recipe) if vars(recipe.adapter)[key] != vars(usual)[key]]
    if written and not shared:
        raise UserError(
            f"adapter.{written[0]} = {vars(recipe.adapter)[written[0]]!r} is set for {recipe.adapter.method}",
            f"{recipe.adapter.method} has no use for it, and a setting that nothing reads would be lost in silence",
            f"leave out adapter.{', adapter.'.join(written)}",
        )


def check_run(recipe: Recipe, out: Path) -> None:
    """Raise for what a trainer would refuse, before an earlier run is replaced."""
    supervised = recipe.algorithm.name == "sft"
    config = sft_config(recipe, out) if supervised else grpo_config(recipe, out)
    if recipe.rollout.engine == "vllm":
        require_vllm()
    if recipe.adapter.path:
        return
    composition = compose(recipe.adapter.method)
    if composition.has("adalora") and not supervised:
        schedule(composition.resolve_options(recipe.adapter.options), config.max_steps)
    if recipe.run.geometry_every and (composition.has("ia3") or composition.stands_on == "norms"):
        raise UserError(
            f"run.geometry_every is set for {recipe.adapter.method}",
            "it changes no matrix by itself, so that there is nothing to measure of each",
            "leave out run.geometry_every, or choose another method",
        )


def not_applicable(recipe: Recipe) -> list[str]:
    """The adapter's settings that its method has no use for."""
    settings = recipe.adapter
    return [] if settings.path else sorted(unused_settings(compose(settings.method), settings.options))


def load_pair(recipe: Recipe) -> tuple[Any, Any]:
    """The base model and its tokenizer, on the recipe's number of threads."""
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    model = load_model(recipe.model.path, recipe.model.dtype, recipe.model.revision)
    return model, load_tokenizer(recipe.model.path, recipe.model.revision)


def measure_base(recipe: Recipe) -> BaseSamples:
    """Graded samples of the base model on the recipe's evaluation tasks."""
    model, tokenizer = load_pair(recipe)
    return measure(recipe, model, tokenizer, BEFORE, lambda line: None)


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
