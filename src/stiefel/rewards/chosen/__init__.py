"""A completion of multiple choice → the letter that it settles on."""

from __future__ import annotations

from .read import MOST, PRECEDENCE, letter

__all__ = ["MOST", "PRECEDENCE", "letter"]
