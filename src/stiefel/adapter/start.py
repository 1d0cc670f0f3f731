"""One matrix's start: from the settings and the matrix to its factors, and what is known of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import UserError, nearest, require_number
from ..methods import Composition, Factors, Layer, Value, Wanted, require_rank, unused_settings
from ..model import Target
from ..spectrum import SOLVERS, Solver, SpectrumCache, one_thread
from .certificate import Certificate, LayerCertificate, WeightCertificate, certify, product_norm

RANK, ALPHA = 16, 32  # where neither is given

Progress = Callable[[str, int, int], None]  # (layer, its number, how many)


@dataclass(frozen=True)
class Settings:
    """A method and all that its start depends on beside the weights."""

    composition: Composition
    r: int
    alpha: int
    dropout: float
    targets: str | list[str]
    seed: int
    options: dict[str, Value]
    solver: Solver
    cache: SpectrumCache | None

    @property
    def scaling(self) -> float:
        """The s of s·BA."""
        return self.composition.scaling(self.r, self.alpha)

    def wanted(self, weights: Mapping[str, tuple[int, ...]], *, conv1d: bool) -> Wanted:
        """What PEFT's settings are made of."""
        return Wanted(
            weights=weights,
            rank=self.r,
            alpha=self.alpha,
            dropout=self.dropout,
            seed=self.seed,
            options=self.options,
            everything=self.targets == "all-linear",
            conv1d=conv1d,
        )

    def certificate(
        self,
        layers: tuple[LayerCertificate, ...] = (),
        weights: tuple[WeightCertificate, ...] = (),
        files: dict[str, str] | None = None,
    ) -> Certificate:
        """The certificate of what was made with these settings."""
        unused = unused_settings(self.composition, self.options)
        return Certificate(
            method=self.composition.name,
            anchored=self.composition.anchored,
            rank=None if "rank" in unused else self.r,
            alpha=None if "alpha" in unused else self.alpha,
            seed=self.seed,
            options=self.options,
            targets=self.targets,
            layers=layers,
            weights=weights,
            files=files or {},
        )


def make_settings(
    composition: Composition,
    r: int | None,
    alpha: int | None,
    seed: int,
    solver: str,
    options: Mapping[str, Value],
    *,
    targets: str | list[str] = "all-linear",
    dropout: float = 0.0,
    cache: bool = True,
) -> Settings:
    """The checked settings; raises UserError for a value that no adapter can have, or that the method would drop."""
    resolved = composition.resolve_options(options)
    unused = unused_settings(composition, resolved)
    given = {
        "rank": r is not None,
        "alpha": alpha is not None,
        "dropout": dropout != 0,
        "targets": targets != "all-linear",
    }
    for name in sorted(unused):
        if given[name]:
            raise UserError(
                f"{composition.name} has no use for the setting {name}",
                "it would be dropped in silence",
                f"leave it out, or give a method that has a {name.removesuffix('s')}",
            )
    r, alpha = RANK if r is None else r, ALPHA if alpha is None else alpha
    check_settings(r, alpha, dropout, seed)
    for known in SOLVERS:
        if known == solver:
            store = SpectrumCache() if cache else None
            return Settings(composition, r, alpha, dropout, targets, seed, resolved, known, store)
    raise UserError(f"unknown solver {solver!r}", "there is no such solver", nearest(solver, SOLVERS))


def check_settings(r: int, alpha: int, dropout: float, seed: int) -> None:
    """Raise for a rank, alpha, dropout or seed that no adapter can have."""
    require_number("rank r", r, lambda value: value >= 1, "at least 1", whole=True)
    require_number("alpha", alpha, lambda value: value >= 1, "at least 1", whole=True)
    require_number("dropout", dropout, lambda value: 0 <= value < 1, "at least 0 and below 1", whole=False)
    require_number("seed", seed, lambda value: 0 <= value < 2**63, "at least 0", whole=True)


def layer_of(name: str, base: Tensor, settings: Settings) -> Layer:
    """A matrix as a method sees it."""
    return Layer(
        name, base, settings.r, settings.scaling, settings.seed, settings.options, settings.solver, settings.cache
    )


def starts(
    targets: Sequence[Target], weight: Callable[[Target], Tensor], settings: Settings, progress: Progress | None
) -> Iterator[tuple[Target, Factors, LayerCertificate]]:
    """Every target's start, one after the other; a weight is asked for when its turn comes, and not kept.

    A rank that one of them cannot have raises before the first is solved.
    """
    for target in targets:
        require_rank(target.name, target.shape, settings.r)
    for number, target in enumerate(targets, start=1):
        if progress is not None:
            progress(target.name, number, len(targets))
        yield target, *start_of(target.name, weight(target), settings)


def start_of(name: str, base: Tensor, settings: Settings) -> tuple[Factors, LayerCertificate]:
    """One matrix's factors, on the CPU in float32, and what is known of them.

    The same bits on any number of threads, but where LAPACK solves a large matrix whole.
    """
    with one_thread():
        return measured_start(name, base, settings)


def measured_start(name: str, base: Tensor, settings: Settings) -> tuple[Factors, LayerCertificate]:
    """The same, on the threads that there are."""
    began = time.perf_counter()
    method = settings.composition.start
    assert method is not None
    assert method.factors is not None
    layer = layer_of(name, base, settings)
    if settings.composition.has("dora"):
        require_directions(name, base)
    found = method.factors(layer)
    factors = Factors(found.A.to("cpu", torch.float32), found.B.to("cpu", torch.float32), found.statistics)
    certificate = certify(layer, factors, method.claims, time.perf_counter() - began)
    A, B = as_saved(factors, anchored=method.anchored)
    return factors, replace(certificate, start_error=start_error(B, A, settings.scaling, certificate.norm))


def require_directions(name: str, base: Tensor) -> None:
    """Raise for a row of zeros, whose direction DoRA would divide by its length."""
    zero = (base == 0).all(dim=1)
    if zero.any():
        raise UserError(
            f"{name} has {int(zero.sum())} rows of zeros, the first is row {int(zero.int().argmax())}",
            "DoRA divides every row by its length",
            "leave this layer out of the targets, or use a method without dora",
        )


def as_saved(factors: Factors, *, anchored: bool) -> tuple[Tensor, Tensor]:
    """The LoRA that a start is saved as, (A, B); anchored [A₀; ΔA] and [ΔB, B₀] with ΔA = ΔB = 0."""
    A, B = factors.A, factors.B
    if not anchored:
        return A, B
    # A + 0 turns −0 into +0, as adding ΔA = 0 does in the attached adapter
    return torch.cat([A + 0.0, torch.zeros_like(A)]), torch.cat([torch.zeros_like(B), B], dim=1)


def start_error(B: Tensor, A: Tensor, scaling: float, norm: float) -> float:
    """‖W_eff − W‖_F/‖W‖_F of a LoRA (B, A), measured from its factors."""
    change = scaling * product_norm(B, A)
    return change / norm if norm else change
