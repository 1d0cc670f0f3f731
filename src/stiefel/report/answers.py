"""The same few questions before and after training, run by run."""

from __future__ import annotations

from dataclasses import dataclass

from .runs import Answer, Run

TRAINED, OTHER = 5, 2  # questions shown of the trained task and of each other one
HEAD, TAIL = 300, 700  # characters kept of a long completion: its answer stands at the end


@dataclass(frozen=True)
class Side:
    """A completion as it is shown."""

    text: str
    verdict: str  # right, wrong, or a partial score
    remark: str


@dataclass(frozen=True)
class Question:
    """One question with its two completions."""

    task: str
    prompt: str
    answer: str
    before: Side
    after: Side


def questions(run: Run) -> list[Question]:
    """The first questions of the trained task, then of the others: chosen by place, not by outcome."""
    first = {(sample.when, sample.task, sample.question): sample for sample in run.samples() if sample.sample == 0}
    found = []
    for task in sorted(run.scores, key=lambda name: name != run.task):
        for number in range(TRAINED if task == run.task else OTHER):
            before, after = first.get(("before", task, number)), first.get(("after", task, number))
            if before is not None and after is not None:
                found.append(Question(task, clipped(after.prompt), after.answer, side(before), side(after)))
    return found


def side(sample: Answer) -> Side:
    """A completion with its grade in words."""
    remarks = [
        *([sample.reason] if sample.score != 1 and sample.reason else []),
        *(["cut off"] if sample.truncated else []),
    ]
    return Side(clipped(sample.completion), verdict(sample.score), ", ".join(remarks))


def verdict(score: float | None) -> str:
    """A score in words."""
    if score is None:
        return "no readable answer to compare with"
    return {1.0: "right", 0.0: "wrong"}.get(score, f"score {score:.2f}")


def clipped(text: str) -> str:
    """The beginning and the end of a long text."""
    left_out = len(text) - HEAD - TAIL
    return text if left_out <= 0 else f"{text[:HEAD]} […{left_out:,} characters…] {text[-TAIL:]}"
