"""One matrix and its triplets in, an adapter's factors out: a record and a function a method, and how methods compose.

Open spectral.py first, for the shortest ones; registry.py lists all, method.py says what a record holds.
"""

from __future__ import annotations

from .compose import Composition, compose, recorded, trainable_count, unused_settings, used_settings
from .geora import euclidean_mask, overlap, spectral_mask
from .layer import Factors, Layer, require_rank
from .method import Claims, Method, Wanted, method
from .option import Choice, Fraction, Option, Value
from .registry import METHODS, STARTS, find_method
from .table import as_records, print_table

__all__ = [
    "METHODS",
    "STARTS",
    "Choice",
    "Claims",
    "Composition",
    "Factors",
    "Fraction",
    "Layer",
    "Method",
    "Option",
    "Value",
    "Wanted",
    "as_records",
    "compose",
    "euclidean_mask",
    "find_method",
    "method",
    "overlap",
    "print_table",
    "recorded",
    "require_rank",
    "spectral_mask",
    "trainable_count",
    "unused_settings",
    "used_settings",
]
