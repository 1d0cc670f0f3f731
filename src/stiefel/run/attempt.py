"""One way through a run: everything is loaded and matched with what is there already, then trained and measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from accelerate import PartialState
from datasets import Dataset
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..adapter import certificate_of
from ..artifacts import (
    CHECKPOINTS,
    EVALUATED,
    GEOMETRY,
    MANIFEST,
    METRICS,
    RECIPE,
    SAMPLES,
    discard,
    room_for,
    write_json,
    write_text,
)
from ..errors import UserError
from ..geometry import GeometryCallback
from ..recipe import Recipe
from ..scores import cut_off_warning
from ..tasks import Task
from ..training import (
    GRPOTrainer,
    NoProbabilities,
    RolloutMetrics,
    Row,
    SFTTrainer,
    digest,
    is_adalora,
    lengths_line,
    schedule,
    sft_rows,
    trainer_arguments,
    training_rows,
)
from .checks import check_budget, check_rows
from .directory import last_checkpoint, manifest, read_events, rewind, same_base, same_data, sweep
from .guard import Guard, Tripped
from .kept import KeptRollouts
from .loading import adapted, load_pair
from .measurements import (
    AFTER,
    BEFORE,
    LONGER,
    BaseSamples,
    Progress,
    append_samples,
    during,
    mean_score,
    measured,
    read_samples,
    same_questions,
)
from .outcome import leave, replace_adapter
from .reaction import ended
from .rehearsal import measured_tasks, trained_on, trained_task
from .reporting import report_into


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
        self.replaces = out.is_dir()  # what stands there may give way; what comes there meanwhile is another's
        self.guard, self.warned = Guard(recipe.guard), False
        supervised = recipe.algorithm.name == "sft"
        task = trained_task(recipe)
        self.tasks = measured_tasks(recipe)
        for name in trained_on(self.tasks):
            progress(f'note: {name} is measured on the rows that it is trained on; task.heldout = "FILE" names others')
        self.model, self.tokenizer = load_pair(recipe)
        read = sft_rows if supervised else training_rows
        dataset = read(recipe, task, self.tokenizer, progress)
        check_rows(recipe, dataset)
        if self.main and not supervised:
            progress(lengths_line(recipe, task, dataset, self.tokenizer))
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
            self.phases[BEFORE] = base if base is not None else self._measured(BEFORE)
        same_questions(recipe, self.tasks, self.tokenizer, self.phases[BEFORE])
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
        if self.out.is_dir() and not self.replaces:
            raise begun_by_another(self.out)
        if self.out.is_dir():
            discard(self.out)
        try:
            with room_for(self.out):
                self.out.mkdir(parents=True)
        except FileExistsError as error:
            raise begun_by_another(self.out) from error
        write_json(self.out / MANIFEST, manifest(self.recipe, data, base))  # first: it makes the directory a run's
        write_text(self.out / RECIPE, self.recipe.to_toml())

    def _rollout_trainer(self, task: Task, dataset: Dataset, scale: float) -> GRPOTrainer:
        recipe = self.recipe
        metrics = RolloutMetrics(self.out / METRICS, self._after_rollout)
        trainer = GRPOTrainer(
            self.model,
            callbacks=[metrics, *self._geometry()],
            **trainer_arguments(
                recipe,
                task,
                dataset,
                self.tokenizer,
                self.out / CHECKPOINTS,
                scale=scale,
                keep=KeptRollouts(recipe, task, self.tokenizer, self.out / SAMPLES),
            ),
            journals=[self.out / METRICS, self.out / SAMPLES, self.out / GEOMETRY],
        )
        metrics.watch(trainer)
        return trainer

    def _geometry(self) -> list[GeometryCallback]:
        every, updates = self.recipe.run.geometry_every, self.recipe.optim.updates_per_rollout
        path = self.out / GEOMETRY
        return [GeometryCallback(path, self.model, every, updates_per_rollout=updates)] if every else []

    def _after_rollout(self, row: Row) -> None:
        self._warn_of_length(row)
        self.guard.look(row)
        every, rollout = self.recipe.eval.every, row["step"]
        if every and rollout % every == 0 and rollout < self.recipe.optim.rollouts:
            self._evaluate(during(rollout))
        if self.main:
            self.on_row(row)

    def _warn_of_length(self, row: Row) -> None:
        """Once, at the first rollout of which many completions were cut off."""
        cut = cut_off_warning(
            row.get("truncated_fraction", 0.0),
            f"the completions of rollout {row['step']}",
            f"rollout.max_completion_tokens = {self.recipe.rollout.max_completion_tokens}",
            LONGER,
        )
        if self.main and cut and not self.warned:
            self.warned = True
            self.progress(cut)

    def _measured(self, when: str) -> BaseSamples:
        return measured(self.recipe, self.model, self.tokenizer, when, self.progress, self.tasks)

    def _evaluate(self, when: str) -> None:
        """Measure the policy as it is, and keep its adapter if none was better."""
        earlier = [mean_score(samples) for name, samples in self.phases.items() if name != BEFORE]
        self.phases[when] = self._measured(when)
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
            raise ended(self.recipe, self.out, str(error)) from error
        except NoProbabilities as error:
            raise self._lost() from error
        if not self.main:
            return
        leave(self.recipe, self.out, self.model, self.phases)

    def _lost(self) -> Exception:
        """What is raised for a policy that gives no probabilities any more."""
        if isinstance(self.trainer, SFTTrainer):
            return ended(self.recipe, self.out, "the trained model gives no probabilities any more")
        rollout = self.trainer.rollout  # the one that it would generate
        reason = f"the policy gives no probabilities any more after rollout {rollout - 1}"
        if self.recipe.guard.action != "off":
            return Tripped(rollout, reason)
        return ended(self.recipe, self.out, reason)


def begun_by_another(out: Path) -> UserError:
    """The error of a directory that was not there when this process began, as when a command is started twice."""
    return UserError(
        f"{out} was begun by another process meanwhile",
        "two runs in one directory would write over each other",
        "wait for that one; processes that are to train together are launched by `accelerate launch` or torchrun",
    )
