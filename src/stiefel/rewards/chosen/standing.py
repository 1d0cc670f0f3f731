"""Whether a letter at a place of a text stands for a choice: no article, no pronoun, no variable, no part of a word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from ..hedges import BUT, MAYBE, MAYBE_CJK, OR, OR_CJK
from .words import ARTICLES, FOLLOWING, LOCAL, OPTION

WORDY = "A-Za-z0-9\u00c0-\u024f\u0300-\u036f\u0370-\u052f"
OPENING = r"(?:[\s*_`\"'$(\[{~]|</?[a-z]{1,8}>|\\(?:text|math)(?:bf|rm|sf|it|tt)?\{|\\boxed\{|\\[(\[]|\\bf\s)"
CLOSING = r"(?:[*_`\"'’$)\]}]|\\[)\]]|</[a-z]{1,8}>)"
BEGUN = rf"(?<![{WORDY}])(?<![A-Za-z]['’])"
ENDED = rf"(?![{WORDY}₀-₉⁰¹²³⁴-⁹+#]|['’][A-Za-z])"
NUMBERLESS = re.compile(r"[ \t]*[A-Za-z]{3}")
# what makes it a variable: "B = 5", "A^2", "C \\times D"
OPERATOR = re.compile(
    r"\([a-z0-9]{1,2}\)|\s*(?:[=>^×÷·≤≥≠≈∪∩]|[+](?=\s)|[*/](?=\s*\w)(?<!\*\*)|<(?![/a-z])|_(?:\{|\d)|\\(?:times|cdot|frac|d?frac|sqrt|to|rightarrow|l[el]q?|g[eg]q?|"
    r"approx|pm|div|circ|in|sim|propto|c[au]p|neq?|equiv|left|subset\w*)\b)"
)
JOINED = re.compile(r"[-‐‑](?=\w)")
SEPARATOR = re.compile(rf"{CLOSING}{{0,6}}(?:[).:,;]|\s*[-–—]\s|\s*=)*{CLOSING}{{0,6}}\s*|\\[ ,;]")
FOLLOWED = re.compile(rf"\s+(?i:{FOLLOWING})(?![-\w])")
PRONOUNCED = re.compile(r"\s+(?i:because|since|is\s+(?:correct|right|the|my))\b")
WORD = re.compile(r"\s+[^\W\d_]")
QUESTION = re.compile(rf"(?:{CLOSING}|\s)*\?")
SINGULAR = r"(?!\s+(?:is|was|isn['’]t|has|would|can|does|cannot|fails?)\b)"
AND = (
    rf"(?:,|\||;|/|&|[-–](?=\S)|\b(?:{OR}|and(?:\s+also)?|as\s+well\s+as|or\s+(?:else|then\s+again)|ou\s+bien|plus|"
    rf"und|et|y|e|en|of|и|và|dan)\b|{OR_CJK}|和|与|と|이나|و)"
)
# "or maybe", "(or", "; perhaps", ". Maybe": another letter behind it is as good as the first
GUESS = rf"(?:(?:\b(?:{MAYBE})(?![\w'’])|{MAYBE_CJK})[\s,:]*)"
OTHERWISE = (
    rf"(?:{CLOSING}|[ \t.,;:(–—-]){{0,8}}(?i:(?:{AND}|\b(?:{BUT})\b)[\s,]*)?"
    rf"(?i:{GUESS})+(?i:(?:it\s+is|it['’]s|just|also|even)\s+)?"
)
ARTICLE = re.compile(rf"[ ]+(?i:{OPTION})\s+[*_`(\[]{{0,3}}[A-Za-z](?![\w'’])")  # "A opção B", "A letra D"
# of a small letter: nothing after it, or what only follows a label
ENDS = re.compile(rf"{CLOSING}*[.!]*{CLOSING}*\s*(?:$|\n)")
BRACKETED = re.compile(r"[)\]]|\*\*|\.(?:\s+[A-Z]|\*)")
CAUSED = re.compile(r"\s*,\s|\s+(?i:because|since|as)\b")


@dataclass(frozen=True)
class Found:
    """A letter and where it stands; "" where two are named, or the answer is that there is none."""

    start: int
    end: int
    letter: str


@dataclass(frozen=True)
class Choices:
    """The choices' letters and texts; the texts are empty where only the question has them."""

    letters: str
    texts: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether all the texts are there."""
        return all(self.texts)

    @property
    def longest(self) -> int:
        """Characters of the longest text."""
        return max(map(len, self.texts), default=0)

    def own(self, letter: str, rest: str) -> bool:
        """Whether what follows a letter is that choice's text, or its beginning."""
        text = self.texts[self.letters.index(letter)].strip(" .").casefold()
        rest = rest.strip(" .*_`").casefold()
        return bool(text) and bool(rest) and (rest.startswith(text) or (len(rest) > 3 and text.startswith(rest)))

    def beginning(self, text: str) -> str | None:
        """The letter of the longest choice that the text begins with, where that choice itself begins with a letter
        alone ("A combination of both", "C. elegans"): then it is no label.
        """
        folded, found = text.lstrip(" *_`\"'").casefold(), ""
        for choice in self.texts:
            known = choice.strip(" .").casefold()
            if len(known) > max(1, len(found)) and re.match(r"[a-z]\W", known) and folded.startswith(known):
                found = known if not folded[len(known) : len(known) + 1].isalnum() else found
        if not found:
            return None
        return next(
            letter
            for letter, each in zip(self.letters, self.texts, strict=False)
            if each.strip(" .").casefold() == found
        )


@cache
def patterns(letters: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """(a capital, a small letter, another letter after it)."""
    capital = re.compile(rf"{OPENING}{{0,8}}+{BEGUN}([{letters}]){ENDED}")
    small = re.compile(rf"{OPENING}{{0,8}}+{BEGUN}([{letters.lower()}]){ENDED}")
    option = r"(?i:(?:option|choice|answer)\s+)?"
    also = re.compile(
        rf"(?:{CLOSING}|[\s.]){{0,8}}{AND}\s*(?i:{AND}\s*)?{option}{OPENING}{{0,8}}([{letters}]){ENDED}"
        rf"(?!(?<=I)[ ][a-z]){SINGULAR}|[ ]([{letters}]){ENDED}(?![ ][a-z])"
        rf"|{CLOSING}{{0,4}}\s*{AND}\s*{option}{OPENING}{{0,4}}([{letters.lower()}])(?:[).]|{CLOSING}|\s*$)"
        rf"|(?:{OTHERWISE}|\s*\((?i:or|and|oder|ou|o)\s+){option}{OPENING}{{0,4}}([{letters}]){ENDED}"
        rf"(?={CLOSING}{{0,6}}[ \t]*(?:[.,;!?)]|$|\n|(?i:because|since|as|or|and)\b))"
        rf"|[\s.*]{{1,8}}{OTHERWISE}{option}{OPENING}{{0,4}}([{letters}]){ENDED}(?=(?:{CLOSING}|[\s.!?]){{0,8}}$)"
    )
    return capital, small, also


LOCALS = re.compile(rf"{OPENING}{{0,8}}+(?<!\w)([{''.join(LOCAL)}])(?!\w)")


def standing(text: str, at: int, choices: Choices) -> Found | None:
    """The letter that stands at this place, marks around it left aside; None where none does."""
    capital, small, also = patterns(choices.letters)
    match = capital.match(text, at)
    if match:
        after = text[match.end() : match.end() + 300]
        letter = match[1]
        other = choices.beginning(text[match.start(1) : match.start(1) + 300])
        if other is not None:
            return Found(match.start(1), match.end(), other)
        if not is_label(letter, after, choices):
            return None
    else:
        local = LOCALS.match(text, at)
        match = local or small.match(text, at)
        if match is None:
            return None
        after = text[match.end() : match.end() + 300]
        letter = LOCAL.get(match[1], match[1].upper())
        if letter not in choices.letters or (local is None and not is_small_label(match, after, choices)):
            return None
    second = also.match(after)
    if second and next(group for group in second.groups() if group).upper() != letter:
        return Found(match.start(1), match.end(), "")
    return Found(match.start(1), match.end(), letter)


def is_label(letter: str, after: str, choices: Choices) -> bool:
    """Whether a capital with this after it is a choice's."""
    rest = SEPARATOR.sub("", after, count=1) if SEPARATOR.match(after) else after
    if QUESTION.match(after) or (letter == "A" and ARTICLE.match(after)):
        return False
    line = rest.partition("\n")[0]
    if choices.own(letter, line):
        return True
    if OPERATOR.match(after) and not after.startswith("**"):
        return not choices.known and bool(NUMBERLESS.match(after.lstrip(" =")))
    if JOINED.match(after):
        return not choices.known
    if letter not in ARTICLES or not WORD.match(after) or after.lstrip(" ").startswith("\n"):
        return True
    if "\n" in after[: len(after) - len(after.lstrip())]:
        return True
    if letter == "I":
        return bool(PRONOUNCED.match(after))
    word = after.split(maxsplit=1)[0]
    titled = word[:1].isupper() and not (word.isupper() and len(word) > 1)
    return bool(FOLLOWED.match(after)) or (titled and not choices.known) or not word.isascii()


def is_small_label(match: re.Match[str], after: str, choices: Choices) -> bool:
    """Whether a small letter with this after it is a choice's: it may as well be an article or a variable."""
    letter = match[1].upper()
    if QUESTION.match(after) or (OPERATOR.match(after) and not after.startswith("**")) or JOINED.match(after):
        return False
    rest = SEPARATOR.sub("", after, count=1).partition("\n")[0]
    if ENDS.match(after) or BRACKETED.match(after):
        return True
    if after[:1] in ".:)," and choices.own(letter, rest):
        return True
    if after[:2] in (". ", ": ") and not choices.known:
        return True
    return letter not in "AEI" and bool(CAUSED.match(after))


def follows(text: str, at: int) -> bool:
    """Whether what stands here may follow a letter: "because", and no noun."""
    return bool(FOLLOWED.match(text, at))
