"""What an adapter proves about itself: `stiefel.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from .artifacts import versions
from .linalg import orthonormality_error
from .methods import Factors, Layer
from .weights import fingerprint

ANCHORS_FILE = "anchors.safetensors"


@dataclass(frozen=True)
class LayerCertificate:
    """One target matrix: which base it was made for, and how well the start keeps its promises."""

    name: str
    shape: tuple[int, int]  # (out, in)
    fingerprint: str  # SHA-256 of the base matrix
    captured_energy: float  # ‖WQ‖_F²/‖W‖_F², Q an orthonormal basis of A₀'s rows
    orthonormality_error: float  # ‖A₀A₀ᵀ − I‖_max
    anchor_norm: float  # s‖B₀A₀‖_F, 0 where B₀ = 0
    start_error: float  # ‖W_eff − W‖_F/‖W‖_F of the adapter as it was attached
    seconds: float


@dataclass(frozen=True)
class Certificate:
    """The settings of an adapter, the versions that made it, and its layers."""

    method: str
    anchored: bool
    rank: int
    alpha: int
    seed: int
    options: dict[str, str]
    targets: Any
    layers: tuple[LayerCertificate, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of stiefel.json."""
        sidecar = {"anchors": ANCHORS_FILE} if self.anchored else {}
        return {**asdict(self), **sidecar, "versions": versions()}


def certify(layer: Layer, factors: Factors, start: Tensor, base: Tensor, seconds: float) -> LayerCertificate:
    """Measure one layer; `start` (out, in) is the change that the attached adapter makes before training."""
    W = layer.W.to(torch.float64)
    norm = float(torch.linalg.matrix_norm(W))
    Q, _ = torch.linalg.qr(factors.A.to(torch.float64).T)
    product = layer.scaling * factors.B.to(torch.float64) @ factors.A.to(torch.float64)
    return LayerCertificate(
        name=layer.name,
        shape=(layer.out_features, layer.in_features),
        fingerprint=fingerprint(base),
        captured_energy=float((W @ Q).square().sum()) / norm**2 if norm else 0.0,
        orthonormality_error=orthonormality_error(factors.A),
        anchor_norm=float(torch.linalg.matrix_norm(product)),
        start_error=float(torch.linalg.matrix_norm(start.to(torch.float64))) / norm if norm else 0.0,
        seconds=round(seconds, 4),
    )
