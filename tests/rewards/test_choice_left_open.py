"""A choice that is left open between letters is none; an article, a correction and a clause before the letter are no second one."""
# ruff: noqa: E501  many cases a line

from __future__ import annotations

import pytest

from stiefel.rewards.choice import grade_choice
from stiefel.rewards.dapo import grade_dapo

COLOURS = ["red", "green", "blue", "yellow"]
LEFT_OPEN = [
    "Answer: A or maybe B", "Answer: A or perhaps B", "Answer: A or possibly B", "Answer: A, maybe B", "The answer is A, or maybe B.", "I choose A or maybe B",
    "Answer: A (maybe B)", "Answer: A (or B)", "Answer: probably A, possibly B", "Answer: A, but maybe B", "Answer: A, could be B", "Answer: A; perhaps B",
    "Answer: A. Maybe B.", "Answer: A\nOr maybe B.", "The answer is A or it could be B", "The answer is A, though it might be B", "Answer: A as well as B",
    "Answer: A plus B", "Answer: A or else B", "Answer: A, otherwise B", "Answer: A, alternatively B", "Answer: A and also B", "Answer: A or then again B",
    "Answer: (A) or perhaps (B)", "Answer: **A** or maybe **B**", "Answer: A or maybe option B", "Answer: A / B", "Answer: A|B", "Answer: either A or B",
    r"\boxed{A \text{ or maybe } B}", r"\boxed{A} or maybe \boxed{B}", "It appears to be A or B.", "Answer: As shown, A or B", "答案：A或者可能是B",
    "答案：A，也可能是B", "答案：A还是B", "Ответ: A или, возможно, B", "정답: A 또는 아마 B", "답: A 혹은 B", "Antwort: A oder vielleicht B", "Respuesta: A o tal vez B",
    "Réponse : A ou peut-être B", "Resposta: A ou talvez B", "Risposta: A oppure B", "Đáp án: A hoặc B", "Відповідь: A або B", "Απάντηση: A ή B", "उत्तर: A या B",
    "উত্তর: A বা B", "คำตอบ: A หรือ B", "Válasz: A vagy B", "Svar: A eller B",
]  # fmt: skip
# letter: what names it, and nothing else
SETTLED = {
    "A": [
        "Answer: A. It could be B if the patient were older.", "The answer is A, though in rare cases it could be B instead of that.", "Answer: A\nOption B is wrong",
        "Answer: A\n\nMaybe B is wrong", "Answer: A\nPerhaps B, C and D look right as well", "Answer: A (or red)", "Answer: A, maybe", "Answer: A, perhaps because B is hot",
        "Answer: A because B may be wrong", "Answer: A, which might be better than B", "Resposta: A", "Answer: A (option A)", "Answer: A or maybe A",
    ],
    "B": [
        "Answer: A or rather B", "Answer: A, no, B", "It might be A or B, but the answer is B.", "Answer: A or maybe B. No, the answer is B.", "It appears to be B.",
        "It seems to be B.", "It looks like B", "It is most likely B.", "It's probably B.", "Resposta: A opção B", "Resposta: A opção (B)", "A válasz B", "Respuesta: La opción B",
        "Answer: Based on the above, B", "Answer: B. Maybe a careful reading shows more",
    ],
    "D": ["Answer: As shown, D", "Answer: As shown above, **D**", "Answer: In summary, D.", "Answer: Since all others fail, D", "Resposta: A letra D", "Resposta: A alternativa D."],
}  # fmt: skip
NO_CHOICE = [
    "Answer: As shown, not B",
    "Answer: In a way, it depends",
    "It is likely a cold.",
    "It appears to be a cold",
    "If it rains, B",
]


@pytest.mark.parametrize("choices", [COLOURS, None])
@pytest.mark.parametrize("completion", LEFT_OPEN)
def test_one_of_two_letters_is_neither(completion, choices):
    assert [grade_choice(completion, gold, choices=choices).score for gold in "AB"] == [0.0, 0.0]


@pytest.mark.parametrize("choices", [COLOURS, None])
@pytest.mark.parametrize(("gold", "completion"), [(gold, each) for gold, texts in SETTLED.items() for each in texts])
def test_a_letter_beside_one_that_is_not_offered_is_the_answer(gold, completion, choices):
    assert grade_choice(completion, gold, choices=choices).score == 1.0


@pytest.mark.parametrize("completion", NO_CHOICE)
def test_a_clause_without_a_letter_of_its_own_chooses_none(completion):
    assert [grade_choice(completion, gold, choices=COLOURS).score for gold in "ABCD"] == [0.0] * 4


@pytest.mark.parametrize("completion", ["Answer: $3$ or maybe $4$", "Answer: $3$, possibly $4$", "Answer: x = 4 or maybe x = 3"])  # fmt: skip
def test_dapo_takes_neither_of_two_numbers(completion):
    assert grade_dapo(completion, "3").score == 0.0
    assert grade_dapo("Answer: maybe $3$", "3").score == 1.0
