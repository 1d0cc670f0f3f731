"""The smallest policy there is, π(y|x) = softmax(Wx), trained by plain gradient descent in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ACTIONS, INPUTS, SAMPLES, GROUP = 12, 20, 64, 8


@dataclass(frozen=True)
class Problem:
    """Samples (x, y) with a weight each: L(W) = −mean w·log π(y|x)."""

    X: Tensor  # (N, n)
    y: Tensor  # (N,)
    weights: Tensor  # (N,): 1 for cross-entropy, a group-normalised advantage for a policy gradient
    W: Tensor  # (m, n), the start

    def loss(self, W: Tensor) -> Tensor:
        """L(W)."""
        logps = torch.log_softmax(self.X @ W.T, dim=1)
        return -(self.weights * logps.gather(1, self.y[:, None])[:, 0]).mean()

    def gradient(self, W: Tensor) -> Tensor:
        """G = ∇_W L (m, n), by autograd."""
        W = W.detach().requires_grad_()
        (G,) = torch.autograd.grad(self.loss(W), W)
        return G

    @property
    def smoothness(self) -> float:
        """L of the loss in the logits: max|w|, for the Hessian of −log π is diag(π) − ππᵀ ≼ I."""
        return float(self.weights.abs().max())

    @property
    def input_norm(self) -> float:
        """The largest ‖x‖."""
        return float(torch.linalg.vector_norm(self.X, dim=1).max())


def linear_layer(seed: int = 0) -> Problem:
    """Cross-entropy on random labels."""
    generator = torch.Generator().manual_seed(seed)
    X, W = normal(generator, SAMPLES, INPUTS) / INPUTS**0.5, normal(generator, ACTIONS, INPUTS)
    y = torch.randint(ACTIONS, (SAMPLES,), generator=generator)
    return Problem(X, y, torch.ones(SAMPLES, dtype=torch.float64), W)


def softmax_policy(seed: int = 0) -> Problem:
    """Groups of actions sampled from the policy itself, rewarded where they are the best for x, normalised by group."""
    generator = torch.Generator().manual_seed(seed)
    X, W = normal(generator, SAMPLES // GROUP, INPUTS) / INPUTS**0.5, normal(generator, ACTIONS, INPUTS)
    y = torch.multinomial(torch.softmax(X @ W.T, dim=1), GROUP, replacement=True, generator=generator)
    reward = (y < ACTIONS // 2).to(torch.float64)
    advantage = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-4)
    return Problem(X.repeat_interleave(GROUP, 0), y.flatten(), advantage.flatten(), W)


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """A Gaussian matrix in float64."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def full_descent(problem: Problem, lr: float, steps: int) -> tuple[Tensor, float]:
    """(W_T − W_0, the largest ‖G_t‖_F) of full fine-tuning."""
    W, largest = problem.W, 0.0
    for _ in range(steps):
        G = problem.gradient(W)
        W, largest = W - lr * G, max(largest, float(G.norm()))
    return W - problem.W, largest


def lora_descent(
    problem: Problem, A: Tensor, B: Tensor, scaling: float, lr: float, steps: int = 1
) -> tuple[Tensor, float]:
    """The same of both factors, by autograd through W + s(BA − B₀A₀)."""
    start = scaling * B @ A
    largest = 0.0
    for _ in range(steps):
        A, B = A.detach().requires_grad_(), B.detach().requires_grad_()
        effective = problem.W + scaling * B @ A - start
        dA, dB = torch.autograd.grad(problem.loss(effective), (A, B))
        largest = max(largest, float(problem.gradient(effective).norm()))
        A, B = A - lr * dA, B - lr * dB
    return (scaling * B @ A - start).detach(), largest


def kl(problem: Problem, change: Tensor) -> float:
    """KL(π‖π_new) of W + ΔW, mean over the x; without cancellation for a small ΔW."""
    old = torch.log_softmax(problem.X @ problem.W.T, dim=1)
    d = torch.log_softmax(problem.X @ (problem.W + change).T, dim=1) - old
    return float((old.exp() * (torch.expm1(d) - d)).sum(dim=1).mean())


def fisher(problem: Problem, basis: Tensor) -> Tensor:
    """Fisher information (d, d) on the span of d directions `basis` (d, m, n): mean of Var_π[(Dx)_y]."""
    p = torch.softmax(problem.X @ problem.W.T, dim=1)
    Z = torch.einsum("dmn,bn->bdm", basis, problem.X)
    centred = Z - torch.einsum("bdm,bm->bd", Z, p)[:, :, None]
    return torch.einsum("bdm,bm,bem->de", centred, p, centred) / len(p)


def cumulants(problem: Problem, direction: Tensor) -> tuple[float, float, float]:
    """κ₂, κ₃ and κ₄ of (Dx)_y under π, means over x: KL(π‖π_new) = κ₂t²/2 + κ₃t³/6 + κ₄t⁴/24 + … of a step tD."""
    p = torch.softmax(problem.X @ problem.W.T, dim=1)
    z = problem.X @ direction.T
    z = z - (p * z).sum(dim=1, keepdim=True)
    moments = [(p * z**order).sum(dim=1) for order in (2, 3, 4)]
    return float(moments[0].mean()), float(moments[1].mean()), float((moments[2] - 3 * moments[0] ** 2).mean())
