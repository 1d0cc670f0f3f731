"""Model + adapter + task → graded samples, scores, and a directory that holds both."""

from __future__ import annotations

from .run import evaluate
from .sample import Sample

__all__ = ["Sample", "evaluate"]
