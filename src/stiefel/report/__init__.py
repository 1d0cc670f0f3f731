"""Run directories → one self-contained page, a table, and a figure."""

from .page import write_report
from .reward_figure import write_figure
from .terminal import print_table

__all__ = ["print_table", "write_figure", "write_report"]
