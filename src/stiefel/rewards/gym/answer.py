r"""Where the answer stands in a completion of a reasoning-gym task: all of it, or what a mark sets apart."""

from __future__ import annotations

import re

from ..extract import ANSWER_LINE, ANSWERED, after_thinking, last_boxed

TAIL = 50_000  # characters of a completion, from its end, that are read
HEADING = re.compile(r"(?im)^[ \t>*#_`-]*(?:the\s+)?(?:final\s+)?answer(?:\s+is)?[*_`]*\s*:[*_`]*[ \t]*")
FENCED = re.compile(r"(`{3,})[\w+-]*\n(.*?)\n?\1", re.DOTALL)
TEXT = re.compile(r"\\(?:text|mathrm|texttt)\{([^{}]*)\}")


def gym_answer(completion: str, gold: str | None) -> str:
    r"""The answer that a completion gives.

    One that is nothing but the gold answer is it, white space at the ends of lines left aside. Else what stands in the
    last `<answer>…</answer>`; there, or in all of the text, the last `\boxed{…}`, else what follows the last "Answer:"
    on its line (on all lines after it where the line ends there, or the gold answer has several); else all of it. A
    code fence around the answer is taken off.
    """
    text = after_thinking(completion)[-TAIL:]
    if same(text, gold):
        return gold or ""
    inner: list[str] = ANSWERED.findall(text)
    found = marked(inner[-1] if inner else text, several="\n" in (gold or "").strip()).strip()
    fence = FENCED.fullmatch(found)
    found = fence[2].strip() if fence else found
    return gold or "" if same(found, gold) else found


def marked(text: str, several: bool) -> str:
    """What a box or a heading sets apart; all of the text where there is neither."""
    boxed = last_boxed(text)
    if boxed is not None:
        worded = TEXT.fullmatch(boxed.strip())
        return worded[1] if worded else boxed
    headings = list(HEADING.finditer(text))
    if not headings:
        return text
    rest = text[headings[-1].end() :]
    lines: list[str] = ANSWER_LINE.findall(text)
    if several or not lines or not rest.partition("\n")[0].strip():
        return rest
    return lines[-1].strip().strip("*_`") if headings[-1][0].rstrip().endswith(("*", "_", "`")) else lines[-1]


def same(text: str, gold: str | None) -> bool:
    """Whether a text is an answer, but for white space at the ends of its lines."""
    return gold is not None and trimmed(text) == trimmed(gold)


def trimmed(text: str) -> list[str]:
    """Its lines."""
    return [line.rstrip() for line in text.strip().splitlines()]
