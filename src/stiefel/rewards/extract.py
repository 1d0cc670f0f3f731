"""Where the answer stands in a completion."""

from __future__ import annotations

import re

from .hedges import MAYBE, MAYBE_CJK

THINKING = "</think>"
OPENED = "<think>"
ANSWERED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
LONGEST = 5_000  # characters in a box
# between two boxes that are one answer: "and", "or", "or maybe"
NEIGHBOURS = re.compile(rf"[\s,;(]*(?:and|or)?[\s,;]*(?:(?:{MAYBE}|{MAYBE_CJK})[\s,;]*)*", re.IGNORECASE)
BOXES_READ = 20  # from the end
# "Answer: 5", "**Final answer:** 5", "The final answer is: 5"; what follows on its line is the answer
SAID = (
    r"(?:the\s+)?(?:final\s+)?answer(?:\s+is)?|result|(?:finale\s+)?antwort|(?:la\s+)?respuesta(?:\s+final)?|(?:la\s+)?r[ée]ponse(?:\s+finale)?"
    r"|(?:a\s+)?resposta(?:\s+final)?|(?:la\s+)?risposta(?:\s+finale)?|antwoord|odpowied[źz]|odpov[ěe]ď|cevap|svar|结果|結果|vastaus"
    r"|(?:окончательный\s+)?ответ|відповідь|(?:所以|因此|故)?(?:最终|最後の?|最終)?(?:的)?(?:答案|答え|回答|解答|答)(?:是|为|為|は)?"
    r"|(?:최종\s*)?(?:정답|답|답변)(?:은|는)?|الجواب|الإجابة|उत्तर|đáp\s*án|đáp\s*số|คำตอบ(?:คือ)?"
)
ANSWER_LINE = re.compile(rf"(?im)^[ \t>*#_`-]*(?:{SAID})[*_`]*\s*:[*_`]*[ \t]*(\S[^\n]*)$")
# what stands in a box that is only talked of
PLACEHOLDER = re.compile(
    r"(?:\\[,;:! ]|\\(?:text|mathrm)\s*\{|[\s{}.…_?$<>\[\]]|\\[lc]?dots|\\(?:square|Box|_|blank)|"
    r"\\[hv]?phantom\s*\{[^{}]*\})*"
    r"(?:(?:(?:insert|put|write|place)\s+)?(?:the\s+|your\s+|my\s+)?(?:final\s+|numerical\s+|correct\s+)?"
    r"(?:answer|result|number|solution|value|content|expression)(?:\s+here)?|你的答案|答案)?"
    r"[\s{}.…_?$<>\]]*\\?",
    re.IGNORECASE,
)


def after_thinking(completion: str) -> str:
    """What follows the last `</think>`; all of it where nothing was thought; nothing where the thinking has no end."""
    _, mark, answer = completion.rpartition(THINKING)
    if mark:
        return answer
    return "" if OPENED in completion else completion


def answered(text: str) -> str:
    """What stands in the last `<answer>…</answer>`; all of the text where there is none."""
    found: list[str] = ANSWERED.findall(text)
    return found[-1] if found else text


def last_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{…}` (or `\fbox{…}`, `\boxed 5`) whose braces are closed."""
    for start in reversed([found.end() for found in re.finditer(r"\\(?:boxed|fbox)", text)][-BOXES_READ:]):
        rest = text[start : start + LONGEST].lstrip()
        if not rest.startswith("{"):
            return rest.split(maxsplit=1)[0].rstrip("$.,") if rest else None
        content = braced(rest)
        if content is not None:
            return content
    return None


def all_boxed_at_the_end(text: str) -> str | None:
    r"""The last box, joined by commas to those before it that only "and", "or" or a comma sets apart."""
    boxes: list[tuple[int, int, str]] = []
    for found in list(re.finditer(r"\\(?:boxed|fbox)\s*(?=\{)", text))[-BOXES_READ:]:
        content = braced(text[found.end() : found.end() + LONGEST])
        if content is not None:
            boxes.append((found.start(), found.end() + len(content) + 2, content))
    if not boxes:
        return last_boxed(text)
    kept = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        between = re.sub(r"\\text\{([^}]*)\}|\\[,;()\[\] ]|\\quad|\$", r" \1 ", text[box[1] : kept[0][0]])
        if not NEIGHBOURS.fullmatch(between):
            break
        kept.insert(0, box)
    return ", ".join(dict.fromkeys(content for _, _, content in kept))


def last_boxes(text: str) -> str | None:
    r"""As `all_boxed_at_the_end`, past boxes that hold nothing or are only talked of: `\boxed{}`, `\boxed{answer}`."""
    return all_boxed_at_the_end(without_placeholders(text))


def without_placeholders(text: str) -> str:
    """The text without the boxes that hold nothing or are only talked of."""
    kept = []
    for found in list(re.finditer(r"\\(?:boxed|fbox)", text))[-BOXES_READ:]:
        rest = text[found.end() : found.end() + LONGEST].lstrip()
        if rest.startswith("{"):
            content = braced(rest)
            empty = content is not None and PLACEHOLDER.fullmatch(content) is not None
            end = text.find("{", found.end()) + len(content or "") + 2
        else:
            empty, end = bare(rest) is None, found.end()
        if empty:
            kept.append((found.start(), end))
    for start, end in reversed(kept):
        text = f"{text[:start]}{' ' * 6}{text[end:]}"
    return text


def bare(rest: str) -> str | None:
    r"""What follows a `\boxed` without braces, where that is a number, a letter or a command."""
    match = re.match(r"[-+]?\$?\d[^\s]*|\\[A-Za-z]+[^\s]*|[A-Za-z](?![A-Za-z])[^\s]*", rest)
    return match[0] if match else None


def braced(text: str) -> str | None:
    """The content of the group that opens at the text's first character, None where it never closes."""
    depth, escaped = 0, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[1:position].strip()
    return None


def answer_line(text: str) -> str | None:
    """What stands in the last `<answer>…</answer>`; else what follows the last line's "Answer:"."""
    inner: list[str] = ANSWERED.findall(text)
    if inner and inner[-1].strip():
        return answer_line(inner[-1]) or inner[-1].strip()
    lines: list[str] = ANSWER_LINE.findall(text)
    return lines[-1].strip().strip("*_`").strip() if lines else None
