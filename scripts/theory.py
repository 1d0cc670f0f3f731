"""Predicted against measured: `python -m scripts.theory` writes docs/theory.md."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from scripts.nano_gradient import first_steps, full_gradients, weights
from scripts.toy import Problem, cumulants, fisher, full_descent, kl, linear_layer, lora_descent, normal, softmax_policy
from stiefel.geometry import first_order_step, frame_defect, gap_bound, kl_radius, svd_coefficients
from stiefel.spectrum.linalg import Triplets, exact_svd

PAGE = Path(__file__).parents[1] / "docs" / "theory.md"
RANK, SCALING, ROUNDING = 4, 2.0, 1e-12
FLOAT32 = 1e-6  # relative, of factors and of the gap between a solver's float32 vectors and LAPACK's
REAL_SIZES = (  # (where, n, r): inputs of a layer and a rank that the papers use, and one beyond the limit
    ("Qwen2.5-1.5B, hidden", 1536, 16),
    ("Qwen2.5-1.5B, hidden", 1536, 32),
    ("Qwen2.5-1.5B, feed-forward", 8960, 32),
    ("Qwen2.5-7B, hidden", 3584, 32),
    ("Qwen3-8B, hidden", 4096, 16),
    ("nano", 128, 8),
    ("a narrow layer", 128, 32),
)
TOYS: dict[str, Callable[[], Problem]] = {"linear layer": linear_layer, "softmax policy": softmax_policy}


@dataclass(frozen=True)
class Line:
    """One prediction on one problem; `holds` is the statement itself, with the theorem's own allowance."""

    where: str
    setting: str
    predicted: str
    measured: float
    holds: bool


def norm(X: Tensor) -> float:
    """‖X‖_F."""
    return float(torch.linalg.vector_norm(X))


def frames(problem: Problem) -> dict[str, tuple[Tensor, Tensor]]:
    """Starts (A₀, B₀) of the toy's W, undivided, s apart."""
    U, S, Vh = exact_svd(problem.W)
    m, n = problem.W.shape
    generator = torch.Generator().manual_seed(1)
    root, zero = S[:RANK].sqrt(), torch.zeros(m, RANK, dtype=torch.float64)
    random = normal(generator, n, RANK)
    return {
        "gaussian": (normal(generator, RANK, n) / n**0.5, zero),
        "random_orthonormal": (torch.linalg.qr(random)[0].T, zero),
        "rlpo": (Vh[:RANK], zero),
        "rlmo": (Vh[-RANK:], zero),
        "pissa": (root[:, None] * Vh[:RANK], U[:, :RANK] * root),
        "olora": (Vh[:RANK], U[:, :RANK]),
    }


def lemma_a1(lr: float = 1e-2) -> Iterator[Line]:
    """With B₀ = 0, ΔW₁ = s²·ΔW₁^full·A₀ᵀA₀, whatever η: the relative difference is rounding."""
    for where, make in TOYS.items():
        problem = make()
        G = problem.gradient(problem.W)
        for method in ("gaussian", "rlpo", "rlmo"):
            A, B = frames(problem)[method]
            found, _ = lora_descent(problem, A, B, SCALING, lr)
            error = norm(found - SCALING**2 * (-lr * G) @ A.T @ A) / norm(found)
            yield Line(where, f"{method}, s = {SCALING:g}", "0", error, error <= ROUNDING)
    gradients = full_gradients()
    for method in ("lora", "rlpo"):
        steps = first_steps(method, 8, 16, lr)
        errors = []
        for name, G in gradients.items():
            A, change = steps[name]["A"], steps[name]["change"]
            errors.append(norm(change - SCALING**2 * (-lr * G) @ A.T @ A) / norm(change))
        yield Line(
            "nano", f"{method}, s = 2, worst of {len(errors)} matrices", "0", max(errors), max(errors) <= ROUNDING
        )


def proposition_5_3(lr: float = 1e-2) -> Iterator[Line]:
    """With orthonormal rows and s = 1, ‖ΔW₁‖_F/(η‖G₀‖_F) ≤ 1."""
    for where, make in TOYS.items():
        problem = make()
        G = problem.gradient(problem.W)
        for method in ("random_orthonormal", "rlpo", "rlmo"):
            found, _ = lora_descent(problem, *frames(problem)[method], 1.0, lr)
            ratio = norm(found) / (lr * norm(G))
            yield Line(where, method, "≤ 1", ratio, ratio <= 1)
    gradients = full_gradients()
    for method in ("random_orthonormal", "rlpo", "rlmo"):
        steps = first_steps(method, 8, 8, lr)
        ratios = [norm(steps[name]["change"]) / (lr * norm(G)) for name, G in gradients.items()]
        # A₀ is orthonormal to float32's rounding
        yield Line("nano", f"{method}, largest of {len(ratios)} matrices", "≤ 1", max(ratios), max(ratios) <= 1 + 1e-6)


def lemma_b1() -> Iterator[Line]:
    """u_iᵀΔW₁v_j/(−ηu_iᵀG₀v_j) → w_i·1[i∈R] + w_j·1[j∈R]: the relative difference falls as η.

    u_i and v_j are W's singular vectors, R the r leading ones; w_i is σ_i for PiSSA and 1 for OLoRA.
    """
    for where, make in TOYS.items():
        problem = make()
        basis, G = exact_svd(problem.W), problem.gradient(problem.W)
        for method in ("pissa", "olora"):
            errors = []
            for lr in (1e-2, 1e-3, 1e-4):
                found, _ = lora_descent(problem, *frames(problem)[method], 1.0, lr)
                errors.append(coefficient_error(method, basis, RANK, G, found, lr))
                yield Line(where, f"{method}, η = {lr:g}", "O(η)", errors[-1], falls(errors, lr))
    gradients, bases = full_gradients(), {name: exact_svd(W) for name, W in weights().items()}
    for method, options in (("pissa", {"sigma": "undivided"}), ("olora", {})):
        errors = []
        for lr in (1e-1, 1e-2, 1e-3):
            steps = first_steps(method, 8, 8, lr, **options)
            errors.append(
                max(
                    coefficient_error(method, bases[name], 8, G, steps[name]["change"], lr)
                    for name, G in gradients.items()
                )
            )
            # A₀ and B₀ are rounded to float32, which is all that is left at small rates
            held = falls(errors, lr, FLOAT32)
            yield Line("nano", f"{method}, η = {lr:g}, worst of {len(gradients)} matrices", "O(η)", errors[-1], held)


def coefficient_error(method: str, basis: Triplets, r: int, G: Tensor, change: Tensor, lr: float) -> float:
    """‖−UᵀΔW₁V/η − C⊙UᵀG₀V‖_F over the norm of the second, C the lemma's coefficients."""
    U, S, Vh = basis
    expected = svd_coefficients(len(S), r, S if method == "pissa" else torch.ones_like(S)) * (U.T @ G @ Vh.T)
    return norm(U.T @ change @ Vh.T / -lr - expected) / norm(expected)


def falls(errors: Sequence[float], lr: float, rounding: float = 0.0) -> bool:
    """First order in η: a tenth of the rate leaves a tenth, but for the second order."""
    return len(errors) == 1 or errors[-1] <= 0.1 * errors[-2] * (1 + 10 * lr) + rounding


def theorem_4_1(lr: float = 1e-6) -> Iterator[Line]:
    """‖ΔW₁^PiSSA‖_F/‖ΔW₁^OLoRA‖_F ≥ σ_r as η → 0 (undivided, s = 1)."""
    for where, make in TOYS.items():
        problem = make()
        largest = {}
        for method in ("pissa", "olora"):
            found, _ = lora_descent(problem, *frames(problem)[method], 1.0, lr)
            largest[method] = norm(found)
        sigma, ratio = float(exact_svd(problem.W).S[RANK - 1]), largest["pissa"] / largest["olora"]
        yield Line(where, f"σ_r = {sigma:.3g}", f"≥ {sigma:.3g}", ratio, ratio >= sigma * (1 - lr))
    gradients = full_gradients()
    pissa, olora = first_steps("pissa", 8, 8, lr, sigma="undivided"), first_steps("olora", 8, 8, lr)
    ratios = [
        norm(pissa[name]["change"]) / norm(olora[name]["change"]) / float(pissa[name]["B"].norm(dim=0).square().min())
        for name in gradients
    ]  # a column of B₀ = U√Σ has the norm √σ_i
    setting = f"divided by σ_r, smallest of {len(ratios)} matrices"
    yield Line("nano", setting, "≥ 1", min(ratios), min(ratios) >= 1 - 1e-4)


def theorem_5_2(steps: int = 20) -> Iterator[Line]:
    """(1/T)‖W_T^LoRA − W_T^full‖_F over its bound MηΓ_T(η)‖I − A₀ᵀA₀‖₂, s = 1: ≤ 1 + O(η).

    M bounds the gradient's norm on the way, Γ_T(η) = (1/T)Σ_{t<T}(1 + Lη‖x‖²)^t with L the smoothness of the loss in
    the logits and ‖x‖ the largest norm of an input; T = 20 steps.
    """
    for where, make in TOYS.items():
        problem = make()
        for method in ("gaussian", "random_orthonormal", "rlpo", "rlmo"):
            A, B = frames(problem)[method]
            for lr in (1e-1, 1e-3):
                full, first = full_descent(problem, lr, steps)
                lora, second = lora_descent(problem, A, B, 1.0, lr, steps)
                bound = gap_bound(A, max(first, second), problem.smoothness, problem.input_norm, lr, steps)
                ratio = norm(lora - full) / steps / bound
                setting = f"{method}, η = {lr:g}, ‖I − A₀ᵀA₀‖₂ = {frame_defect(A):.3g}"
                yield Line(where, setting, "≤ 1", ratio, ratio <= 1)


def defect_at_real_sizes() -> Iterator[Line]:
    """‖I − A₀ᵀA₀‖₂ is exactly 1 for Gaussian starts too as long as no σ_i(A₀) passes √2, about r/n ≤ (√2 − 1)² = 0.17.

    A₀ᵀA₀ has rank r, so that I − A₀ᵀA₀ has n − r eigenvalues 1 and r eigenvalues 1 − σ_i². Of N(0, 1/n) the largest σ_i
    is about 1 + √(r/n) (Bai and Yin), of U(±1/√n) that over √3. At the papers' sizes the bound of Theorem 5.2 is
    therefore the same for every start with B₀ = 0, and does not tell orthonormal rows from others; beyond them, as on
    the toys (r/n = 0.2), it does.
    """
    generator = torch.Generator().manual_seed(2)
    limit = (2**0.5 - 1) ** 2
    for where, n, r in REAL_SIZES:
        gaussian = normal(generator, r, n) / n**0.5
        uniform = (2 * torch.rand(r, n, generator=generator, dtype=torch.float64) - 1) / n**0.5
        rows = torch.linalg.qr(normal(generator, n, r))[0].T
        for name, A in (("gaussian", gaussian), ("lora", uniform), ("random_orthonormal", rows)):
            exactly = name != "gaussian" or r / n < limit
            found, most = frame_defect(A), float(torch.linalg.svdvals(A)[0])
            setting = f"{name}, r = {r}, n = {n}, largest σ = {most:.3g}"
            yield Line(where, setting, "1" if exactly else "> 1", found, (found == 1) if exactly else (found > 1))


def theorem_4_2() -> Iterator[Line]:
    """‖ΔW‖_F/√(2K/μ) of a step with KL = K: ≤ 1 + o(1) as K falls, → 1 in the direction of the smallest eigenvalue.

    μ is the smallest eigenvalue of the Fisher information on the updates BA₀ of RLPO's start, K the KL of the step.
    """
    problem = softmax_policy()
    A, B = frames(problem)["rlpo"]
    m = problem.W.shape[0]
    # updates BA₀ whose columns sum to zero, as every gradient's do: a constant added to all logits changes nothing
    rows = torch.linalg.qr(torch.eye(m, dtype=torch.float64)[:, 1:] - 1 / m)[0]
    basis = torch.einsum("ma,rn->armn", rows, A).reshape(-1, *problem.W.shape)
    values, vectors = torch.linalg.eigh(fisher(problem, basis))
    G = problem.gradient(problem.W)
    directions = {
        "of the smallest eigenvalue": torch.einsum("d,dmn->mn", vectors[:, 0], basis),
        "of the largest eigenvalue": torch.einsum("d,dmn->mn", vectors[:, -1], basis),
        "of RLPO's first step": first_order_step(G, A, B, 1.0, 1.0).rows(slice(None)),
    }
    for name, direction in directions.items():
        second, third, fourth = cumulants(problem, direction / norm(direction))
        for K in (1e-2, 1e-4, 1e-6):
            radius = kl_radius(K, float(values[0]))
            ratio = step_with_kl(problem, direction / norm(direction), K, radius) / radius
            # KL = κ₂t²/2·(1 + at + bt² + …), solved for t; κ₂ ≥ μ
            a, b, own = third / (3 * second), fourth / (12 * second), kl_radius(K, second)
            o1 = abs(a) * own / 2 + 2 * (5 * a**2 / 8 + abs(b) / 2) * own**2  # twice the second order, for the rest
            yield Line("softmax policy", f"direction {name}, K = {K:g}", "≤ 1 + O(√K)", ratio, ratio <= 1 + o1)


def step_with_kl(problem: Problem, direction: Tensor, K: float, guess: float) -> float:
    """The length t of the step t·D with KL = K, by bisection."""
    low, high = 0.0, guess
    while kl(problem, high * direction) < K:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if kl(problem, middle * direction) < K else (low, middle)
    return high


RESULTS: dict[str, Callable[[], Iterator[Line]]] = {
    "Lemma A.1: the first step of an adapter with B₀ = 0": lemma_a1,
    "Proposition 5.3: orthonormal rows never step further than full fine-tuning": proposition_5_3,
    "Lemma B.1: the first step in the SVD basis": lemma_b1,
    "Theorem 4.1: PiSSA's first step beside OLoRA's": theorem_4_1,
    "Theorem 5.2: the gap to full fine-tuning": theorem_5_2,
    "Theorem 5.2 at real sizes: its last factor is 1 for every start up to r/n of about 0.17": defect_at_real_sizes,
    "Theorem 4.2: how far a step of bounded KL can go": theorem_4_2,
}
HEAD = """# Theory, predicted and measured

<!-- written by `python -m scripts.theory`; do not edit -->
The six results of the RLPO paper ([arXiv:2606.31813](https://arxiv.org/abs/2606.31813)) that say something checkable,
checked in float64 on a linear layer with cross-entropy (12 × 20), on a policy π(y|x) = softmax(Wx) of the same size
with group-normalised advantages, and, where they speak of the first step, on the embedded model with the policy
gradient of completions that it sampled (r = 8). Plain gradient descent, as the paper assumes; no AdamW, no clipping.
The closed forms are in `stiefel.geometry`, the measurements come from autograd through the adapter itself.

Throughout, W (m, n) is a weight, G₀ the gradient of the loss by W at the start, η the rate and s = alpha/r; A₀ (r, n)
and B₀ (m, r) are the start, ΔW₁ is what the first step adds to W, ΔW₁^full = −ηG₀ what full fine-tuning's adds.
"""


@cache
def measured(title: str) -> tuple[Line, ...]:
    """One result's lines."""
    return tuple(RESULTS[title]())


def page() -> str:
    """docs/theory.md."""
    parts = [HEAD]
    for title, measure in RESULTS.items():
        lines = measured(title)
        said = inspect.getdoc(measure) or ""
        parts.append(f"## {title}\n\n{said}\n")
        rows = [
            f"| {one.where} | {one.setting} | {one.predicted} | {number(one.measured)} | {mark(one)} |" for one in lines
        ]
        parts.append("\n".join(["| on | setting | predicted | measured | |", "|---|---|---|---:|---|", *rows]) + "\n")
    return "\n".join(parts)


def number(value: float) -> str:
    """Three digits; rounding differs from processor to processor, so it is called that."""
    return "rounding" if abs(value) <= ROUNDING else f"{value:.4g}"


def mark(line: Line) -> str:
    """In a word."""
    return "holds" if line.holds else "**does not hold**"


def write() -> None:
    """docs/theory.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
