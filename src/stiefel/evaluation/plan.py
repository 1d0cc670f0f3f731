"""Which completions are drawn together, and from which seeds: settled before the first, so that a run can go on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

Job = tuple[int, int]  # (question, sample)

SEQUENCES = 250  # together at most
ON_CPU = 32  # three quarters of the tokens a second that 128 write there (135M), and a kill loses a minute and not ten
TOKENS = 2**18  # of the caches of sequences that are written together: 7.5 GB of a 1.5B model's, 34 GB of an 8B's


@dataclass(frozen=True)
class Room:
    """How many sequences are written together: at most so many, and so many that their tokens fit.

    `whole` keeps a question's samples together where they fit, so that what is written is whole questions.
    """

    sequences: int = SEQUENCES
    tokens: int = TOKENS  # 0: no bound
    whole: bool = False

    def record(self) -> dict[str, Any]:
        """As a manifest holds it; `whole` is younger than some of them, and named where it is meant."""
        return {key: value for key, value in asdict(self).items() if key != "whole" or value}


def plan(lengths: Sequence[int], samples: int, max_tokens: int, room: Room) -> list[list[Job]]:
    """Every question's samples in batches of similar length, the longest prompts first.

    What does not fit into memory shows at once so.

    lengths: tokens of each question's prompt. A batch takes (longest prompt + max_tokens) × sequences tokens.
    """
    order = sorted(range(len(lengths)), key=lambda question: (-lengths[question], question))
    batches: list[list[Job]] = []
    most = 0
    for question in order:
        for sample in range(samples):
            if not batches or len(batches[-1]) == most:
                fits = room.tokens // (lengths[question] + max_tokens) if room.tokens else room.sequences
                most = max(1, min(room.sequences, fits))
                if room.whole and most > samples:
                    most -= most % samples
                batches.append([])
            batches[-1].append((question, sample))
    return batches


def job_seed(seed: int, task: str, job: Job) -> int:
    """The seed of one completion: of the evaluation's seed, the task, the question and the sample, and nothing else."""
    return number_of(f"{seed} {task} {job[0]} {job[1]}") >> 1  # 63 bits, which every engine takes


def batch_seed(seeds: Sequence[int]) -> int:
    """One seed for completions that one generator draws together."""
    return number_of(" ".join(map(str, seeds)))


def number_of(text: str) -> int:
    """A 64-bit digest of a text, as a number."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
