"""Multiple choice: the letter that a completion settles on, by a stated precedence."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from .extract import after_thinking, all_boxed_at_the_end, answered
from .grade import Grade, UnreadableGold

MOST = 10  # letters A to J, where the number of choices is not known
TAIL = 20_000  # characters of a completion, from its end, that are read

PRECEDENCE = (
    "the last box",
    'the last "answer is", "answer:", "option B", "I choose" or "B is correct"',
    "the last line that is a letter alone, or a letter and its choice's text",
    "the last letter in parentheses",
    "a small letter alone at the end",
    "the completion, or what it says that the answer is, is one choice's text",
)
# LETTERS stands for A to the last; around one, markdown, LaTeX and brackets, then nothing that would make it a word
OPENING = r"[\s*_`\"'$(\[{]|\\(?:text|math)(?:bf|rm|sf|it|tt)?\{|\\boxed\{|\\\("
BEGUN, ENDED = r"(?<![A-Za-z0-9'’])", r"(?![A-Za-z0-9'’])"
WRAPPED = rf"(?:{OPENING}){{0,8}}{BEGUN}([LETTERS]){ENDED}"
ADVERB = r"(?:\s+(?:therefore|thus|clearly|hence|definitely|(?:most\s+)?(?:likely|probably)))?"
VERB = rf"[*_`\"']*(?:\s+(?:is|should\s+be|would\s+be|must\s+be)|\s*:)(?:\s*:)?{ADVERB}"
NAMED = r"(?:\s*(?:option|choice|letter))?"
# what a letter that "is correct" may follow: "Vitamin C is the best" is about no choice C
SUBJECT = (
    r"(?:(?m:^)|[^\w\s]|\b(?i:option|choice|answer|letter|statement|so|thus|hence|therefore|clearly|only|that|and|but|then)"
    r"(?=\s))"
)
STATED = "|".join(
    (
        rf"(?i:\b(?:answer|choice|option){VERB}{NAMED}){WRAPPED}(?!\s*\?)",
        rf"(?i:\b(?:choose|chose|pick|select|go\s+with|answer|option|choice){NAMED}){WRAPPED}(?!\s+(?!is\b)[a-z]|\s*\?)",
        rf"{SUBJECT}{WRAPPED}[*_`\"'$)\]}}]{{0,6}}(?i:\s+is\s+(?:the\s+|my\s+)?(?:final\s+)?(?:correct|right|best|answer))",
    )
)
LINE = rf"(?m)^{WRAPPED}(?=[\s*_`\"'$)\]}}.:]*$|\s*[).:]\**\s|\s+[-–—]\s)"
BRACKETED = r"\(([LETTERS])\)"
BOX = rf"^(?:(?:{OPENING}){{0,8}}(?i:option|choice|letter|answer)\s*:?)?{WRAPPED}"
WORDS = re.compile(r"\\(?:text|math)(?:bf|rm|sf|it|tt)?\{([^{}]*)\}")  # in a box
SMALL = (
    r"(?im)(?:\A|\b(?:answer|choice|option)\**(?:\s*:|\s+is)(?:\s*:)?)[\s*_`$(\[]{0,8}([LETTERS])[\s*_`$)\].]{0,8}\Z"
)
ALSO = (
    rf"[\s*_`\"'$)\]}}.]{{0,8}}(?:,|;|/|&|\bor\b|\band\b)[\s*_`\"'$(\[{{]{{0,8}}(?:option\s+)?([LETTERS]){ENDED}"
    r"(?!(?<=I)[ ][a-z])"  # "B, I think"
    rf"|[ ]([LETTERS]){ENDED}(?![ ][a-z])"
)
DENIED = (
    rf"(?i:\b(?:not|isn't|neither|nor|never){NAMED})\s*{WRAPPED}\)?",
    rf"{WRAPPED}[*_`)\]]{{0,6}}(?i:\s+(?:is|was|would\s+be|cannot\s+be)\s+(?:\w+\s+)?(?:not|wrong|incorrect|false))\b",
)
TRIMMED = " \t\n.*_`\"'$"  # around a choice's text
SAID = re.compile(rf"(?i:\b(?:answer|choice|option){VERB})[ \t*_`]*([^\n]+)")


def grade_choice(completion: str, answer: Any, *, choices: Any = None, **row: Any) -> Grade:
    """1 if the completion's letter is the gold's.

    answer: a letter, an index counted from 0, or a choice's text; choices: the row's column of their texts. The letter
    is sought after any thinking, in the order of `PRECEDENCE`; the first of these that is there decides. A statement
    that names two letters ("A or B") is no answer.
    """
    texts = choice_texts(choices)
    try:
        gold = gold_letter(answer, texts)
    except UnreadableGold as error:
        return Grade(None, None, f"unreadable gold: {error}")
    found, where = letter(answered(after_thinking(completion)[-TAIL:]).strip(), texts)
    if found is None:
        return Grade(0.0, None, where)
    return Grade(float(found == gold), found, f"read from {where}")


def choice_texts(choices: Any) -> list[str]:
    """The choices' texts, from a list, MedQA's {letter: text} or ARC's {"text": [...]}; empty where none are given."""
    if choices is None:
        return [""] * MOST
    if isinstance(choices, Mapping):
        choices = choices["text"] if "text" in choices else choices.values()
    return [str(choice) for choice in choices]


def gold_letter(answer: Any, choices: Sequence[str]) -> str:
    """The gold's letter. A number is an index from 0; a text is the first that fits of: a capital letter, a choice's
    text, an index, a small letter. So a choice that reads "C" does not stand before the letter C.
    """
    letters = string.ascii_uppercase[: len(choices)]
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(letters):
        return letters[answer]
    text = answer.strip() if isinstance(answer, str) else ""
    bare = text.strip("()[]. ")
    if len(bare) == 1 and bare in letters:
        return bare
    if text and text in choices[: len(letters)]:
        return letters[choices.index(text)]
    if text.isdecimal() and int(text) < len(letters):
        return letters[int(text)]
    if len(bare) == 1 and bare.upper() in letters:
        return bare.upper()
    raise UnreadableGold(f"{answer!r} is none of {len(choices)} choices")


def letter(text: str, choices: Sequence[str]) -> tuple[str | None, str]:
    """(the letter, where it was read), or (None, why there is none)."""
    letters = string.ascii_uppercase[: len(choices)]
    boxed = all_boxed_at_the_end(text)
    if boxed is not None:
        return settled(boxed, BOX, letters, PRECEDENCE[0]) or by_text(WORDS.sub(r"\1", boxed), choices)
    text = without_denied(text, letters)
    said = next(reversed(list(SAID.finditer(text))), None)
    in_words = by_text(said[1], choices) if said and len(said[1].strip(TRIMMED)) > 1 else (None, "")
    stated = last(text, STATED, letters)
    if said and in_words[0] and (stated is None or stated.start() <= said.start()):
        return in_words  # "A combination of both", where a choice reads so, is no A
    found = settled(text, STATED, letters, PRECEDENCE[1])
    if found is not None:
        return found
    text = without_lists(text, choices)
    for pattern, where in ((LINE, PRECEDENCE[2]), (BRACKETED, PRECEDENCE[3])):
        found = settled(text, pattern, letters, where)
        if found is not None:
            return found
    small = re.search(SMALL.replace("LETTERS", letters), text)
    if small:
        return small[1].upper(), PRECEDENCE[4]
    return by_text(said[1] if said else text, choices)


def without_lists(text: str, choices: Sequence[str]) -> str:
    """The text without lists of all the choices in their order: they say what there is to choose from, and choose none.

    Where it is not known how many there are, three are a list.
    """
    known = all(choices)
    needed, more = string.ascii_uppercase[: len(choices) if known else 3], string.ascii_uppercase[3 : len(choices)]
    for item in (
        r"^[ \t*_`>-]{0,8}\(?LETTER[*_`]{0,2}(?:[).:]|[ ]+[-–—][ ])[^\n]*\s*",
        r"\(LETTER\)(?:(?!\([A-Z]\)).)*",
    ):
        pattern = "".join(item.replace("LETTER", each) for each in needed)
        if not known:
            pattern += "".join(f"(?:{item.replace('LETTER', each)}" for each in more) + ")?" * len(more)
        text = re.sub(pattern, " ", text, flags=re.MULTILINE | (0 if item.startswith("^") else re.DOTALL))
    return text


def without_denied(text: str, letters: str) -> str:
    """The text without the letters that it says are wrong."""
    for pattern in DENIED:
        text = re.sub(pattern.replace("LETTERS", letters), " ", text)
    return text


def settled(text: str, pattern: str, letters: str, where: str) -> tuple[str | None, str] | None:
    """The last match's letter, unless a second one goes with it ("A or B", "(A) or (B)"); None without a match."""
    matches = list(re.finditer(pattern.replace("LETTERS", letters), text))
    if not matches:
        return None
    found, end = named(matches[-1]), matches[-1].end()
    also = re.match(ALSO.replace("LETTERS", letters), text[end:])
    if also and named(also) != found:
        return None, f"{where} names two letters"
    if len(matches) > 1 and named(matches[-2]) != found:
        also = re.compile(ALSO.replace("LETTERS", letters)).match(text, matches[-2].end())
        if also and also.end() > matches[-1].start():
            return None, f"{where} names two letters"
    return found, where


def last(text: str, pattern: str, letters: str) -> re.Match[str] | None:
    """The last match."""
    return next(reversed(list(re.finditer(pattern.replace("LETTERS", letters), text))), None)


def named(match: re.Match[str]) -> str:
    """The letter in it."""
    return next(group for group in match.groups() if group)


def by_text(text: str, choices: Sequence[str]) -> tuple[str | None, str]:
    """The letter of the one choice whose text this is, whatever its case and final point."""
    plain = text.strip(TRIMMED).casefold()
    found = [index for index, choice in enumerate(choices) if plain and choice.strip(TRIMMED).casefold() == plain]
    if len(found) == 1:
        return string.ascii_uppercase[found[0]], PRECEDENCE[5]
    return None, "no letter"
