"""A grid in, a run directory for each of its cells out, several at a time.

Open comparison.py first.
"""

from __future__ import annotations

from .comparison import compare

__all__ = ["compare"]
