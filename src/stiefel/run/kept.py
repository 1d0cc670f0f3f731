"""What the model writes while it trains, in samples.jsonl beside the evaluations, so that any run can be looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from ..evaluation import Sample
from ..recipe import Recipe
from ..tasks import Task, rendered
from ..training import Graded
from .measurements import append_samples, in_training


class KeptRollouts:
    """Appends the completions of the first, the last and every `run.samples_every`-th rollout, whole, as it is graded.

    A row is as an evaluation's: `question` counts the rollout's prompts and `sample` their completions, those among
    them that dynamic sampling replaces. They stand in the file before the rollout's updates are done; a checkpoint says
    how long the file was, and whoever resumes cuts it back, so that a resumed run keeps the same bytes.
    """

    def __init__(self, recipe: Recipe, task: Task, tokenizer: Any, path: Path) -> None:
        self._recipe, self._task, self._tokenizer, self._path = recipe, task.name, tokenizer, path
        self._rollout = self._groups = 0  # the one that is being sampled, and how many prompts of it there were

    def is_due(self, rollout: int) -> bool:
        """Whether this rollout is kept."""
        every = self._recipe.run.samples_every
        return every > 0 and (rollout in (1, self._recipe.optim.rollouts) or rollout % every == 0)

    def __call__(self, graded: Graded) -> None:
        """Called in every process, with its part of what was sampled."""
        rollout = graded.updates // self._recipe.optim.updates_per_rollout + 1
        if not self.is_due(rollout):
            return
        samples: list[Sample] = gather_object(self._samples(graded))
        if not PartialState().is_main_process:
            return
        if rollout != self._rollout:
            self._rollout, self._groups = rollout, 0
        G = self._recipe.rollout.completions
        placed = [self._placed(sample, place) for place, sample in enumerate(samples, start=self._groups * G)]
        self._groups += len(samples) // G
        append_samples(self._path, in_training(rollout), {self._task: placed})

    def _samples(self, graded: Graded) -> list[Sample]:
        parts = (graded.prompts, graded.answers, graded.completions, graded.tokens, graded.truncated, graded.grades)
        return [
            Sample(
                task=self._task,
                question=0,
                sample=0,
                prompt=rendered(prompt, self._tokenizer, chat=False),
                answer=answer,
                completion=completion,
                tokens=tokens,
                truncated=truncated,
                score=grade.score,
                extracted=grade.extracted,
                reason=grade.reason,
            )
            for prompt, answer, completion, tokens, truncated, grade in zip(*parts, strict=True)
        ]

    def _placed(self, sample: Sample, place: int) -> Sample:
        question, number = divmod(place, self._recipe.rollout.completions)
        return replace(sample, question=question, sample=number)
