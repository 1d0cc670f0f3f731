"""The choice that a box holds."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..extract import BOXES_READ, NEIGHBOURS, braced
from .standing import CLOSING, Choices, standing
from .statements import announcements
from .texts import STYLED, by_text

OPENED = re.compile(r"\\(?:boxed|fbox)\s*(?:(?=\{)|([^\s{$.,]+))")
SPACED = re.compile(r"\\text\{([^}]*)\}|\\[,;()\[\] ]|\\quad|\$")
NAMED = re.compile(r"[\s*_]*(?i:(?:final\s+)?(?:option|choice|letter|answer)\s*:?)?")
AT_THE_END = re.compile(rf"(?:[(\[](?P<letter>[A-Za-z])[)\]]|[,:–—-]\s*(?P<bare>[A-Z]))(?:{CLOSING}|[\s.])*$")
REFUSED = re.compile(
    r"(?i)\b(?:none|neither|unknown|cannot|can't|not|no|unsure|undefined|insufficient|don'?t|n/a|idk)\b|\?"
)
LONGEST = 5_000


class Held(NamedTuple):
    """What a box says, by a letter or by a choice's text."""

    letter: str
    by_letter: bool


class Box(NamedTuple):
    """A box, or several that only "and", "or" or a comma sets apart."""

    start: int
    end: int
    contents: tuple[str, ...]

    @property
    def says_none(self) -> bool:
        """Whether it is a refusal, and no result of the working."""
        return bool(REFUSED.search(STYLED.sub(r" \1 ", self.contents[-1])))


def boxes(text: str) -> list[Box]:
    """The boxes of a text whose braces are closed, in order; neighbours are one."""
    found: list[Box] = []
    for match in list(OPENED.finditer(text))[-BOXES_READ:]:
        content = match[1] if match[1] else braced(text[match.end() : match.end() + LONGEST])
        if content is None:
            continue
        end = match.end() + (0 if match[1] else len(content) + 2)
        between = SPACED.sub(r" \1 ", text[found[-1].end : match.start()]) if found else ""
        if found and NEIGHBOURS.fullmatch(between):
            first = found.pop()
            found.append(Box(first.start, end, (*first.contents, content)))
        else:
            found.append(Box(match.start(), end, (content,)))
    return found


def boxed(box: Box, choices: Choices) -> Held | None:
    """The letter that a box or neighbours hold, "" for two; None where it is neither a letter nor a choice."""
    held = [each for content in box.contents if (each := boxed_letter(content, choices)) is not None]
    if not held:
        return None
    return held[-1] if len({each.letter for each in held}) == 1 else Held("", by_letter=True)


def boxed_letter(content: str, choices: Choices) -> Held | None:
    """The letter that the content of a box is or says, or that of the choice whose text it is."""
    styled = STYLED.sub(r" \1 ", content).strip()
    first = NAMED.match(styled)
    text = by_text(styled, choices) or by_text(content, choices)
    found = standing(styled, first.end() if first else 0, choices)
    if found and not (text and styled.islower()):
        return Held(found.letter, by_letter=True)
    if text:
        return Held(text, by_letter=False)
    said = list(announcements(styled, choices))
    if said:
        return Held(said[-1].letter, by_letter=True)
    end = AT_THE_END.search(styled)
    if end:
        letter = (end["letter"] or end["bare"]).upper()
        before = by_text(styled[: end.start()], choices)
        if letter in choices.letters and (before == letter or (before is None and not choices.known)):
            return Held(letter, by_letter=True)
    return None
