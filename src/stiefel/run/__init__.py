"""A recipe in, a run directory out: metrics, samples, scores, checkpoints and the trained adapter.

Open run.py first; checks.py comes before anything is loaded, which begun.py does; attempt.py trains, outcome.py is what
is left.
"""

from __future__ import annotations

from .checks import check_names, check_run, not_applicable
from .deferred import measure_test, test_is_measured
from .directory import differences, finished, status
from .loading import adapted, load_pair
from .measurements import BEFORE, BaseSamples, measure_base, read_samples, sample_lines
from .questions import of_the_test
from .reaction import Diverged
from .rehearsal import rehearse, rehearse_start, trained_task
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
    "measure_test",
    "not_applicable",
    "of_the_test",
    "read_samples",
    "rehearse",
    "rehearse_start",
    "sample_lines",
    "status",
    "test_is_measured",
    "train",
    "trained_task",
]
