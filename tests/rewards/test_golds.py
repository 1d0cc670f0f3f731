"""Every gold of the real data is accepted, and made wrong it is refused. Where the data is: STIEFEL_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.grade import CHOICE_FORMS, SETS, GoldSet, Pair, graded, perturbed_pairs, right_pairs

SAMPLE = 12
DATA = os.environ.get("STIEFEL_DATA", "")

pytestmark = pytest.mark.skipif(not DATA, reason="STIEFEL_DATA names no directory of data")


@pytest.fixture(params=[gold_set for gold_set in SETS if gold_set.grader != "code"], ids=lambda gold_set: gold_set.file)
def gold_set(request: pytest.FixtureRequest) -> GoldSet:
    return request.param


def test_every_gold_is_accepted(gold_set):
    pairs = right_pairs(gold_set, Path(DATA))
    grades = graded(gold_set, pairs)
    assert [pair for pair, grade in zip(pairs, grades, strict=True) if grade.score != 1.0] == []


def test_every_gold_made_wrong_is_refused(gold_set):
    pairs = perturbed_pairs(gold_set, Path(DATA))[::5]  # of 17,000; the benchmark tries them all
    grades = graded(gold_set, pairs)
    assert [pair for pair, grade in zip(pairs, grades, strict=True) if grade.score != 0.0] == []


@pytest.mark.parametrize("gold_set", [gold_set for gold_set in SETS if gold_set.grader == "code"], ids=lambda s: s.file)
def test_reference_programs_pass_and_wrong_ones_do_not(gold_set):
    right, wrong = (spread(pairs(gold_set, Path(DATA))) for pairs in (right_pairs, perturbed_pairs))
    grades = graded(gold_set, right + wrong)
    assert [grade.score for grade in grades] == [1.0] * SAMPLE + [0.0] * SAMPLE


def spread(pairs: list[Pair]) -> list[Pair]:
    """A few of all; the benchmark tries every one."""
    return pairs[:: len(pairs) // SAMPLE][:SAMPLE]


def test_the_choice_forms_differ():
    assert len(set(CHOICE_FORMS)) == len(CHOICE_FORMS)
