"""The singular triplets that a method asks for, solved at most once per matrix."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from .errors import UserError
from .linalg import Triplets, exact_svd, numerical_rank


class Spectrum:
    """W = UΣVᵀ of one weight matrix W (out, in); nothing is computed before `top` or `bottom` is called."""

    def __init__(self, name: str, W: Tensor) -> None:
        self.name, self.W = name, W

    @cached_property
    def full(self) -> Triplets:
        """The k positive triplets in float64."""
        triplets = exact_svd(self.W)
        return triplets.slice(0, numerical_rank(triplets.S, self.W.shape))

    def top(self, r: int) -> Triplets:
        """The r largest triplets, in float32."""
        self._require(r)
        return self.full.slice(0, r).to(torch.float32)

    def bottom(self, r: int) -> Triplets:
        """The last r of the k positive triplets, in float32: never null directions."""
        self._require(r)
        k = len(self.full.S)
        return self.full.slice(k - r, k).to(torch.float32)

    def _require(self, r: int) -> None:
        k = len(self.full.S)
        if r > k:
            raise UserError(
                f"{self.name} {tuple(self.W.shape)} has only {k} positive singular values, fewer than rank {r}",
                "directions beyond them are arbitrary null directions",
                f"use a rank of at most {k}, or leave this layer out of the targets"
                if k
                else "the matrix is zero: leave this layer out of the targets",
            )
