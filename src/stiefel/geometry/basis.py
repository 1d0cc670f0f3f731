"""W's leading and trailing directions, from the cache that `stiefel init` fills, or solved once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from ..methods import Layer
from ..spectrum import Spectrum, TooFewDirections, Triplets, frobenius_norm
from .spectra import SMALL


def all_small(shapes: Iterable[tuple[int, int]]) -> bool:
    """True for a model of which LAPACK solves every matrix whole in no time: min(m, n) ≤ 512."""
    return all(min(shape) <= SMALL for shape in shapes)


class Basis:
    """The k = r leading and trailing directions of one W (m, n); nothing is solved before it is asked for.

    `exact`: from all triplets, by LAPACK in float64. Otherwise `init`'s own, in float32: where its fast solver made
    them, their span holds 0.999 of the energy that the best k directions hold, and W's spectrum is nearly flat where
    the two spans differ.
    """

    def __init__(self, layer: Layer, *, exact: bool) -> None:
        self.layer, self.exact, self.k = layer, exact, layer.rank

    @property
    def spectrum(self) -> Spectrum:
        """Under the keys of `init`'s own entries."""
        return self.layer.spectrum

    @property
    def full(self) -> Triplets:
        """All positive triplets, float64; O(mn·min(m, n))."""
        return self.spectrum.full

    @cached_property
    def top(self) -> Triplets:
        """The k leading ones, or as many as are positive."""
        if not self.exact:
            try:
                return self.spectrum.top(self.k)
            except TooFewDirections:
                pass
        return self.full.slice(0, self.k)

    @cached_property
    def bottom(self) -> Triplets:
        """The k trailing positive ones, or as many as there are."""
        if not self.exact:
            try:
                return self.spectrum.bottom(self.k)
            except TooFewDirections:
                pass
        rank = len(self.full.S)
        return self.full.slice(max(0, rank - self.k), rank)

    @cached_property
    def norm(self) -> float:
        """‖W‖_F."""
        solved = self.spectrum.solved.get("top")
        return solved.norm if solved is not None else frobenius_norm(self.layer.W)
