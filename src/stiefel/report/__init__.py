"""Run directories in, one self-contained page, a table and the papers' figures out.

Open page.py first; runs.py reads the directories, figures/registry.py lists the figures.
"""

from .failures import failure_lines
from .falls import fall_warnings
from .page import write_report
from .reward_figure import write_figure
from .runs import Run, has_rows, read_run, read_runs
from .series import label_of
from .terminal import print_scores, print_table, run_warnings

__all__ = [
    "Run",
    "failure_lines",
    "fall_warnings",
    "has_rows",
    "label_of",
    "print_scores",
    "print_table",
    "read_run",
    "read_runs",
    "run_warnings",
    "write_figure",
    "write_report",
]
