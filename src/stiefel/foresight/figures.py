"""What a preflight found, per matrix, per kind and per method, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .full_gradient import FullGradient
from .rate import TOLERANCE, Spent

NO_MATRIX = "it trains no matrix, only the scales of normalisation layers"


@dataclass(frozen=True)
class MatrixStep:
    """One matrix's first step by one method, beside full fine-tuning's; rates are taken out of plain descent's."""

    name: str
    kind: str
    full: FullGradient
    descent: float  # ‖dW/dη‖_F under plain gradient descent
    step: float  # ‖ΔW₁‖_F of the run's own first step
    over_olora: float | None = None  # of PiSSA: `descent` is at least this many times OLoRA's (Theorem 4.1)


@dataclass(frozen=True)
class MethodSteps:
    """One method's first step: `ratio` theory's, `step_ratio` what the run's optimizer does, both over full's."""

    method: str
    scaling: float | None
    trainable: int
    bound: float | None  # on the ratio: s² (Prop. 5.3), where A₀'s rows are orthonormal and B₀ = 0
    start_difference: float  # max |Δ log π| against the base before the step
    gradient_norm: float  # of all that trains, before clipping
    clipped: bool
    rate: float  # of the first step
    kl: float  # of it
    kl_at_lr: float  # of a step at optim.lr: another where there is a warm-up
    kl_rounding: float  # what is taken off both: rounding of a 16-bit type
    budget: Spent
    matrices: tuple[MatrixStep, ...]

    @property
    def ratio(self) -> float | None:
        """‖ΔW₁‖_F/‖ΔW₁^full‖_F under plain gradient descent of one rate, to first order, over all matrices."""
        return ratio(self.matrices)

    @property
    def step(self) -> float | None:
        """‖ΔW₁‖_F of the run's own first step, over all matrices; None where no matrix trains."""
        return math.hypot(*(one.step for one in self.matrices)) if self.matrices else None

    @property
    def step_ratio(self) -> float | None:
        """‖ΔW₁‖_F over that of full fine-tuning's first AdamW step at the same rate."""
        return step_ratio(self.matrices, self.rate)

    def by_kind(self) -> dict[str, tuple[MatrixStep, ...]]:
        """Its matrices by kind, in the model's order."""
        kinds = dict.fromkeys(one.kind for one in self.matrices)
        return {kind: tuple(one for one in self.matrices if one.kind == kind) for kind in kinds}

    def to_json(self) -> dict[str, Any]:
        """Numbers that JSON cannot hold are null."""
        return {
            "method": self.method,
            "scaling": self.scaling,
            "trainable_parameters": self.trainable,
            "ratio": self.ratio,
            "ratio_bound": self.bound,
            "start_difference": number(self.start_difference),
            "gradient_norm": number(self.gradient_norm),
            "clipped": self.clipped,
            "rate": self.rate,
            "step_norm": self.step,
            "step_ratio": self.step_ratio,
            "kl": number(self.kl),
            "kl_at_lr": number(self.kl_at_lr),
            "kl_rounding": self.kl_rounding,
            "budget": {
                "reached": self.budget.reached,
                "rate": self.budget.rate,
                "kl": number(self.budget.kl),
                "why": self.budget.why or None,
            },
            "why_no_matrix": None if self.matrices else NO_MATRIX,
            "by_kind": {
                kind: {"ratio": ratio(some), "step_norm": hypot(some), "step_ratio": step_ratio(some, self.rate)}
                for kind, some in self.by_kind().items()
            },
            "layers": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "ratio": ratio([one]),
                    "step_norm": one.step,
                    "step_ratio": step_ratio([one], self.rate),
                    "over_olora_bound": one.over_olora,
                }
                for one in self.matrices
            ],
        }


def hypot(matrices: Iterable[MatrixStep]) -> float:
    """‖ΔW₁‖_F over several matrices."""
    return math.hypot(*(one.step for one in matrices))


def ratio(matrices: Sequence[MatrixStep]) -> float | None:
    """Plain descent's; None where nothing trains or G₀ = 0."""
    full = math.hypot(*(one.full.norm for one in matrices))
    return math.hypot(*(one.descent for one in matrices)) / full if full else None


def step_ratio(matrices: Sequence[MatrixStep], rate: float) -> float | None:
    """The run's own; None at a rate of 0 too."""
    full = rate * math.hypot(*(one.full.adamw for one in matrices))
    return hypot(matrices) / full if full else None


def number(value: float) -> float | None:
    """None for what JSON cannot hold."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Preflight:
    """All of it; `gradients` are full fine-tuning's, on the base."""

    model: str
    task: str
    algorithm: str
    seed: int
    lr: float
    warmup: float  # the first step's rate over optim.lr
    max_grad_norm: float
    kl_budget: float
    rollout: dict[str, Any]
    gradients: dict[str, FullGradient]
    kinds: dict[str, str]
    methods: tuple[MethodSteps, ...]
    notes: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()

    def gradient_norms(self) -> dict[str, float]:
        """‖G₀‖_F by kind of matrix, in the model's order."""
        found: dict[str, float] = {}
        for name, gradient in self.gradients.items():
            kind = self.kinds[name]
            found[kind] = math.hypot(found.get(kind, 0.0), gradient.norm)
        return found

    def to_json(self) -> dict[str, Any]:
        """What `stiefel preflight --json` prints."""
        norms = self.gradient_norms()
        return {
            "model": self.model,
            "task": self.task,
            "algorithm": self.algorithm,
            "seed": self.seed,
            "lr": self.lr,
            "warmup": self.warmup,
            "max_grad_norm": self.max_grad_norm,
            "kl_budget": self.kl_budget,
            "kl_tolerance": TOLERANCE,
            "rollout": self.rollout,
            "gradient": {
                "norm": math.hypot(*norms.values()),
                "by_kind": norms,
                "layers": [{"name": name, "norm": one.norm} for name, one in self.gradients.items()],
            },
            "methods": [method.to_json() for method in self.methods],
            "notes": list(self.notes),
            "reading": list(self.reading),
        }
