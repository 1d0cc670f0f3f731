"""Letters at the beginnings of lines and in parentheses, for completions that announce nothing."""

from __future__ import annotations

import re
from functools import cache

from .phrases import NOT
from .standing import BEGUN, CLOSING, ENDED, OPENING, QUESTION, Choices, Found, follows, patterns, standing

SPECIES = re.compile(r"\.\s[a-z]")  # "C. elegans"
REASONED = re.compile(rf"{CLOSING}*,?\s+(?:because|since|as|it\s+is)\b")
ANSWERED = re.compile(r"[*_]*:[*_]*[ \t]*\(?([A-Z])\)?[ \t.*]*$", re.MULTILINE)  # "A: C", after a "Q: …"
BEYOND = 3  # choices that are a list where it is not known how many there are
LISTED = (
    r"^[ \t*_`>-]{0,8}\(?LETTER[*_`]{0,2}(?:[).:]|[ ]+[-–—][ ])[^\n]*\s*",
    r"\(LETTER\)(?:(?!\([A-Z]\)).)*",
)


def without_lists(text: str, choices: Choices) -> str:
    """The text without lists of all the choices in their order: they say what there is to choose from, and choose none.

    Where it is not known how many there are, three are a list.
    """
    needed, more = choices.letters, ""
    if not choices.known:
        needed, more = choices.letters[:BEYOND], choices.letters[BEYOND:]
    for item in LISTED:
        pattern = "".join(item.replace("LETTER", each) for each in needed)
        pattern += "".join(f"(?:{item.replace('LETTER', each)}" for each in more) + ")?" * len(more)
        text = re.sub(pattern, " ", text, flags=re.MULTILINE | (0 if item.startswith("^") else re.DOTALL))
    return text


def without_own_list(text: str, choices: Choices) -> str:
    """The text without every choice's letter and own text in a row, on whichever lines."""
    if not choices.known or len(choices.letters) < 2:
        return text
    items = zip(choices.letters, choices.texts, strict=False)
    pattern = r"[\s,;.*_]{0,8}".join(rf"\(?{letter}[).:]\s*[*_]{{0,2}}{re.escape(text)}" for letter, text in items)
    return re.sub(pattern, " ¬ ", text)


@cache
def line_pattern(letters: str) -> re.Pattern[str]:
    """A line that is a letter alone, or begins with a letter and a sign."""
    return re.compile(
        rf"(?m)^{OPENING}{{0,8}}{BEGUN}([{letters}]){ENDED}"
        rf"(?=(?P<alone>(?:{CLOSING}|[\s.:])*$)|\s*[).:,]\**\s|\s+[-–—]\s)"
    )


def lines(text: str, choices: Choices) -> tuple[list[Found], list[Found]]:
    """(Lines that are a letter alone or with its own text, other lines that begin with one)."""
    alone, own, others = list[Found](), list[Found](), list[Found]()
    for match in line_pattern(choices.letters).finditer(text):
        found = Found(match.start(1), match.end(), match[1])
        rest = text[match.end() :].partition("\n")[0].lstrip(" ).:,*-–—")
        listed = text[match.end() :].lstrip("*_`)]} ").startswith(",")
        asked = ANSWERED.match(text, match.end(1))
        if match[1] == "A" and asked and asked[1] in choices.letters:
            alone.append(Found(asked.start(1), asked.end(1), asked[1]))
        elif match["alone"]:
            alone.append(found)
        elif choices.own(match[1], rest):
            own.append(found)
        elif not listed and not (
            choices.known and SPECIES.match(text, match.end()) and not follows(text, match.end() + 1)
        ):
            others.append(found)
    return alone or own, others


def bracketed(text: str, choices: Choices) -> list[Found]:
    """Letters in parentheses that are neither ruled out nor asked."""
    found = []
    for match in re.finditer(rf"(?<![A-Za-z0-9])\(([{choices.letters}])\)", text):
        if not NOT.search(text[max(0, match.start() - 60) : match.start()]) and not QUESTION.match(text[match.end() :]):
            found.append(Found(match.start(1), match.end() - 1, match[1]))
    return found


def last_of(found: list[Found], text: str, letters: str) -> Found | None:
    """The last one, without a letter where another goes with it ("(A) or (B)")."""
    if not found:
        return None
    last, also = found[-1], patterns(letters)[2]
    for one, other in ((last, None), *([(found[-2], last)] if len(found) > 1 else [])):
        match = also.match(text, one.end)
        if match is None or (other is not None and match.end() <= other.start):
            continue
        second = next(group for group in match.groups() if group).upper()
        if second != one.letter:
            return Found(last.start, last.end, "")
    return last


def begun_with(text: str, choices: Choices) -> list[Found]:
    """The letter that a text begins with, and gives its reason."""
    found = standing(text, 0, choices)
    return [found] if found and REASONED.match(text, found.end) else []


@cache
def small_pattern(letters: str) -> re.Pattern[str]:
    """A small letter that is all of the last line."""
    return re.compile(rf"(?:\A|\n)[ \t*_`$(\[]{{0,8}}([{letters.lower()}])[\s*_`$)\].]{{0,8}}\Z")


@cache
def small_line_pattern(letters: str) -> re.Pattern[str]:
    """A last line that begins with a small letter and a sign."""
    return re.compile(
        rf"(?:\A|\n)[ \t*_`(\[]{{0,8}}([{letters.lower()}])[*_`]{{0,2}}[).:\]][*_`]{{0,2}}\s+(\S[^\n]*)\Z"
    )


def small(text: str, choices: Choices) -> str | None:
    """A small letter alone at the end, or one with its own text; with another text where that is the whole text."""
    alone = small_pattern(choices.letters).search(text)
    if alone:
        return alone[1].upper()
    line = small_line_pattern(choices.letters).search(text)
    if line and (choices.own(line[1].upper(), line[2]) or (not choices.known and not line.start())):
        return line[1].upper()
    return None
