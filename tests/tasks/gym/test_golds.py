"""Every task of the package: its own answer is whole however it is marked, and text that holds the answer is not."""

from __future__ import annotations

import json

import pytest

from stiefel.rewards import GYM, GYM_PARTIAL, Grade, described, grade_all, gym_columns, made_rows

from .names import ANSWERED, NO_TASK, NULL, library
from .rush_hour import solution


def grades(name, entry, completions, partial=False) -> list[Grade]:
    columns = gym_columns(name, {}, entry)
    grader = GYM_PARTIAL if partial else GYM
    return grade_all(grader, completions, [""] * len(completions), [columns] * len(completions))


def marked(answer):
    return [
        answer,
        f"  {answer}\n",
        f"I reason.\n<answer>{answer}</answer>",
        f"So it is \\boxed{{{answer}}}.",
        f"I reason.\nAnswer: {answer}",
        f"<think>9 or 10?</think>\nThe final answer is:\n{answer}",
        f"```\n{answer}\n```",
    ]


def holding(answer, other):
    return [
        f"I believe the result is {answer} or so.",
        f"{answer}\nbecause of this",
        f"well so\n{answer}",
        f"{answer} or {other}",
        f"{other} or {answer}",
        f"{answer}\n{other}",
        f"{other}\n{answer}",
        f"'{answer}'",
        f"{answer} {answer}",
    ]


def test_the_names_are_all_that_the_package_has():
    assert sorted([*ANSWERED, *NULL]) == described("gcd", {})["names"]
    assert len([*ANSWERED, *NULL, *NO_TASK]) == 106


@pytest.mark.parametrize("name", ANSWERED)
def test_the_answer_is_whole_and_text_that_holds_it_is_not(name):
    entry, other = made_rows(name, {}, [0, 1])
    right, wrong = marked(entry["answer"]), ["", *holding(entry["answer"], other["answer"] + " and more")]
    assert [grade.score for grade in grades(name, entry, right)] == [1.0] * len(right)
    assert [grade.score for grade in grades(name, entry, wrong)] == [0.0] * len(wrong)
    # the same by the fraction: nothing is paid for holding the answer
    for grade, text in zip(grades(name, entry, wrong, partial=True), wrong, strict=True):
        assert grade.score < 1.0
        if entry["answer"].strip() in (grade.extracted or ""):
            assert grade.score == 0.0, text


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("graph_color", "possible_answer"),
        ("rubiks_cube", "example_correct_answer"),
        ("propositional_logic", "example_answer"),
    ],
)
def test_an_answer_of_null_is_judged_from_the_metadata(name, column):
    (entry,) = made_rows(name, {}, [0])
    assert entry["answer"] is None
    known = entry["metadata"][column]
    known = known if isinstance(known, str) else json.dumps(known)
    assert [grade.score for grade in grades(name, entry, marked(known))] == [1.0] * 7
    held = [f"I believe it is {known} or so.", f"well so\n{known}", ""]
    assert [grade.score for grade in grades(name, entry, held)] == [0.0] * 3


def test_a_box_that_is_carried_to_its_target_is_whole():
    (entry,) = made_rows("boxnet", {}, [0])
    state = {"0.5_0.5": ["box_red"], "0.5_1.5": ["target_red"]}
    entry["metadata"] = {**entry["metadata"], "initial_state": state}
    there = {"Agent[0.5, 0.5]": "move(box_red, square[0.5, 1.5])"}
    put = {"Agent[0.5, 1.5]": "move(box_red, target_red)"}
    done, half = json.dumps([there, put]), json.dumps([there])
    assert [grade.score for grade in grades("boxnet", entry, [done, f"```json\n{done}\n```", half])] == [1.0, 1.0, 0.0]


def test_a_solution_of_rush_hour_is_whole_and_one_that_stops_short_is_not():
    """Solved by a search of our own, in as many moves as the package's table says that it takes."""
    easy = list(made_rows("rush_hour", {"min_moves": 2, "max_moves": 12}, range(4)))
    for entry in easy:
        moves = solution(entry["metadata"]["board_config"])
        assert len(moves) == entry["metadata"]["min_moves"]
        known, short, turned = " ".join(moves), " ".join(moves[:-1]), " ".join([*moves[:-1], "A-1"])
        assert [grade.score for grade in grades("rush_hour", entry, marked(known))] == [1.0] * 7
        held = [f"I believe it is {known} or so.", f"well so\n{known}", f"{known}\nbecause of this", short, turned, ""]
        assert [grade.score for grade in grades("rush_hour", entry, held)] == [0.0] * 6
        assert [grade.score for grade in grades("rush_hour", entry, [known, held[0]], partial=True)] == [1.0, 0.0]


def test_moves_among_words_are_no_solution_of_rush_hour():
    (entry,) = made_rows("rush_hour", {}, [0])
    assert "form" in grades("rush_hour", entry, ["I would move A+1 and then B-2"])[0].reason
    assert "form" not in grades("rush_hour", entry, ["A+1 B-2"])[0].reason


def test_scorers_that_take_too_much_are_held_to_their_question():
    """puzzle24's takes any four numbers, game_of_life_halting's any text, letter_jumble's what follows the answer."""
    (entry,) = made_rows("puzzle24", {}, [3])
    assert sorted(entry["metadata"]["numbers"]) != [1, 1, 4, 6]
    assert grades("puzzle24", entry, ["6*4*1*1"])[0].reason == "not the numbers of the question, each once"
    (entry,) = made_rows("game_of_life_halting", {}, [0])
    other = {"True": "False", "False": "True"}[entry["answer"]]
    assert grades("game_of_life_halting", entry, [other])[0].score == 0.0


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("word_sorting", "{answer}, and, more"),
        ("gsm_symbolic", "-{answer}"),
        ("gsm_symbolic", "{answer},123"),
        ("spell_backward", "{answer}{answer}"),
        ("coin_flip", "{answer}1"),
    ],
)
def test_what_a_scorer_calls_whole_is_the_answer_and_nothing_more(name, guess):
    rows = made_rows(name, {}, range(60))
    entries = [entry for entry in rows if name != "coin_flip" or entry["answer"].isdigit()]
    texts = [guess.format(answer=entry["answer"]) for entry in entries]
    script = """
from reasoning_gym.factory import get_score_answer_fn
found = [get_score_answer_fn(given[0])(text, entry) for entry, text in zip(given[1], given[2])]
"""
    believed = library(script, [name, entries, texts])
    assert max(believed) >= 1.0, "mended upstream?"
    assert max(grades(name, entry, [text])[0].score for entry, text in zip(entries, texts, strict=True)) == 0.0


def test_a_second_guess_beside_the_answer_is_no_answer():
    for name, index in (("advanced_geometry", 0), ("time_intervals", 0)):
        entry = next(
            entry
            for entry in made_rows(name, {}, range(index, 40))
            if entry["metadata"]["task_type"] in ("orthocenter", "date")
        )
        beside = {"advanced_geometry": "{}, (1.0, 2.0)", "time_intervals": "{} 00:34:28"}[name]
        assert [grade.score for grade in grades(name, entry, [entry["answer"], beside.format(entry["answer"])])] == [
            1,
            0,
        ]


def test_a_fraction_is_paid_where_it_is_asked_for_and_never_for_holding_the_answer():
    (entry,) = made_rows("prime_factorization", {}, [0])
    composite = str(entry["metadata"]["number"])
    assert entry["answer"] != composite
    assert grades("prime_factorization", entry, [composite], partial=True)[0].score == 0.5
    whole = grades("prime_factorization", entry, [composite])[0]
    assert (whole.score, whole.reason) == (0.0, "not whole: the scorer gives 0.5")
    (entry,) = made_rows("gcd", {}, [0])
    held = grades("gcd", entry, [f"perhaps {entry['answer']}"], partial=True)[0]
    assert (held.score, held.reason) == (0.0, "it holds the answer among other text")
