"""Where a completion says which its answer is: "the answer is B", "I choose B", "B is correct", "so B"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .phrases import (
    CHOOSING,
    CONDITION,
    HYPOTHETICAL,
    INITIAL,
    INTRODUCED,
    LOWER,
    MISTAKEN,
    NAMED,
    NEGATION,
    NO,
    NOT,
    NOUN,
    REFUSING,
    SAYING,
    SENTENCE,
    SIGN,
    SO,
    TERMINAL,
    THAT_FITS,
    TOKEN,
    denied,
    only,
    right,
)
from .standing import Choices, Found, follows, standing
from .texts import by_text

MARKS = re.compile(r"[\s.,:;()\[\]*_`\"'$]+")
LONGEST_LINE = 2_000
TOKENS = 12  # words between an announcement and its letter


def without_denied(text: str, letters: str) -> str:
    """The text with a mark in place of the letters that it says are wrong."""
    for pattern in denied(letters):
        text = pattern.sub(" ¬ ", text)
    return text


def hypothetical(text: str, start: int) -> bool:
    """Whether what begins here is supposed, or said by others, or denied."""
    before = text[max(0, start - 80) : start]
    return any(pattern.search(before) for pattern in (HYPOTHETICAL, NOT, MISTAKEN))


def strong(text: str, choices: Choices) -> list[Found]:
    """Everything that is said to be the answer, in its order."""
    return sorted({*announcements(text, choices), *chosen(text, choices), *corrections(text, choices)}, key=place)


def place(found: Found) -> tuple[int, int]:
    """Where it stands."""
    return found.start, found.end


def announcements(text: str, choices: Choices) -> Iterator[Found]:
    """After "answer", and what is said to be right."""
    for noun in NOUN.finditer(text):
        found = announced(text, noun.end(), bool(noun["answer"]), choices)
        if found and not hypothetical(text, noun.start()):
            yield found
    for match in right(choices.letters).finditer(text):
        group = 1 if match[1] else 2
        if not hypothetical(text, match.start(group)):
            yield Found(match.start(group), match.end(), match[group].upper())
    for match in only(choices.letters).finditer(text):
        yield Found(match.start(1), match.end(), match[1])


def announced(text: str, at: int, answer: bool, choices: Choices) -> Found | None:
    """What follows "answer", "option" or their like and a sign or a verb: a choice's text, a letter, or a sentence
    that ends in one ("Answer: a careful reading shows D"). A refusal behind "answer:" is a Found without a letter.
    """
    begun = at
    for number in range(TOKENS):
        if number:
            line = text[at : at + LONGEST_LINE].partition("\n")[0]
            letter = by_text(line, choices) if MARKS.sub("", line) not in choices.letters else None
            if letter:
                return Found(at, at + len(line), letter)
            found = standing(text, at, choices)
            if found:
                return found
        elif answer:
            found = standing(text, at, choices)
            if found and TERMINAL.match(text, found.end):
                return found
        token = TOKEN.match(text, at)
        if token is None:
            break
        at = token.end()
    if at == begun and not (not answer and THAT_FITS.match(text, at)):
        return None
    if not answer:
        return told(text, begun, choices) if THAT_FITS.match(text, begun) else None
    if SIGN.match(text, begun) and REFUSING.match(text, begun + len(SIGN.match(text, begun)[0])):  # type: ignore[index]
        return told(text, begun, choices) or Found(begun, at, "")
    return told(text, begun, choices)


def told(text: str, at: int, choices: Choices) -> Found | None:
    """The letter at the end of the sentence that begins here, where the sentence denies nothing."""
    sentence = SENTENCE.match(text, at)
    if sentence is None:
        return None
    for saying in reversed(list(SAYING.finditer(text, at, sentence.end()))):
        found = standing(text, saying.end(), choices)
        if found and TERMINAL.match(text, found.end) and not NEGATION.search(text, at, found.start):
            return found
    return introduced(text, at, choices)


def introduced(text: str, at: int, choices: Choices) -> Found | None:
    """The letter behind a clause that names no other, where it is all that follows: "As shown above, D"."""
    clause = INTRODUCED.match(text, at)
    found = standing(text, clause.end(), choices) if clause else None
    if clause is None or found is None or not TERMINAL.match(text, found.end) or NEGATION.search(clause[0]):
        return None
    return None if re.search(rf"(?<![\w'’])[{choices.letters}](?![\w'’])", clause[0].lstrip(" :*_")[1:]) else found


def chosen(text: str, choices: Choices) -> Iterator[Found]:
    """After "I choose"."""
    for verb in CHOOSING.finditer(text):
        named = NAMED.match(text, verb.end())
        found = standing(text, named.end() if named else verb.end(), choices)
        refused = hypothetical(text, verb.start()) or NO.search(text[: verb.start()][-9:])
        if not found or refused or CONDITION.match(text, found.end):
            continue
        if not LOWER.match(text, found.end) or follows(text, found.end):
            yield found


def corrections(text: str, choices: Choices) -> Iterator[Found]:
    """After "no," and "but", where the sentence ends with the letter."""
    yield from (found for turned, found in concluded(text, choices) if turned)


def conclusions(text: str, choices: Choices) -> list[Found]:
    """After "so" and "it is", where the sentence ends with the letter."""
    return [found for turned, found in concluded(text, choices) if not turned]


def concluded(text: str, choices: Choices) -> Iterator[tuple[bool, Found]]:
    """(Whether it corrects what was said before, the letter)."""
    for match in SO.finditer(text):
        found = standing(text, match.end(), choices)
        if found and TERMINAL.match(text, found.end) and not hypothetical(text, match.start()):
            yield match["turn"] is not None, found


def mentions(text: str, choices: Choices) -> tuple[list[Found], list[Found]]:
    """After "option": (those that are a sentence of their own, the others). Others that go through three letters
    discuss the choices, and choose none.
    """
    whole: list[Found] = []
    others: list[Found] = []
    for noun in NOUN.finditer(text):
        found = standing(text, noun.end(), choices)
        if found is None or LOWER.match(text, found.end) or hypothetical(text, noun.start()):
            continue
        alone = INITIAL.search(text[max(0, noun.start() - 20) : noun.start()]) and TERMINAL.match(text, found.end)
        (whole if alone else others).append(found)
    return whole, others if len({found.letter for found in others}) < 3 else []
