"""A completion is graded behind what the prompt leaves open; stop texts are a base model's alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from stiefel.evaluation.run import sample_batch
from stiefel.evaluation.sample import Completion, ask
from stiefel.model.weights import load_tokenizer
from stiefel.rewards import GRADERS
from stiefel.tasks import Row, Task

TEMPLATE = "{% for m in messages %}<bos>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}"
TASK = Task("sums", "", GRADERS["math"], lambda split, count, seed: [], chat=True)


@pytest.fixture
def thinking() -> Any:
    tokenizer = load_tokenizer("nano")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def written(*texts: str) -> Any:
    """An engine that writes these."""

    def engine(prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Completion]:
        return [Completion(text, len(text), truncated=False) for text in texts]

    return engine


def test_a_thought_that_is_cut_off_is_no_answer(thinking: Any) -> None:
    texts = (
        "it may be \\boxed{46}",
        "it may be \\boxed{45}</think>\nso \\boxed{46}",
        "\\boxed{46}</think>\nso \\boxed{45}",
    )
    questions = ask(TASK, [Row("12+34?", "46")] * 3, thinking)
    assert {question.opened for question in questions} == {"<think>\n"}
    samples = sample_batch(written(*texts), TASK, questions, [(0, 0), (1, 0), (2, 0)], seed=0)
    assert [sample.score for sample in samples] == [0.0, 1.0, 0.0]
    assert [sample.completion for sample in samples] == list(texts)
    assert {sample.prompt for sample in samples} == {"<bos>12+34?<think>\n"}
    plain = ask(TASK, [Row("12+34?", "46")], load_tokenizer("nano"))
    (sample,) = sample_batch(written(texts[0]), TASK, plain, [(0, 0)], seed=0)
    assert sample.score == 1.0
