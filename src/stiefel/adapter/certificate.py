"""What an adapter proves about itself: `stiefel.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..artifacts import versions
from ..memory import peak_memory_bytes
from ..methods import Claims, Composition, Factors, Layer, Value, recorded
from ..spectrum import frobenius_norm, orthonormality_error


@dataclass(frozen=True)
class WeightCertificate:
    """One weight of the base that a method without factors stands on, and its digest."""

    name: str  # of a linear layer, or of a parameter
    shape: tuple[int, ...]  # of a linear layer (out, in)
    fingerprint: str


@dataclass(frozen=True)
class LayerCertificate:
    """One target matrix: which base it was made for, and how well the start keeps its promises."""

    name: str
    shape: tuple[int, int]  # (out, in)
    fingerprint: str  # digest of the base matrix's values
    norm: float  # ‖W‖_F
    captured_energy: float  # ‖WQ‖_F²/‖W‖_F², Q an orthonormal basis of A₀'s rows
    orthonormality_error: float  # ‖A₀A₀ᵀ − I‖_max
    anchor_norm: float  # s‖B₀A₀‖_F, 0 where B₀ = 0
    start_error: float  # ‖W_eff − W‖_F/‖W‖_F of the adapter as it was attached
    singular_values: tuple[float, ...]  # the σ kept, of the decomposed matrix; empty where the part is random or none
    solver: str  # exact, fast or fast (float64); empty where nothing was solved
    residual: float  # of the singular pairs, ‖Wᵀu − σv‖/σ₁ at worst
    statistics: dict[str, float]  # the method's own
    seconds: float
    peak_memory_bytes: int  # of the process so far
    # of the triplets, what is right to a thousandth: "product" or "energy"; empty where none were solved, or by an
    # earlier version
    promise: str = ""


@dataclass(frozen=True)
class Certificate:
    """The settings of an adapter, the versions that made it, what it stands on, and the digests of its files."""

    method: str  # the name of a composition
    anchored: bool
    rank: int | None  # None where the method has no use for it, as alpha
    alpha: int | None
    seed: int
    options: dict[str, Value]
    targets: str | list[str]
    layers: tuple[LayerCertificate, ...]  # of a start: its matrices
    weights: tuple[WeightCertificate, ...] = ()  # of a method that stands alone: the weights that it changes
    versions: dict[str, str] = field(default_factory=versions)
    files: dict[str, str] = field(default_factory=dict)  # name → SHA-256, once it is saved

    @property
    def composition(self) -> Composition:
        """The parts of the method; a start of one's own is not imported, and is no more than what is recorded here."""
        return recorded(self.method, anchored=self.anchored, options=self.options)

    @property
    def bases(self) -> tuple[LayerCertificate | WeightCertificate, ...]:
        """Whatever of the base it stands on: names, shapes and fingerprints."""
        return self.layers or self.weights

    @property
    def width(self) -> int:
        """The saved rank is width·r."""
        return 2 if self.anchored else 1

    @property
    def scaling(self) -> float:
        """The s of s·BA."""
        assert self.rank is not None
        assert self.alpha is not None
        return self.composition.scaling(self.rank, self.alpha)

    def to_json(self) -> dict[str, Any]:
        """The content of stiefel.json; `weights` only where there are any."""
        record = asdict(self)
        if not self.weights:
            del record["weights"]
        return record


def certify(layer: Layer, factors: Factors, claims: Claims, seconds: float) -> LayerCertificate:
    """Measure one layer's factors; the start error is measured on the attached adapter."""
    solved = None
    if claims.subspace in ("top", "bottom"):
        spectrum = layer.spectra.get(claims.matrix)  # a start of one's own may find its directions in another way
        solved = spectrum.solved.get(claims.subspace) if spectrum is not None else None
    if solved is not None and claims.matrix == "W":  # the solver measured both, and W may not have been needed since
        norm, captured = solved.norm, solved.energy
    else:
        norm = frobenius_norm(layer.W)
        captured = captured_energy(layer.W, factors.A, norm)
    return LayerCertificate(
        name=layer.name,
        shape=layer.shape,
        fingerprint=layer.digest,
        norm=norm,
        captured_energy=captured,
        orthonormality_error=orthonormality_error(factors.A),
        anchor_norm=layer.scaling * product_norm(factors.B, factors.A),
        start_error=0.0,
        singular_values=tuple(solved.triplets.S.tolist()) if solved is not None else (),
        solver=solved.solver if solved is not None else "",
        residual=solved.residual if solved is not None else 0.0,
        statistics=dict(factors.statistics),
        seconds=round(seconds, 4),
        peak_memory_bytes=peak_memory_bytes(),
        promise=solved.promise if solved is not None else "",
    )


def captured_energy(W: Tensor, A: Tensor, norm: float) -> float:
    """‖WQ‖_F²/‖W‖_F², Q an orthonormal basis of the rows of A."""
    Q, _ = torch.linalg.qr(A.to(torch.float64).T)
    projected = W @ Q.to(W)
    return (float(torch.linalg.vector_norm(projected, dtype=torch.float64)) / norm) ** 2 if norm else 0.0


def product_norm(B: Tensor, A: Tensor) -> float:
    """‖BA‖_F = √tr(BᵀB·AAᵀ) of B (m, r) and A (r, n) in float64, O((m + n)r²): BA itself is never formed.

    Source of the figure ‖B₀A₀‖_F: RLPO paper (arXiv:2606.31813), Table 4.
    """
    B, A = B.detach().to("cpu", torch.float64), A.detach().to("cpu", torch.float64)
    return float(((B.T @ B) * (A @ A.T)).sum().clamp(min=0).sqrt())
