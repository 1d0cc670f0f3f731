"""Starts made of W's own singular directions, W = UΣVᵀ."""

from __future__ import annotations

from collections.abc import Mapping

from ..spectrum import Triplets
from .layer import Factors, Layer
from .method import Claims, method
from .option import Choice
from .papers import MILORA, PISSA, RLPO


def sigma_option(default: str) -> Choice:
    """How factors that carry singular values are scaled; sources differ, so every method that has them offers both."""
    return Choice(
        default,
        "divided: s·B₀A₀ is the chosen part of the matrix; undivided: B₀A₀ is, so that s times it is anchored",
        values=("divided", "undivided"),
    )


DIVIDED = {"sigma": sigma_option("divided")}


def balanced(layer: Layer, part: Triplets, statistics: Mapping[str, float] | None = None) -> Factors:
    """B₀ = U√Σ', A₀ = √Σ'Vᵀ with Σ' = Σ/s (sigma = divided) or Σ (undivided)."""
    scaling = layer.scaling if layer.choice("sigma") == "divided" else 1.0
    root = (part.S / scaling).sqrt()
    return Factors(A=root[:, None] * part.Vh, B=part.U * root, statistics=statistics or {})


@method(paper=RLPO, claims=Claims(a_orthonormal=True, b_zero=True, subspace="top"), needs="top")
def rlpo(layer: Layer) -> Factors:
    """A = V_rᵀ (the top r right singular vectors of W), B = 0 (RLPO paper §5.2)."""
    return Factors(A=layer.spectrum.top(layer.rank).Vh, B=layer.zero_b())


@method(paper=RLPO, claims=Claims(a_orthonormal=True, b_zero=True, subspace="bottom"), needs="bottom")
def rlmo(layer: Layer) -> Factors:
    """A = V₋ᵣᵀ (the last r right singular vectors with σ > 0), B = 0 (RLPO paper §5.2)."""
    return Factors(A=layer.spectrum.bottom(layer.rank).Vh, B=layer.zero_b())


@method(paper=RLPO, claims=Claims(a_orthonormal=True, b_orthonormal=True, subspace="top"), needs="top")
def olora(layer: Layer) -> Factors:
    """B₀ = U_r, A₀ = V_rᵀ of the top r triplets, anchored (RLPO paper Eq. 7).

    By SVD, as the RLPO paper defines it; not PEFT's "olora", which takes W = QR. B₀A₀ carries no Σ, so that s‖B₀A₀‖_F
    is s√r whatever W is.
    """
    part = layer.spectrum.top(layer.rank)
    return Factors(A=part.Vh, B=part.U)


@method(paper=RLPO, claims=Claims(a_orthonormal=True, b_orthonormal=True, subspace="bottom"), needs="bottom")
def olora_tail(layer: Layer) -> Factors:
    """B₀ = U₋ᵣ, A₀ = V₋ᵣᵀ of the last r triplets with σ > 0, anchored (RLPO paper §4.1).

    `olora` at the other end of the spectrum; of the directions of `rlmo`, which leaves B₀ at 0.
    """
    part = layer.spectrum.bottom(layer.rank)
    return Factors(A=part.Vh, B=part.U)


@method(paper=PISSA, claims=Claims(subspace="top", start="top"), needs="top", options=DIVIDED)
def pissa(layer: Layer) -> Factors:
    """B₀ = U_r√(Σ_r/s), A₀ = √(Σ_r/s)V_rᵀ of the top r triplets, anchored (RLPO paper Eq. 3; its Σ_r: `sigma`)."""
    return balanced(layer, layer.spectrum.top(layer.rank))


@method(paper=MILORA, claims=Claims(subspace="bottom", start="bottom"), needs="bottom", options=DIVIDED)
def milora(layer: Layer) -> Factors:
    """B₀ = U₋ᵣ√(Σ₋ᵣ/s), A₀ = √(Σ₋ᵣ/s)V₋ᵣᵀ of the last r triplets with σ > 0, anchored (RLPO paper Eq. 4; `sigma`)."""
    return balanced(layer, layer.spectrum.bottom(layer.rank))
