"""One way through a run: what it stands on is trained, measured and written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from accelerate import PartialState
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..artifacts import CHECKPOINTS, EVALUATED, GEOMETRY, MEASURED, METRICS, SAMPLES, SYNCS, discard
from ..engine import Sent
from ..geometry import GeometryCallback
from ..recipe import Recipe
from ..scores import cut_off_warning, survival_warning
from ..training import (
    GRPOTrainer,
    HaltAt,
    NoProbabilities,
    RolloutMetrics,
    Row,
    SFTTrainer,
    append_sync,
    trainer_arguments,
)
from .begun import Begun, begin
from .directory import read_events
from .guard import Guard, Tripped
from .kept import KeptRollouts
from .measurements import (
    AFTER,
    BEFORE,
    LONGER,
    BaseSamples,
    By,
    Progress,
    append_samples,
    during,
    longest_measured,
    mean_score,
    measured,
)
from .outcome import leave, replace_adapter
from .reaction import ended
from .reporting import report_into
from .writing import measured_by


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
        until: int | None = None,
    ) -> None:
        self.recipe, self.out, self.progress, self.on_row = recipe, out, progress, on_row
        self.main = PartialState().is_main_process
        self.guard, self.warned, self.warned_of_survival = Guard(recipe.guard), False, False
        self.halt = until if until is not None and until < recipe.optim.rollouts else None
        begun = begin(recipe, out, keep, base, progress)
        self.model, self.tokenizer, self.tasks = begun.model, begun.tokenizer, begun.measured
        self.phases, self.checkpoint = begun.phases, begun.checkpoint
        report_into(out, recipe.run.report_to)
        self.trainer: GRPOTrainer | SFTTrainer
        if recipe.algorithm.name == "sft":
            self.trainer = SFTTrainer(recipe, out, self.model, self.tokenizer, begun.rows, on_row)
        else:
            self.trainer = self._rollout_trainer(begun, 0.5 ** len(read_events(out)))
        if BEFORE not in self.phases:  # by the engine, which plays the base until it is sent something
            self._evaluate(BEFORE)
        for callback in (PrinterCallback, ProgressCallback):
            self.trainer.remove_callback(callback)

    def _rollout_trainer(self, begun: Begun, scale: float) -> GRPOTrainer:
        recipe = self.recipe
        metrics = RolloutMetrics(self.out / METRICS, self._after_rollout)
        trainer = GRPOTrainer(
            self.model,
            callbacks=[metrics, *self._geometry(), *self._halt()],
            **trainer_arguments(
                recipe,
                begun.task,
                begun.rows,
                self.tokenizer,
                self.out / CHECKPOINTS,
                scale=scale,
                keep=KeptRollouts(recipe, begun.task, self.tokenizer, self.out / SAMPLES),
                measured=longest_measured(recipe, self.tasks, self.tokenizer),
            ),
            journals=[self.out / METRICS, self.out / SAMPLES, self.out / GEOMETRY, self.out / SYNCS],
            on_sync=self._synced,
            trusted=begun.trusted,
        )
        metrics.watch(trainer)
        return trainer

    def _synced(self, rollout: int, sent: Sent) -> None:
        if self.main:
            append_sync(self.out / SYNCS, rollout, sent)

    def _geometry(self) -> list[GeometryCallback]:
        every, updates = self.recipe.run.geometry_every, self.recipe.optim.updates_per_rollout
        path = self.out / GEOMETRY
        return [GeometryCallback(path, self.model, every, updates_per_rollout=updates)] if every else []

    def _halt(self) -> list[HaltAt]:
        return [] if self.halt is None else [HaltAt(self.halt * self.recipe.optim.updates_per_rollout)]

    def _after_rollout(self, row: Row) -> None:
        self._warn_of_length(row)
        self._warn_of_survival(row)
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

    def _warn_of_survival(self, row: Row) -> None:
        """Once, at the first rollout whose engine played little of the update."""
        lost = survival_warning(row.get("sync_survival", 1.0), row["step"])
        if self.main and lost and not self.warned_of_survival:
            self.warned_of_survival = True
            self.progress(lost)

    def _measured(self, when: str, by: By | None = None) -> BaseSamples:
        return measured(self.recipe, self.model, self.tokenizer, when, self.progress, self.tasks, by)

    def _evaluate(self, when: str) -> None:
        """Measure the policy as it is, and keep its adapter if none was better."""
        earlier = [mean_score(samples) for name, samples in self.phases.items() if name != BEFORE]
        place = self.out / MEASURED
        by = measured_by(self.trainer, self.tokenizer, self.recipe.model.turn_ends, when, place)
        self.phases[when] = self._measured(when, by)
        if not self.main:
            return
        append_samples(self.out / SAMPLES, when, self.phases[when])
        discard(place)
        if when != BEFORE and self.recipe.eval.every and mean_score(self.phases[when]) > max(earlier, default=-1.0):
            replace_adapter(self.model, self.out / EVALUATED / when)

    def run(self) -> None:
        """Train to the end and write what is left; one that is to halt before leaves its checkpoint alone."""
        try:
            self.trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
            if self.halt is not None:
                return
            self.model.eval()
            self._evaluate(AFTER)
        except FloatingPointError as error:  # of supervised training, which has no guard
            raise ended(self.recipe, self.out, str(error)) from error
        except NoProbabilities as error:
            raise self._lost() from error
        finally:
            if isinstance(self.trainer, GRPOTrainer) and self.trainer.use_vllm:
                self.trainer.vllm_generation.close()
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
