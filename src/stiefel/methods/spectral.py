"""Starts made of W's own singular directions, W = UΣVᵀ."""

from __future__ import annotations

from ..linalg import Triplets
from .method import Claims, Factors, Layer, Option, method
from .papers import MILORA, PISSA, RLPO

SIGMA = Option(
    ("divided", "undivided"),
    "divided: s·B₀A₀ is the chosen part of W; undivided: B₀A₀ is, so that s times it is anchored",
)


def balanced(layer: Layer, part: Triplets) -> Factors:
    """B₀ = U√Σ', A₀ = √Σ'Vᵀ with Σ' = Σ/s (sigma = divided) or Σ (undivided)."""
    scaling = layer.scaling if layer.options["sigma"] == "divided" else 1.0
    root = (part.S / scaling).sqrt()
    return Factors(A=root[:, None] * part.Vh, B=part.U * root)


@method(paper=RLPO, claims=Claims(a_orthonormal=True, b_zero=True, subspace="top"), needs="top")
def rlpo(layer: Layer) -> Factors:
    """A = V_rᵀ (the top r right singular vectors of W), B = 0 (RLPO paper §5.2)."""
    return Factors(A=layer.spectrum.top(layer.rank).Vh, B=layer.zero_b())


@method(paper=RLPO, claims=Claims(a_orthonormal=True, b_zero=True, subspace="bottom"), needs="bottom")
def rlmo(layer: Layer) -> Factors:
    """A = V₋ᵣᵀ (the last r right singular vectors with σ > 0), B = 0 (RLPO paper §5.2)."""
    return Factors(A=layer.spectrum.bottom(layer.rank).Vh, B=layer.zero_b())


@method(paper=PISSA, claims=Claims(subspace="top", start="top"), needs="top", options={"sigma": SIGMA})
def pissa(layer: Layer) -> Factors:
    """B₀ = U_r√Σ_r, A₀ = √Σ_rV_rᵀ of the top r triplets, anchored (RLPO paper Eq. 3)."""
    return balanced(layer, layer.spectrum.top(layer.rank))


@method(paper=MILORA, claims=Claims(subspace="bottom", start="bottom"), needs="bottom", options={"sigma": SIGMA})
def milora(layer: Layer) -> Factors:
    """B₀ = U₋ᵣ√Σ₋ᵣ, A₀ = √Σ₋ᵣV₋ᵣᵀ of the last r triplets with σ > 0, anchored (RLPO paper Eq. 4)."""
    return balanced(layer, layer.spectrum.bottom(layer.rank))
