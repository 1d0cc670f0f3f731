"""The forms in which an answer is given, as patterns."""

from __future__ import annotations

import re
from functools import cache

from . import words
from .standing import BEGUN, CLOSING, ENDED, OPENING

NOUN = re.compile(
    rf"(?i:(?P<answer>(?:(?:\b|(?<=_))(?:{words.ANSWER})\b|{words.ANSWER_CJK}))|(?P<option>\b(?:{words.OPTION})\b|{words.OPTION_CJK}))"
)
CHOOSING = re.compile(rf"(?i:\b(?:{words.CHOOSING})\b|{words.CHOOSING_CJK})")
NAMED = re.compile(
    rf"[\s:*_]*(?i:(?:la|el|il|die|de)\s+)?(?i:(?:(?:the|my)\s+)?(?:{words.OPTION}|answer|{words.OPTION_CJK})(?![A-Za-z])\s*:?)?"
)
TOKEN = re.compile(
    rf"[\s*_`\"'~(),]*(?:(?i:(?:{words.BETWEEN}|{words.OPTION})(?![\w'’])|{words.BETWEEN_CJK}|{words.OPTION_CJK})|"
    r"\([^()\n]{3,30}\)(?=\s*[:*])|[:=>→—–⇒]|-+>?(?=[\s*]))"
)
SIGN = re.compile(r"[\s*_`]*[:=>→—–⇒-]")
HYPOTHETICAL = re.compile(
    r"(?i:\b(?:if|suppose|supposing|assume|assuming|whether|unless|(?:one|you|some|students?|people|they|many|we)\s+"
    r"(?:(?:might|may|could|would)\s+(?:be\s+tempted\s+to\s+)?|often\s+|wrongly\s+|mistakenly\s+)+(?:\w+)?|tempt\w+\s+to(?:\s+\w+)?|"
    r"mistake\s+(?:is|would\s+be)\s+to(?:\s+\w+)?|(?:not|n['’]t)\s+(?:mean|the\s+case|true|think|believe|say)|"
    r"(?:students?|people|many|some)(?:\s+who)?(?:\s+\w+)?)"
    r"(?:\s+(?:that|it|the|is|correct|right|final|best|we|i|you|one|they|were|to)){0,4})\s*$"
)
NOT = re.compile(
    rf"(?i:(?:\b(?:{words.NEGATED}|{words.REJECTED})|n['’]t)\b[^\S\n]*"
    r"(?:(?:to|be|the|both|either|is|for|with|it|want|would|out|option|choice|think|believe|say|that)\s+){0,4})$|"
    rf"(?:{words.NEGATED_CJK})[能应該该会可以要]{{0,2}}\s*$"
)
NEGATION = re.compile(rf"(?i:(?:\b(?:{words.NEGATED})|n['’]t)\b)|{words.NEGATED_CJK}")
MISTAKEN = re.compile(rf"(?i:\b(?:{words.MISTAKEN})\s+)$|(?:{words.MISTAKEN_CJK})\s*$")
NO = re.compile(r"(?i:\bno[ ]+)$")
SAYING = re.compile(
    rf"(?i:\b(?:{words.SAYS})(?:\s+that)?(?:\s+it(?:\s+is|['’]s))?(?:\s+(?:the\s+)?(?:answer|option|choice|letter))?(?:\s+is)?)(?=[\s:(*])"
)
SENTENCE = re.compile(r"[^\n.!?;]{0,200}(?:[.!](?=[*\s]|$))?")
SUBJECT = (
    r"(?:(?m:^)|[^\w\s]|\b(?i:think|believe|say|guess|conclude|option|choice|answer|letter|statement|so|thus|hence|therefore|clearly|only|that|and|but|then|"
    r"opción|opção|antwort|la|el|réponse|opzione|alternativa)(?=\s)|(?<=[\u3000-\u9fff\uac00-\ud7af]))"
)
SO = re.compile(
    r"(?i:(?P<turn>\b(?:no|actually|wait|rather|correction|sorry|make\s+that)\b[,:]*(?:\s*(?:it\s+is|it['’]s))?|¬[\s.,;:—–-]*(?:(?:but|rather|instead)\b)?(?:\s*(?:it\s+is|it['’]s|rather))?)|"
    r"\b(?:so|thus|hence|therefore|leaving|leaves?(?:\s+(?:us|me|only))?(?:\s+with)?|by\s+elimination|elimination\s+(?:gives|yields)|ergo|es\s+ist|"
    r"c['’]est(?:\s+(?:la\s+)?réponse)?|(?:es|è|é)\s+(?:la|(?-i:a))|it['’]s|it\s+is|it\s+(?:must|has\s+to|should)\s+be|"
    r"it\s+(?:appears|seems|looks)\s+(?:to\s+be|like|that\s+it\s+is)|that['’]s|i(?:['’]d|\s+would)?\s+say|i(?:['’]d|\s+would)?\s+guess|my\s+(?:guess|pick)\s+is|i\.e\.|namely|"
    r"finally|deshalb|por\s+(?:lo\s+)?tanto|donc|quindi|portanto|logo|dus)[,:]*|因此[,]?|所以[,]?|したがって[,]?|따라서[,]?)"
    r"(?i:\s*(?:only|just|(?:most\s+|very\s+)?likely|probably|clearly|certainly|definitely|it\s+is|it['’]s|it\s+must\s+be)(?![\w'’]))?(?i:\s*(?:option|choice|answer)(?!\w))?"
)
TERMINAL = re.compile(rf"(?:{CLOSING})*(?:[.!]+(?:{CLOSING})*(?=\s|$)|\s*(?:$|\n))")
INITIAL = re.compile(
    r"(?i:(?:^|[\n.!?:;,—–]|¬|\b(?:so|thus|hence|therefore|actually|no|is|be|it['’]s|i\.e\.|namely|say|finally))[\s*_]*)$"
)
LOWER = re.compile(r"\s+(?!is\b)[a-z]")
CONDITION = re.compile(r"\s+(?i:if|when|where|unless|only\s+if)\b")
THAT_FITS = re.compile(r"\s+(?i:that|which|remaining|left|consistent|matching)\b")
# "Answer: As shown above, D"
INTRODUCED = re.compile(
    r"[\s*_:\"'=-]*(?i:as|in|based|from|given|by|after|according|considering|overall|ultimately|finally|following|using|per|because|since|"
    r"having|due|thanks|under|with|for|all\s+in\s+all|to\s+(?:sum|conclude))\b[^.!?;:\n]{0,100}?,(?=\s*[*_`\"'(\[]{0,3}[A-Za-z](?![\w'’]))"
)
REFUSING = re.compile(
    r"(?i:[\s*_\"':-]*(?:i\s+(?:do\s+not|don['’]?t|cannot|can['’]?t|am\s+(?:not|un))|i['’]m\s+(?:not|un)|do\s+not\s+know|don['’]?t\s+know|"
    r"unknown|unsure|not\s+sure|none\b|neither\b|no\s+(?:answer|option|choice|correct)|cannot|can['’]?t|insufficient|unclear|n/a\b|\?))"
)

DENYING = (
    r"not|isn['’]t|neither|nor|never|rul(?:e|es|ed|ing)\s+out|eliminat(?:e|es|ed|ing)|exclud(?:e|es|ed|ing)|reject(?:s|ed)?|"
    r"cannot\s+be|can['’]t\s+be|nicht|n['’]est\s+pas|no\s+es|não\s+é|non\s+è|niet|не|değil"
)
FAILING = (
    r"(?:is|was|would\s+be|can\s+be|cannot\s+be|can['’]t\s+be|ist|est|es|è|é|está|looks|seems|must\s+be)\s+(?:\w+\s+)?"
    rf"(?:{words.WRONG})\b|(?:isn|wasn|can|doesn|couldn)['’]t\b|does\s+not\b|cannot\b|fails?\b|n['’]est\s+pas|no\s+es|"
    r"não\s+é|non\s+è|değil"
)


@cache
def right(letters: str) -> re.Pattern[str]:
    """A letter that is said to be right."""
    both = f"{letters}{letters.lower()}"
    return re.compile(
        rf"{SUBJECT}{OPENING}{{0,8}}{BEGUN}(?:([{letters}]){ENDED}|(?<=\()([{both}])(?=\))){CLOSING}{{0,6}}"
        rf"(?:\s*(?i:{words.RIGHT})(?!\w)|\s*(?:{words.RIGHT_CJK}))"
    )


@cache
def only(letters: str) -> re.Pattern[str]:
    """The one letter that fits."""
    return re.compile(
        rf"\b(?i:only)\s{OPENING}{{0,8}}{BEGUN}([{letters}]){ENDED}{CLOSING}{{0,6}}\s+(?i:{words.FITS})\b"
    )


@cache
def denied(letters: str) -> tuple[re.Pattern[str], ...]:
    """Letters that are said to be wrong: "not B", "rule out (A), (B) and (C)", and "B is wrong"."""
    letter = rf"(?:[{letters}]{ENDED}|(?<=\()[{letters.lower()}](?=\)))"
    one = rf"\s*(?i:(?:option|choice|letter)\s)?{OPENING}{{0,8}}{BEGUN}{letter}{CLOSING}{{0,6}}"
    return (
        re.compile(
            rf"(?i:\b(?:{DENYING})(?:\s+(?:the|option|choice|letter|answer))*)(?:\s*(?i:option|choice|letter))?"
            rf"{one}(?!(?<=[AI])\s+(?!(?:but|and|or|nor|so|because|since|as|is)\b)[a-z])(?:(?:\s*,{one})*(?:\s*,)?\s*(?i:and|or|nor){one}(?!\s+is\b))?"
        ),
        re.compile(
            rf"{OPENING}{{0,8}}{BEGUN}{letter}{CLOSING}{{0,6}}(?:(?i:\s+(?:{FAILING}))|\s*(?:{words.WRONG_CJK}))"
        ),
    )
