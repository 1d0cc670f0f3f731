"""What a model wrote: the same few questions before and after training, and its first and last rollout, run by run."""

from __future__ import annotations

from dataclasses import dataclass

from .runs import SHOWN, Answer, Run

TRAINED, OTHER = SHOWN, 2  # questions shown of the trained task and of each other one
TRAINING = "training "  # before a rollout's number: its own completions
HEAD, TAIL = 300, 700  # characters kept of a long completion: its answer stands at the end

Firsts = dict[tuple[str, str, int], Answer]  # (when, task, question) → the first sample


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


@dataclass(frozen=True)
class Excerpt:
    """A completion of a rollout, with what it answers."""

    prompt: str
    answer: str
    written: Side


@dataclass(frozen=True)
class Answers:
    """What is shown of one run; `rollouts` are the first and the last of which completions were kept, or the one."""

    questions: list[Question]
    rollouts: list[int]
    excerpts: list[list[Excerpt]]  # a row for each place in a rollout, an entry for each of `rollouts`


def answers(run: Run) -> Answers:
    """The first sample of each question, and of each prompt of a rollout."""
    first = {(sample.when, sample.task, sample.question): sample for sample in run.kept.shown}
    kept = sorted(int(when.removeprefix(TRAINING)) for when in {key[0] for key in first} if when.startswith(TRAINING))
    rollouts = list(dict.fromkeys([*kept[:1], *kept[-1:]]))
    return Answers(questions(run, first), rollouts, excerpts(run, first, rollouts))


def excerpts(run: Run, first: Firsts, rollouts: list[int]) -> list[list[Excerpt]]:
    """The first prompts of each of these rollouts, which are others in each."""
    rows = []
    for place in range(TRAINED):
        found = [first.get((f"{TRAINING}{rollout}", run.task, place)) for rollout in rollouts]
        row = [Excerpt(clipped(one.prompt), one.answer, side(one)) for one in found if one is not None]
        if row and len(row) == len(rollouts):
            rows.append(row)
    return rows


def questions(run: Run, first: Firsts) -> list[Question]:
    """The first questions of the trained task, then of the others: chosen by place, not by outcome."""
    found = []
    for task in sorted(run.scores, key=lambda name: name not in run.trained):
        for number in range(TRAINED if task in run.trained else OTHER):
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
