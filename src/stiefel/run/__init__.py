"""A recipe in, a run directory out: metrics, samples, scores, checkpoints and the trained adapter.

Open run.py first; checks.py comes before anything is loaded, which begun.py does; attempt.py trains, outcome.py is what
is left.
"""

from __future__ import annotations

from .checks import check_names, check_run
from .directory import differences, finished, status
from .loading import adapted, load_pair
from .measurements import BEFORE, BaseSamples, measure_base, read_samples, sample_lines
from .reaction import Diverged
from .rehearsal import rehearse, rehearse_start
from .run import train

__all__ = [
    "BEFORE",
    "BaseSamples",
    "Diverged",
    "adapted",
    "check_names",
    "check_run",
    "differences",
    "finished",
    "load_pair",
    "measure_base",
    "read_samples",
    "rehearse",
    "rehearse_start",
    "sample_lines",
    "status",
    "train",
]
