"""The fenced blocks of a completion, by their marks alone."""

from __future__ import annotations

import re
from typing import NamedTuple

BEGUN = r"(?:(?:def|class|async)[ ]|import[ ]\w|from[ ][\w.]+[ ]import\b|@\w)"  # code on the fence's own line
# A fence at a line's beginning, or behind other text on it where only a language follows; possessive, so that a line of
# a million backticks is read once.
FENCE = re.compile(
    r"(?:^[ \t]*+(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?P<info>[^\n`]*+)|"
    r"^(?:[^\n`]++|`{1,2}+(?!`))++(?P<inner>`{3,}+)[ \t]*+(?P<language>[\w+.{}:,-]*+(?:[ ][\d.]++)?+"
    rf"(?:[ \t]++{BEGUN}[^\n`]*+)?+)[ \t]*+)\n",
    re.MULTILINE,
)
ONE_LINE = re.compile(r"(?<!`)(?P<fence>`{3,}+)[ \t]*+(?P<held>[^\n`]++)(?P=fence)")
CLOSING = re.compile(r"(?<!`)`{3,}+[ \t]*+$", re.MULTILINE)
CLOSED = r"^[ \t]*+FENCE|FENCE[ \t]*+$|\Z"
WITHIN = re.compile(r"^(?P<code>[^\n`]*+)`{3,}+[ \t]++\S", re.MULTILINE)  # "return x``` It works."
PYTHON = re.compile(
    r"\{?\.?(?:i?py(?:thon)?[\d.]*(?:[-_ ]?code)?|python[-_ ]?[\d.]+|code|tool[-_]?code)", re.IGNORECASE
)
# of a fence that the prompt opened
LANGUAGE = re.compile(
    r"\A\s*+(?:python[ ]?[\d.]*+|py\d?|code)[ \t]*+\n(?=[ \t\n]*+"
    r"(?:def|class|import|from|async|@|[\w.,* ]++(?:=|\()|#|\"\"\"|for\b|while\b|if\b|with\b|try\b|[ \t]))",
    re.IGNORECASE,
)
WITH_CODE = re.compile(rf"(?P<language>[^\s(=]*[ \t]+)??(?P<code>{BEGUN}.*)")
TAGGED = re.compile(r"<(code|python|py|answer|solution)(?:\s[^<>\n]*+)?>(.*?)(?:</\1>|\Z)", re.DOTALL)
DEFINING = re.compile(rf"^{BEGUN}", re.MULTILINE)
STARTS = re.compile(r"(?:def|class|async|import|from|@|print|for|while|lambda|\w+[ ]*=)\b")


class Fence(NamedTuple):
    """A block, whether it may be Python, and whether it says so."""

    block: str
    python: bool
    named: bool


def fences(text: str) -> list[Fence]:
    """All blocks, in their order; a fence that is never closed holds the rest."""
    found, at = [], 0
    while match := FENCE.search(text, at):
        found += one_lines(text[at : match.start()])
        mark, info = match["fence"] or match["inner"], (match["info"] or match["language"] or "").strip()
        end = closed(mark).search(text, match.end())
        if end is None:
            break
        block = text[match.end() : end.start()]
        at = end.end()
        if begun := WITH_CODE.fullmatch(info):
            info, block = (begun["language"] or "").strip(), f"{begun['code']}\n{block}"
        for inside in WITHIN.finditer(block):
            if inside["code"].strip() and balanced(inside["code"]):
                at = match.end() + inside.end()
                block = block[: inside.end("code")]
                break
        found.append(Fence(dedented(block), is_python(info), bool(info)))
    return found + one_lines(text[at:])


def tagged(text: str) -> list[Fence]:
    """Blocks between HTML's tags for code that define something, in a text without code before them."""
    found: list[Fence] = []
    first = DEFINING.search(text)
    for match in TAGGED.finditer(text):
        block = match[2].strip("\n")
        if not found and first and first.start() < match.start():
            break
        if DEFINING.search(block):
            found.append(Fence(f"{block}\n", python=True, named=True))
    return found


def is_python(info: str) -> bool:
    """Whether the words behind a fence name Python, or only "code", or are none."""
    first = re.split(r"[\s,;:{(\[]", info.strip("{}.: "), maxsplit=1)[0]
    return not info or bool(PYTHON.fullmatch(first) or PYTHON.fullmatch(info))


def one_lines(text: str) -> list[Fence]:
    """Blocks that open and close on one line."""
    found = []
    for match in ONE_LINE.finditer(text):
        held = match["held"].strip()
        language, _, rest = ("", "", held) if STARTS.match(held) else held.partition(" ")
        if STARTS.match(rest.strip()):
            found.append(Fence(rest.strip() + "\n", is_python(language), bool(language)))
    return found


def closed(mark: str) -> re.Pattern[str]:
    """Where a block that this mark opens ends."""
    return re.compile(CLOSED.replace("FENCE", re.escape(mark)), re.MULTILINE)


def balanced(code: str) -> bool:
    """Whether no text is open at the end of a line."""
    return code.count('"') % 2 == 0 and code.count("'") % 2 == 0


def dedented(block: str) -> str:
    """A block that a list item indents, at the margin; a function's body, which has an indent of its own, as it is."""
    lines = [line for line in block.splitlines() if line.strip()]
    if not lines or not re.match(r"\s+(?:def|class|import|from|@)", lines[0]):
        return block
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    return "\n".join(line[indent:] for line in block.splitlines())
