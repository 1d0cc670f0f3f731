"""The pool: bounded, ordered, replaced, and never a silent 0 for a failure of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from stiefel.rewards import GRADERS, BatchGrader, Grade, GraderFailure, grade_all
from stiefel.rewards.mathematics.math import grade_math
from stiefel.rewards.pool import GRACE_SECONDS, START_SECONDS, Pool
from tests.rewards.strings import hostile_strings

SECONDS = 1.0


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(2, seconds=SECONDS)
    yield pool
    pool.close()


def test_the_pool_gives_what_the_grader_gives_in_order(pool):
    pairs = [(f"\\boxed{{\\frac{{{n}}}{{2}}}}", str(n / 2 if n % 3 else n)) for n in range(1, 120)]
    assert pool.grade("math", pairs) == [grade_math(*pair) for pair in pairs]


def test_what_hangs_costs_its_limit_and_nothing_else(pool):
    hanging = ["\\boxed{" + "(" * depth + "1" + ")" * depth + "}" for depth in (300, 301)]
    pairs = [("\\boxed{2}", "2"), *((text, "2") for text in hanging), ("\\boxed{4/2}", "2"), ("\\boxed{3}", "2")]
    began = time.monotonic()
    grades = pool.grade("math", pairs)
    assert [grade.score for grade in grades] == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert all("out of time" in str(grade.reason) for grade in grades[1:3])
    assert time.monotonic() - began < START_SECONDS + len(hanging) * 2 * (SECONDS + GRACE_SECONDS)


def test_ten_megabytes_and_towers_of_powers(pool):
    texts = ["\\boxed{9**9**9**9}", "\\boxed{9^{9^{9^{9}}}}", "7" * 10_000_000, "\\boxed{" * 1_000_000]
    texts += ["\\boxed{" + "7" * 10_000_000 + "}", "<think>" * 1_000_000, "\n" * 10_000_000, "\\boxed{10^{10^{10}}!}"]
    assert [grade.score for grade in pool.grade("math", [(text, "2") for text in texts])] == [0.0] * len(texts)
    assert pool.grade("math", [("7" * 10_000_000 + "\\boxed{2}", "2")])[0].score == 1.0


def test_a_gold_that_hangs_is_unreadable_and_no_wrong_answer(pool):
    (grade,) = pool.grade("math", [("\\boxed{2}", "(" * 300 + "1" + ")" * 300)])  # minutes, on any machine
    assert grade.score is None
    assert "out of time" in grade.reason


def test_a_killed_worker_is_replaced_and_its_work_done_again(pool):
    pool.grade("math", [("\\boxed{1}", "1")])
    before = pool.killed
    for worker in pool.workers:
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
    pairs = [(f"\\boxed{{{n}}}", str(n)) for n in range(40)]
    assert [grade.score for grade in pool.grade("math", pairs)] == [1.0] * 40
    assert pool.killed > before


def test_an_interrupted_batch_leaves_nothing_for_the_next_one():
    pool = Pool(1, seconds=30.0)
    pool.grade("math", [("\\boxed{1}", "1")])

    def interrupt(number, frame):
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            pool.grade("math", [("\\boxed{" + "(" * 400 + "}", "1"), ("\\boxed{1}", "2")])
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert [grade.score for grade in pool.grade("math", [("\\boxed{1}", "1"), ("\\boxed{1}", "1")])] == [1.0, 1.0]
    pool.close()


def test_random_and_mutated_mathematics_does_no_harm(pool):
    strings = hostile_strings(300, seed=0)
    for pairs in ([(text, "42") for text in strings], [("\\boxed{42}", text) for text in strings[:100]]):
        grades = pool.grade("math", pairs)
        assert all(isinstance(grade, Grade) for grade in grades)
    assert pool.grade("math", [("\\boxed{42}", "42")])[0].score == 1.0


def test_a_worker_that_cannot_start_raises():
    pool = Pool(1, memory_bytes=2**20)
    with pytest.raises(RuntimeError, match="did not start"):
        pool.grade("math", [("\\boxed{1}", "1")])


def test_a_graders_own_failure_raises_with_the_count_and_the_other_grades():
    def many(pairs):
        return [Grade(1.0, text, "right") if gold else f"it broke on {text}" for text, gold in pairs]

    grader = BatchGrader("half-broken", many)
    with pytest.raises(GraderFailure, match="2 of 4 completions, first on number 1: it broke on b") as raised:
        grade_all(grader, ["a", "b", "c", "d"], [1, 0, 1, 0])
    assert [index for index, _ in raised.value.failures] == [1, 3]
    assert [grade and grade.score for grade in raised.value.grades] == [1.0, None, 1.0, None]


def test_an_ordinary_function_that_raises_is_a_failure_too():
    def grader(completion, answer):
        return Grade(1.0 / answer, completion, "divided")

    with pytest.raises(GraderFailure, match=r"1 of 2 .*\n(.*\n)*ZeroDivisionError") as raised:
        grade_all(grader, ["a", "b"], [0, 1])
    assert raised.value.grades == [None, Grade(1.0, "b", "divided")]


def test_an_unknown_grader_in_a_worker_is_a_failure_and_no_zero(pool):
    (outcome,) = pool.grade("no such grader", [("1", "1")])
    assert isinstance(outcome, str)
    assert "KeyError" in outcome


def test_equal_content_is_graded_once_and_remembered():
    asked = []

    def many(pairs):
        asked.extend(pairs)
        return [Grade(float(text == gold), text, "compared") for text, gold in pairs]

    grader = BatchGrader("counting", many)
    assert [grade.score for grade in grade_all(grader, ["a", "b", "a", "a"], ["a", "a", "a", "b"])] == [1, 0, 1, 0]
    assert asked == [("a", "a"), ("b", "a"), ("a", "b")]
    grade_all(grader, ["b", "c"], ["a", "a"])
    assert asked[3:] == [("c", "a")]


def test_a_time_out_is_not_remembered():
    reasons = iter(["out of time: not decided within 1 s", "equal"])
    grader = BatchGrader("slow once", lambda pairs: [Grade(0.0, None, next(reasons)) for _ in pairs])
    assert grader("x", "y").reason.startswith("out of time")
    assert grader("x", "y").reason == "equal"


@pytest.mark.parametrize("name", ["math", "gsm8k", "dapo", "dapo-boxed", "choice", "exact"])
def test_every_grader_has_one_interface(name):
    completion = {"exact": "B", "dapo": "Answer: B"}.get(name, "\\boxed{B}")
    (grade,) = grade_all(GRADERS[name], [completion], ["B"], [{"prompt": "?"}])
    assert grade == GRADERS[name](completion, "B", prompt="?")
    assert (grade.score, grade.extracted) == (1.0, "B")
