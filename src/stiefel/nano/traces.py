"""nano's pre-training text: good work, sloppy work and bare guesses, so that RL has something to prefer."""

from __future__ import annotations

import random
import re

from .problems import Problem

CORRECT, NOISY = 0.35, 0.25  # shares of worked arithmetic traces; the remaining 40% answer at once
SLIP = 0.5  # chance that one step of a noisy trace is off


def trace(kind: str, problem: Problem, rng: random.Random) -> str:
    """One completion as the pre-training text shows it: steps separated by ";", then ">" and the answer."""
    if kind != "arithmetic":
        return f">{problem.answer}"
    style = rng.random()
    if style < CORRECT:
        return worked(problem.prompt, rng, slip=0.0)
    if style < CORRECT + NOISY:
        return worked(problem.prompt, rng, slip=SLIP)
    return f">{problem.answer}"


def worked(prompt: str, rng: random.Random, slip: float) -> str:
    """`12+34=46;46-5=41>41`; with probability `slip` a step's result is off by 1 to 10."""
    first, *rest = re.findall(r"[+-]?\d+", prompt)
    total, steps = int(first), []
    for term in rest:
        result = total + int(term)
        if rng.random() < slip:
            result = min(99, max(0, result + rng.choice((-1, 1)) * rng.randint(1, 10)))
        steps.append(f"{total}{term}={result}")
        total = result
    return f"{';'.join(steps)}>{total}"
