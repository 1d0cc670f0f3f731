"""Model + task → graded samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from .rewards import grade_all
from .tasks import Row, Sampling, Task

BATCH = 250  # sequences generated together


@dataclass(frozen=True)
class Sample:
    """One completion of one question, graded."""

    task: str
    question: int
    sample: int
    prompt: str
    answer: str
    completion: str
    tokens: int
    truncated: bool
    score: float | None  # None where the gold answer cannot be read
    extracted: str | None
    reason: str


def evaluate(
    model: Any,
    tokenizer: Any,
    task: Task,
    rows: list[Row],
    sampling: Sampling,
    progress: Callable[[int, int], None] | None = None,
) -> list[Sample]:
    """Sample every row and grade it, in batches of similar length; the same seed gives the same samples.

    The global random state is used for drawing and restored afterwards.
    """
    jobs = [(question, sample) for question in range(len(rows)) for sample in range(sampling.samples)]
    jobs.sort(key=lambda job: len(rows[job[0]].text))
    done: list[Sample] = []
    with torch.random.fork_rng():
        torch.manual_seed(sampling.seed)
        for batch in batched(jobs):
            completions = generate(model, tokenizer, [rows[question].text for question, _ in batch], sampling)
            asked = [rows[question] for question, _ in batch]
            texts = [completion for completion, _, _ in completions]
            grades = grade_all(task.grader, texts, [row.answer for row in asked], [row.columns for row in asked])
            for (question, sample), row, (completion, tokens, truncated), grade in zip(
                batch, asked, completions, grades, strict=True
            ):
                done.append(
                    Sample(
                        task=task.name,
                        question=question,
                        sample=sample,
                        prompt=row.text,
                        answer=row.answer,
                        completion=completion,
                        tokens=tokens,
                        truncated=truncated,
                        score=grade.score,
                        extracted=grade.extracted,
                        reason=grade.reason,
                    )
                )
            if progress is not None:
                progress(len(done), len(jobs))
    return sorted(done, key=lambda sample: (sample.question, sample.sample))


def batched(jobs: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Jobs in runs of BATCH."""
    for start in range(0, len(jobs), BATCH):
        yield jobs[start : start + BATCH]


def generate(model: Any, tokenizer: Any, prompts: list[str], sampling: Sampling) -> list[tuple[str, int, bool]]:
    """(completion, its tokens, whether it was cut off) of every prompt; padding on the left, top-k off."""
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left").to(model.device)
    greedy = sampling.temperature == 0
    settings = {} if greedy else {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    with torch.inference_mode():
        output = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=not greedy,
            max_new_tokens=sampling.max_tokens,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **settings,
        )
    completions = output[:, inputs["input_ids"].shape[1] :]
    ended = completions == tokenizer.eos_token_id
    lengths = torch.where(ended.any(1), ended.int().argmax(1) + 1, completions.shape[1]).tolist()
    return [
        (tokenizer.decode(tokens[:length], skip_special_tokens=True), length, not bool(end.any()))
        for tokens, length, end in zip(completions, lengths, ended, strict=True)
    ]
