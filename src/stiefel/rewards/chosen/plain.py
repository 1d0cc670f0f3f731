"""Text in one form: full-width, circled and mathematical letters, brackets and colons as ASCII writes them."""

from __future__ import annotations

import re
import unicodedata

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufe0f\ufeff]")
STYLED = (range(0xFF01, 0xFF5F), range(0x24B6, 0x24EA), range(0x1D400, 0x1D800))  # full-width, circled, mathematical
TABLE = {code: unicodedata.normalize("NFKC", chr(code)) for codes in STYLED for code in codes} | str.maketrans(
    "\u3000\u00a0\u2009\u202f。．、،؛؟「」『』【】〔〕《》〈〉“”„«»﹕︰",
    '    ..,,;?""""[][][][]"""""::',
)


def plain(text: str) -> str:
    """The text with every character that only looks different as its ASCII one."""
    return INVISIBLE.sub("", text).translate(TABLE)
