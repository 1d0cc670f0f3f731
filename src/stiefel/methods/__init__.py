"""The methods: their records, what they do to one matrix, and how they compose."""

from __future__ import annotations

from .compose import Composition, compose, trainable_count, unused_settings, used_settings
from .layer import Factors, Layer, require_rank
from .method import Claims, Method, Wanted, method
from .option import Choice, Fraction, Option, Value
from .registry import METHODS, STARTS, find_method

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
    "compose",
    "find_method",
    "method",
    "require_rank",
    "trainable_count",
    "unused_settings",
    "used_settings",
]
