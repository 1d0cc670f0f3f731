"""Every promise of a start's record, measured on matrices of known spectrum against NumPy's float64 SVD."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..methods import Factors, Layer, Method
from ..own_code import is_own
from .matrices import EPS32, EPS64, MATRICES, RANK, in_float64, part_of, row_projector, subspace_bound, with_spectrum

ORTHONORMAL = 1e-6  # ‖AAᵀ − I‖_max in float32


def broken_claims(method: Method) -> Iterator[tuple[str, str]]:
    """(claim, what was found) for every claim that does not hold, with the matrix on which it does not.

    Of the matrices that a claim may be about only W is known here.
    """
    inconsistent = inconsistency(method)
    if inconsistent:
        yield "record", inconsistent
    for name, (shape, values) in MATRICES.items():
        W = with_spectrum(shape, values)
        for claim, measure in MEASURES.items():
            for scaling in (1.0, 2.0):
                found = measure(method, W, scaling)
                if found:
                    yield claim, f"on the {name} matrix {shape}, s = {scaling:g}: {found}"
                    break
    row_norm = wrong_row_norm(method)
    if row_norm:
        yield "a_row_norm", row_norm


def inconsistency(method: Method) -> str:
    """Which two claims exclude each other; empty where none do."""
    claims = method.claims
    pairs = (
        (claims.start is not None and claims.subspace not in (None, claims.start), "start is a part, subspace another"),
        (claims.b_zero and claims.start is not None, "B = 0 starts at no part of W"),
        (claims.b_zero and claims.b_orthonormal, "B = 0 has no directions"),
        (claims.a_orthonormal and claims.a_row_norm is not None, "orthonormal rows have norm 1"),
        (claims.shape_only and claims.seeded, "what depends on nothing but the shape depends on no seed"),
        (claims.shape_only and method.needs is not None, "what depends on nothing but the shape needs no triplets"),
        (is_own(method.name) and claims.matrix != "W", "a start of one's own is measured against W alone"),
        (not claims.base_unchanged, "a start that changes the checkpoint's weights cannot be attached"),
    )
    return "; ".join(text for wrong, text in pairs if wrong)


def drawn(method: Method, W: Tensor, scaling: float = 1.0, seed: int = 0, name: str = "layer") -> Factors:
    """The method's factors of one matrix at rank 4."""
    assert method.factors is not None
    return method.factors(Layer(name, W, RANK, scaling, seed, method.resolve_options({})))


def wrong_a(method: Method, W: Tensor, scaling: float) -> str:
    """A₀A₀ᵀ = I."""
    A = in_float64(drawn(method, W, scaling).A)
    error = float(np.abs(A @ A.T - np.eye(RANK)).max())
    return f"‖AAᵀ − I‖_max is {error:.3g}" if method.claims.a_orthonormal and not error <= ORTHONORMAL else ""


def wrong_b(method: Method, W: Tensor, scaling: float) -> str:
    """B₀ᵀB₀ = I."""
    B = in_float64(drawn(method, W, scaling).B)
    error = float(np.abs(B.T @ B - np.eye(RANK)).max())
    return f"‖BᵀB − I‖_max is {error:.3g}" if method.claims.b_orthonormal and not error <= ORTHONORMAL else ""


def wrong_zero(method: Method, W: Tensor, scaling: float) -> str:
    """B₀ = 0 where it is claimed, and only there."""
    zero = not drawn(method, W, scaling).B.any()
    return "" if zero == method.claims.b_zero else f"B is {'0, which is not claimed' if zero else 'not 0'}"


def wrong_subspace(method: Method, W: Tensor, scaling: float) -> str:
    """A₀'s rows and B₀'s columns span the claimed part of W."""
    part = method.claims.subspace
    if part is None or method.claims.matrix != "W":
        return ""
    factors = drawn(method, W, scaling)
    U, _, Vh, gap = part_of(W, part, factors.A)
    bound = subspace_bound(W, RANK, gap)
    error = float(np.linalg.norm(row_projector(factors.A) - Vh.T @ Vh))
    if not error <= bound:
        return f"A's rows miss the {part} {RANK} directions by {error:.3g}, of at most {bound:.3g}"
    if method.anchored:
        error = float(np.linalg.norm(row_projector(factors.B.T) - U @ U.T))
        if not error <= bound:
            return f"B's columns miss the {part} {RANK} directions by {error:.3g}, of at most {bound:.3g}"
    return ""


def wrong_start(method: Method, W: Tensor, scaling: float) -> str:
    """s·B₀A₀ is the claimed part of W, with the default options."""
    part = method.claims.start
    if part is None or method.claims.matrix != "W":
        return ""
    factors = drawn(method, W, scaling)
    U, S, Vh, gap = part_of(W, part, factors.A)
    sigma = method.resolve_options({}).get("sigma", "divided")
    expected = (1.0 if sigma == "divided" else scaling) * (U * S) @ Vh
    # each triplet is a product of two factors, each rounded ≤ 4 times (Σ to float32, /s, √, the vector, times the root)
    rounding = 8 * EPS32 / 2 * float(np.linalg.norm(expected, "nuc"))
    wedin = 2 * sum(W.shape) * EPS64 * float(np.linalg.norm(in_float64(W), 2)) / gap * float(np.linalg.norm(expected))
    error = float(np.linalg.norm(scaling * in_float64(factors.B) @ in_float64(factors.A) - expected))
    bound = rounding + 2 * wedin
    return "" if error <= bound else f"s·BA misses the {part} part of W by {error:.3g}, of at most {bound:.3g}"


def wrong_seed(method: Method, W: Tensor, scaling: float) -> str:
    """The same seed gives the same bits; another one, or another layer, others where it is claimed, and only there."""
    first, again, other = (drawn(method, W, scaling, seed) for seed in (3, 3, 4))
    if not (torch.equal(first.A, again.A) and torch.equal(first.B, again.B)):
        return "the same seed gave other bits; draw from layer.generator()"
    no_choice = method.claims.subspace == "random" and min(W.shape) == RANK  # all directions are taken
    elsewhere = drawn(method, W, scaling, 3, "another")
    for what, changed in (("another seed", other), ("another layer's name", elsewhere)):
        same = torch.equal(first.A, changed.A) and torch.equal(first.B, changed.B)
        if same == (method.claims.seeded and not no_choice):
            return f"{what} gave {'the same' if same else 'other'} factors"
    return ""


def wrong_shape_only(method: Method, W: Tensor, scaling: float) -> str:
    """A₀ depends on nothing but its shape where that is claimed, and only there."""
    first = drawn(method, W, 1.0).A
    other = drawn(method, W.flip(0, 1), 2.0, 5, "another").A
    same = torch.equal(first, other)
    return (
        ""
        if same == method.claims.shape_only
        else f"another matrix of the shape gave {'the same' if same else 'another'} A"
    )


def wrong_row_norm(method: Method) -> str:
    """The root mean square of A₀'s row norms, over 16 layers of 8 rows."""
    claimed = method.claims.a_row_norm
    if claimed is None:
        return ""
    assert method.factors is not None
    n, rank, layers = 512, 8, 16
    options = method.resolve_options({})
    drawn = [method.factors(Layer("layer", torch.ones(16, n), rank, 1.0, seed, options)).A for seed in range(layers)]
    mean = float(torch.cat(drawn).double().square().sum(1).mean())
    # ‖a‖² is a mean of n squares; a kurtosis of at most 3 (normal) gives it a variance of at most 2c⁴/n; 5σ
    deviation = 5 * math.sqrt(2 / (n * rank * layers)) * claimed**2
    return "" if abs(mean - claimed**2) <= deviation else f"it is {math.sqrt(mean):.4g}, claimed {claimed:.4g}"


MEASURES: dict[str, Callable[[Method, Tensor, float], str]] = {
    "a_orthonormal": wrong_a,
    "b_orthonormal": wrong_b,
    "b_zero": wrong_zero,
    "subspace": wrong_subspace,
    "start": wrong_start,
    "seeded": wrong_seed,
    "shape_only": wrong_shape_only,
}
