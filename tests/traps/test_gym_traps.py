"""reasoning-gym: scorers that run what a model wrote, pay text that holds the answer, raise, and seeds that shift."""

from __future__ import annotations

import pytest

from stiefel.rewards import GYM, grade_all, gym_columns, made_rows
from stiefel.tasks import find_task

from ..tasks.gym.names import library

RUN = (
    *("binary_matrix", "countdown", "intermediate_integration", "n_queens", "polynomial_multiplication"),
    *("puzzle24", "simple_integration", "spiral_matrix", "string_insertion"),
)
HELD = ("game_of_life_halting", "gsm_symbolic", "kakurasu", "knights_knaves", "sokoban", "survo")
SCORE = """
found = []
for name, text in given:
    data = reasoning_gym.create_dataset(name, seed=0, size=2)
    found.append(data.score_answer(text.replace("ANSWER", str(data[0]["answer"])), data[0]))
"""


def ours(name, *completions):
    (entry,) = made_rows(name, {}, [0])
    texts = [text.replace("ANSWER", entry["answer"]) for text in completions]
    return grade_all(GYM, texts, [""] * len(texts), [gym_columns(name, {}, entry)] * len(texts))


def test_g1_scorers_run_what_a_model_wrote(tmp_path):
    files = [tmp_path / name for name in RUN]
    payloads = [f"[open({str(file)!r}, 'w').write('run')]" for file in files]
    library(SCORE, list(zip(RUN, payloads, strict=True)))
    assert [file.name for file in files if file.exists()] == list(RUN), "mended upstream?"
    for file in files:
        file.unlink()
    for name, payload in zip(RUN, payloads, strict=True):
        (grade,) = ours(name, payload)
        assert (grade.score, grade.extracted) == (0.0, payload)
        assert grade.reason in ("no arithmetic expression", "neither a text of the task's form nor a list")
    assert not any(file.exists() for file in files)


def test_g1_no_answer_reaches_the_score_of_another():
    """Code that makes every later answer of its process whole, where a process is shared."""
    patch = "setattr(__import__('reasoning_gym').algorithmic.string_insertion.StringInsertionDataset, 'score_answer', "
    payload = f"[{patch} lambda *_: 1.0)]"
    script = """
data = reasoning_gym.create_dataset("string_insertion", seed=0, size=2)
found = [data.score_answer(text, data[0]) for text in given]
"""
    assert library(script, [payload, "wrong"]) == [0.0, 1.0], "mended upstream?"
    assert [grade.score for grade in ours("string_insertion", payload, "wrong", "ANSWER")] == [0.0, 0.0, 1.0]


def test_g1_a_scorer_that_hangs_is_killed_and_costs_nobody_else_a_score():
    hung, right = ours("countdown", "9**9**9**9**9", "ANSWER")
    assert hung.score == 0.0
    assert hung.reason.startswith("out of time: the scorer gave no score within 5 s")
    assert right.score == 1.0


def test_g2_text_that_merely_holds_the_answer_earns_credit():
    text = "I believe the result is ANSWER"
    assert library(SCORE, [[name, text] for name in HELD]) == [1.0] * len(HELD), "mended upstream?"
    assert library(SCORE, [["gcd", text]])[0] > 0
    assert [ours(name, text)[0].score for name in (*HELD, "gcd")] == [0.0] * 7
    assert [ours(name, "ANSWER")[0].score for name in HELD] == [1.0] * len(HELD)


def test_g3_a_scorer_raises_on_text():
    raising = """
data = reasoning_gym.create_dataset("prime_factorization", seed=0, size=1)
try:
    found = data.score_answer("seven times two", data[0])
except ValueError as error:
    found = "ValueError"
"""
    assert library(raising) == "ValueError", "mended upstream?"
    wrong, right = ours("prime_factorization", "seven times two", "ANSWER")
    assert wrong.score == 0.0
    assert wrong.reason.startswith("the scorer raised ValueError")
    assert right.score == 1.0


QUESTIONS = """
found = []
for seed in (1, 2):
    data = reasoning_gym.create_dataset("chain_sum", seed=seed, size=100)
    found.append([data[index]["question"] for index in range(100)])
"""


def test_g4_another_seed_is_the_same_rows_shifted():
    first, second = library(QUESTIONS)
    assert first[1:] == second[:-1], "mended upstream?"
    task = find_task("reasoning_gym:chain_sum")
    drawn = {seed: {row.prompt for row in task.rows("train", 100, seed)} for seed in (1, 2)}
    held_out = {row.prompt for row in task.rows("test", 100, 0)}
    assert len(drawn[1] & drawn[2]) <= 2  # by chance, of a few million
    assert not held_out & (drawn[1] | drawn[2])


@pytest.mark.parametrize(("name", "options"), [("lcm", {"max_value": 12}), ("count_bits", {"max_n": 64})])
def test_g4_where_there_are_few_questions_none_is_trained_on_and_measured(name, options):
    """Other indices ask the same questions there: they are held out by their text, by every seed and option."""
    task = find_task(f"reasoning_gym:{name}", options=options)
    held_out = [row.prompt for row in task.rows("test", 500, 0)]
    trained = {row.prompt for seed in range(4) for row in task.rows("train", 300, seed)}
    assert 10 < len(held_out) == len(set(held_out)) < 60
    assert len(trained) > 30
    assert not trained & set(held_out)
    wider = find_task(f"reasoning_gym:{name}", options={next(iter(options)): 100})
    assert not {row.prompt for row in wider.rows("train", 300, 0)} & set(held_out)
