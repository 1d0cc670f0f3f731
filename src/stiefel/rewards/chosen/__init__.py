"""A completion of multiple choice in, the letter that it settles on out.

Open read.py first; statements.py reads a sentence, boxes.py a box, words.py has the languages.
"""

from __future__ import annotations

from .read import MOST, PRECEDENCE, letter

__all__ = ["MOST", "PRECEDENCE", "letter"]
