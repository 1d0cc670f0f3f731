"""The singular triplets that a method asks for: read from the cache, or solved at most once per matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ..errors import UserError
from .cache import Entry, SpectrumCache
from .linalg import Triplets, exact_svd, frobenius_norm, numerical_rank, rounding_angle
from .product import PROMISED, product_triplets
from .solver import Solution, bottom_triplets, top_triplets
from .threads import all_threads, one_thread

Side = Literal["top", "bottom"]
# what must be right: the energy of the triplets, their product U diag(S) Vh, or that to the last bits, in float64
Converge = Literal["energy", "product", "mask"]
Promise = Literal["energy", "product"]
Solver = Literal["auto", "exact", "fast"]
SOLVERS: tuple[Solver, ...] = ("auto", "exact", "fast")
CPU = torch.device("cpu")
SMALL = {"energy": 128, "product": 128, "mask": 128}  # min(m, n) up to which LAPACK is as quick
NARROW = 256  # min(m, n) up to which all of WᵀW is cheaper than a Krylov space
LARGE = 1024  # min(m, n) beyond which LAPACK gets torch's own number of threads, on which its last bits then depend


class TooFewDirections(UserError):
    """A matrix with fewer positive singular values than were asked for."""


@dataclass(frozen=True)
class Solved:
    """r triplets in float32 (float64 for a mask), ‖W‖_F, who solved for them and how well."""

    triplets: Triplets
    norm: float
    solver: str  # exact, fast, or fast (float64)
    residual: float  # ‖Wᵀu − σv‖/σ₁ or ‖Wv − σu‖/σ₁ at worst; 0 where LAPACK solved
    angle: float = 1.0  # a bound of the sine of the largest angle to W's own spans; 1 where none is known
    notes: Mapping[str, float] = field(default_factory=dict)  # of how W was made, where it was made

    @property
    def energy(self) -> float:
        """Σσ²/‖W‖_F², the captured share."""
        return float(self.triplets.S.to(torch.float64).square().sum()) / self.norm**2

    @property
    def promise(self) -> Promise:
        """What is right to a thousandth: the product U diag(S) Vh, or the energy alone.

        Where σ_r and the next value nearly meet, [W]_r turns with the last bits of W: the product is ill-posed.
        """
        return "product" if self.angle <= PROMISED else "energy"


class Spectrum:
    """W = UΣVᵀ of one weight matrix W (out, in); nothing is computed before `top` or `bottom` is called.

    `matrix` gives W in float32 on `device`, `digest` its fingerprint and `notes` what is kept beside its triplets, each
    only when it is needed. `auto` takes the
    fast solver and falls back to the exact one where it did not converge; `fast` raises there instead. What is found is
    a function of W, the rank and these settings alone: whatever was asked before, or is in the cache.
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, int],
        matrix: Callable[[], Tensor],
        digest: Callable[[], str],
        solver: Solver = "auto",
        converge: Converge = "energy",
        cache: SpectrumCache | None = None,
        device: torch.device = CPU,
        *,
        notes: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self.name, self.shape, self.device = name, shape, device
        self.matrix, self.digest = matrix, digest
        self.solver, self.converge, self._notes = solver, converge, notes
        self.cache = cache if min(shape) > SMALL[converge] else None
        self.solved: dict[Side, Solved] = {}

    def top(self, r: int) -> Triplets:
        """The r largest triplets, in float32 (float64 for a mask)."""
        return self.side("top", r).triplets

    def bottom(self, r: int) -> Triplets:
        """The last r of the k positive triplets, in float32: never null directions."""
        return self.side("bottom", r).triplets

    @cached_property
    def full(self) -> Triplets:
        """The k positive triplets in float64, by LAPACK."""
        W = self.matrix()
        with one_thread(), all_threads() if min(self.shape) > LARGE else nullcontext():
            triplets = exact_svd(W)
        return triplets.slice(0, numerical_rank(triplets.S, torch.Size(self.shape)))

    @property
    def notes(self) -> Mapping[str, float]:
        """What is kept beside the triplets of a matrix that was made; asking makes it."""
        return self._notes()

    def side(self, side: Side, r: int) -> Solved:
        """One side's r triplets and what is known of them."""
        known = self.solved.get(side)
        if known is None or len(known.triplets.S) != r:
            with one_thread():
                self.solved[side] = known = self._cached(side, r) or self._solve(side, r)
        return known

    def _cached(self, side: Side, r: int) -> Solved | None:
        if self.cache is None:
            return None
        entry = self.cache.get(self._key(side, r))
        if entry is None:
            return None
        triplets = Triplets(*(tensor.to(self.device) for tensor in entry.triplets))
        return Solved(triplets, entry.norm, entry.solver, entry.residual, entry.angle, entry.notes)

    def _key(self, side: Side, r: int) -> str:
        # of one rank: the solver's r triplets are not the first of more to the bit, and a start must not depend on
        # what was solved before
        return f"{self.digest()}-{side}-{r}-{self.solver}-{self.converge}-{self.device.type}"

    def _solve(self, side: Side, r: int) -> Solved:
        W = self.matrix()
        norm = frobenius_norm(W)
        found, solver = self._fast(side, r, W, norm) if norm else (None, "")
        if found is not None:
            triplets = self._kept(found.triplets).slice(0, r)  # in rows, as from the cache: BLAS rounds by layout
            solved = Solved(triplets, norm, solver, found.residual, found.angle, self._notes())
        elif self.solver == "fast" and norm and not self._small(r):
            raise UserError(
                f"{self.name} {self.shape}: the fast solver did not converge at rank {r}",
                "its spectrum is too flat, or too close to rank-deficient for float32",
                "use the solver auto, which solves such matrices exactly",
            )
        else:
            k = len(self.full.S)
            self._require(r, k)
            start, stop = (0, r) if side == "top" else (k - r, k)
            angle = rounding_angle(self.full.S, start, stop, self.shape)
            solved = Solved(self._kept(self.full.slice(start, stop)), norm, "exact", 0.0, angle, self._notes())
        if self.cache is not None:
            entry = Entry(solved.triplets, norm, solved.solver, solved.residual, solved.angle, solved.notes)
            self.cache.put(self._key(side, r), entry)
        return solved

    def _kept(self, triplets: Triplets) -> Triplets:
        return triplets.to(torch.float64 if self.converge == "mask" else torch.float32)

    def _small(self, r: int) -> bool:
        """True where LAPACK is as quick, which `fast` uses there too."""
        return min(self.shape) <= max(SMALL[self.converge], 2 * r)

    def _fast(self, side: Side, r: int, W: Tensor, norm: float) -> tuple[Solution | None, str]:
        """The fast solver's triplets where it is asked for, applies and is sure of them."""
        if self.solver == "exact" or self._small(r):
            return None, ""
        shift = 0 if 2.0**-20 <= norm <= 2.0**20 else -math.frexp(norm)[1]
        if not shift:
            return self._sure(side, r, W)
        # its float32 squares would leave the range of numbers; in two steps, since 2^shift may not be one either
        found, solver = self._sure(side, r, W * 2.0 ** (shift // 2) * 2.0 ** (shift - shift // 2))
        if found is None:
            return None, ""
        U, S, Vh = found.triplets
        return Solution(Triplets(U, S * 2.0**-shift, Vh), found.residual, found.angle), solver

    def _sure(self, side: Side, r: int, W: Tensor) -> tuple[Solution | None, str]:
        """The fast solver's triplets of a W whose squares are numbers."""
        if side == "top":
            found = top_triplets(W, r) if self.converge == "energy" and min(self.shape) > NARROW else None
            if found is None:
                found = product_triplets(W, r, precise=self.converge == "mask")
            if float(found.triplets.S[-1]) <= RESOLVED * float(found.triplets.S[0]):
                return None, ""  # the r-th value is too close to zero to tell it from a null direction
            return found, "fast"
        found = bottom_triplets(W, r)
        if found is not None:
            return found, "fast"
        return bottom_triplets(W, r, torch.float64), "fast (float64)"

    def _require(self, r: int, k: int) -> None:
        if r > k:
            raise TooFewDirections(
                f"{self.name} {self.shape} has only {k} positive singular values, fewer than rank {r}"
                if k
                else f"{self.name} {self.shape} is all zeros",
                "directions beyond them are arbitrary null directions" if k else "it has no singular directions",
                f"use a rank of at most {k}, or leave this layer out of the targets"
                if k
                else "leave this layer out of the targets",
            )


RESOLVED = 1e-5  # σ_r/σ₁ that float32 tells from zero
