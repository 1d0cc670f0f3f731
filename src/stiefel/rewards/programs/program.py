"""The program in a completion: found by its marks, never parsed here, as a hostile text could bring a parser down."""

from __future__ import annotations

import re
from collections.abc import Collection

from .fences import CLOSING, LANGUAGE, fences, tagged

MARKED = re.compile(r"\[(?:BEGIN|PYTHON)\]\s*+(.*?)(?:\[(?:DONE|/PYTHON)\]|\Z)", re.DOTALL)
CODE = re.compile(r"^(?:def|class|async|import|from|@)(?![\w'])[^\n]*+", re.MULTILINE)
# a line at the margin that is a sentence: a capital, then words and no operators
PROSE = re.compile(r"^[A-Z][a-z']*+(?:,?[ ][\w'`()\-]++)++[.:!]?+[ \t]*+$", re.MULTILINE)
INDENTED = re.compile(r"\s*\n?[ \t]+\S")
# where a base model that continues a function starts something else (Chen et al. 2021, arXiv:2107.03374, §3.1 and the
# stop sequences of its evaluation): the next text at the margin
NEXT_TOP_LEVEL = re.compile(r"\n(?=[^\s#)\]}])")
DEFINED = re.compile(r"^(?:(?:async[ ]+)?(?:def|class)[ ]++(\w++)|(\w++)[ ]*+(?::[^=\n]*+)?=)", re.MULTILINE)
FUTURE = re.compile(r"^from __future__ import [^\n]*+\n?", re.MULTILINE)


def find_program(text: str, entries: Collection[str] = ()) -> str:
    """The completion's program: the last fenced block, that defines one of `entries` where one does, with the earlier
    blocks whose definitions it uses; else what HTML's tags hold; else `[BEGIN]…[DONE]`; else the text without the
    sentences around it.

    A fence that a prompt opened is closed by the first fence of the completion; its language may stand before it.
    """
    text = LANGUAGE.sub("", text, count=1)
    closing = CLOSING.search(text)
    if closing and continues_code(text[: closing.start()]):
        return text[: closing.start()]
    fenced = fences(text)
    python = [fence for fence in fenced if fence.python] or [
        fence for fence in fenced if defined(fence.block) & set(entries)
    ]
    python = python or tagged(text)
    blocks = [fence.block for fence in python]
    if blocks:
        defining = [number for number, block in enumerate(blocks) if defined(block) & set(entries)]
        candidates = defining or ([] if entries else range(len(blocks)))
        marked_so = [number for number in candidates if python[number].named]  # a bare one may be what it prints
        chosen = (marked_so or defining or [len(blocks) - 1])[-1]
        return with_what_it_uses(blocks[chosen], blocks[:chosen])
    marked: list[str] = MARKED.findall(text)
    return marked[-1] if marked else without_sentences(text)


def continues_code(before: str) -> bool:
    """Whether the text before a bare fence is code, and no sentence that introduces some."""
    return "```" not in before and bool(INDENTED.match(before) or CODE.match(before.lstrip("\n")))


def defined(program: str) -> set[str]:
    """The names that a program defines at its margin."""
    return {name for pair in DEFINED.findall(program) for name in pair if name}


def with_what_it_uses(program: str, earlier: list[str]) -> str:
    """A block after those before it that define what it uses and does not define itself."""
    for block in reversed(earlier):
        missing = defined(block) - defined(program)
        if missing & set(re.findall(r"\w+", program)):
            program = f"{block}\n{program}"
    return program


def without_sentences(text: str) -> str:
    """Bare code without the sentences before and after it; text without a definition at its margin as it is."""
    start = CODE.search(text)
    if start is None:
        return text
    before = text[: start.start()]
    code = text[start.start() :] if PROSE.search(before) or before.rstrip().endswith((":", "!", ".")) else text
    for sentence in PROSE.finditer(code, 1):
        head = code[: sentence.start()]
        if head.count('"""') % 2 == 0 and head.count("'''") % 2 == 0:
            return head
    return code


def whole_program(text: str, prompt: str, entry: str) -> str:
    """A program that defines `entry`: the completion's own, after the prompt's imports and helpers, or the prompt with
    the body that the completion continues it with, up to the next text at the margin.
    """
    program = find_program(text, [entry])
    if entry in defined(program):
        return after_imports(program, before_function(prompt, entry))
    body = NEXT_TOP_LEVEL.split(f"\n{program}" if not program.startswith("\n") else program, maxsplit=1)[0]
    return f"{prompt}{body.removeprefix(chr(10)) if prompt.endswith(chr(10)) else body}\n"


def after_imports(program: str, before: str) -> str:
    """A program behind what it may rely on; what it imports from the future comes first."""
    future = "".join(FUTURE.findall(program))
    return f"{future}{before}\n{FUTURE.sub('', program) if future else program}"


def before_function(prompt: str, entry: str) -> str:
    """What a prompt has before the function to write: imports and helpers."""
    found = re.search(rf"^(?:async[ ]+)?def[ ]+{re.escape(entry)}\b", prompt, re.M)
    return prompt[: found.start()] if found else ""
