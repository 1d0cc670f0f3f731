"""W's leading and trailing directions, from the cache that `stiefel init` fills, or solved once."""

from __future__ import annotations

from functools import cached_property

from ..linalg import Triplets, frobenius_norm
from ..methods import Layer
from ..spectrum import Spectrum
from .spectra import SMALL


class Basis:
    """The singular directions of one W (m, n) that the figures refer to; nothing is solved before it is asked for.

    Up to min(m, n) = 512 all triplets by LAPACK, in float64. Beyond, those of the fast solver, whose span holds 0.999
    of the energy that the best k directions hold: W's spectrum is nearly flat where two of them differ.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer, self.small = layer, min(layer.shape) <= SMALL
        self.k = layer.rank

    @cached_property
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
        return self.full.slice(0, self.k) if self.small else self.spectrum.top(self.k)

    @cached_property
    def bottom(self) -> Triplets:
        """The k trailing positive ones."""
        rank = len(self.full.S) if self.small else 0
        return self.full.slice(max(0, rank - self.k), rank) if self.small else self.spectrum.bottom(self.k)

    @cached_property
    def norm(self) -> float:
        """‖W‖_F."""
        solved = self.spectrum.solved.get("top")
        return solved.norm if solved is not None else frobenius_norm(self.layer.W)
