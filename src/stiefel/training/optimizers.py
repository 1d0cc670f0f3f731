"""AdamW for anchored factors, whose weight decay can act on the change or on the whole factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..anchored import AnchoredFactor


class FactorAdamW(torch.optim.AdamW):
    """AdamW on ΔA and ΔB that decays A = A₀ + ΔA and B = B₀ + ΔB, as the published methods do.

    AdamW decays the parameter it is given, ΔA ← (1 − ηλ)ΔA − η·update; decaying the factor takes ηλ·A₀ more. Source:
    arXiv:1711.05101, Algorithm 2.
    """

    def __init__(
        self, model: nn.Module, lr: float, weight_decay: float, betas: tuple[float, float], eps: float
    ) -> None:
        parameters = [p for p in model.parameters() if p.requires_grad]
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps)
        self.anchors: list[tuple[nn.Parameter, Tensor]] = [
            (module.delta, module.anchor) for module in model.modules() if isinstance(module, AnchoredFactor)
        ]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One AdamW step, then the decay of the frozen part."""
        loss = super().step(closure)
        group = self.param_groups[0]
        for delta, anchor in self.anchors:
            if delta.grad is not None:
                delta.sub_(anchor, alpha=float(group["lr"] * group["weight_decay"]))
        return loss
