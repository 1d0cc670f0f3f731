"""A grid in, a run directory for each of its cells out, several at a time.

Open comparison.py first; words.py carries what the workers print.
"""

from __future__ import annotations

from .comparison import compare

__all__ = ["compare"]
