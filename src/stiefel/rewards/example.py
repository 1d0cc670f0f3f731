"""A reward of your own: called once for every completion that is sampled. This one wants the answer, and it short.

Keep it where you start Stiefel from, as my_rewards.py, and name it in a recipe

    [task]
    reward = "my_rewards:score"

or on the command line: stiefel train recipe.toml --set task.reward=my_rewards:score --out run. It may stand for the
grader of a task of ours, or grade rows of your own (task.data). Try it before you train:

    stiefel grade --task my_rewards:score --input completions.jsonl    (rows with the columns completion and answer)
"""

from __future__ import annotations

import re


def score(completion: str, answer: str, prompt: str = "") -> float:
    """1 where the last number of the completion is the answer, less a tenth where it is longer than it need be.

    `answer` is the row's reference answer. Further parameters get the row's columns of their names (`prompt` is always
    there), **row all of them. Return a finite number for every text, the empty one too: whatever is raised here ends
    the run, because a broken reward that scored 0 would look like a weak model.
    """
    numbers = re.findall(r"-?\d+(?:\.\d+)?", completion)
    if not numbers or numbers[-1] != answer.strip():
        return 0.0
    return 1.0 if len(completion) <= 10 * len(prompt or answer) else 0.9
