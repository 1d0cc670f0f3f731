"""AdamW's step with decay towards a centre, and with LoRA-FA's gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

Centre = tuple[Tensor, float]  # a frozen tensor and its sign


class CentredAdamW(AdamW):
    """AdamW that decays a parameter p towards c = sign·tensor, its centre; towards 0 where it has none.

    AdamW takes p ← (1 − ηλ)p − η·update; adding ηλ·c decays p − c instead, with η and λ those of p's group. With
    p = ΔA and c = −A₀ it is A = A₀ + ΔA that decays, as the published anchored methods do. Source: arXiv:1711.05101,
    Algorithm 2.
    """

    def __init__(self, parameters: Iterable[Any], centres: Mapping[nn.Parameter, Centre], **defaults: Any) -> None:
        super().__init__(parameters, fused=True, **defaults)  # one kernel for all parameters, on CPUs too
        self.centres = dict(centres)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One AdamW step, then the decay's constant part."""
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter in self.centres:
                    centre, sign = self.centres[parameter]
                    parameter.add_(centre, alpha=sign * float(group["lr"]) * group["weight_decay"])
        return loss


class ProjectedAdamW(CentredAdamW):
    """LoRA-FA: AdamW on B (out, r) with the gradient g_B·s⁻²(AAᵀ)⁻¹, A (r, in) being frozen.

    The step s·dB·A is then the least-squares match of the full gradient G: g_B = s·GAᵀ, and dB = s⁻²·g_B(AAᵀ)⁺ solves
    min ‖s·dB·A − G‖_F, also where A's rows are dependent. The matrix is found once, in float64; the product is
    float32, outside of autocast. Clipping sees g_B. Source: arXiv:2308.03303, in the
    form that PEFT's `create_lorafa_optimizer` has; that one multiplies in bfloat16. Cost: O(out·r²) a step and layer.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        centres: Mapping[nn.Parameter, Centre],
        factors: Iterable[tuple[nn.Parameter, Tensor, float]],
        **defaults: Any,
    ) -> None:
        super().__init__(parameters, centres, **defaults)
        self.projections = {B: projection(A, scaling) for B, A, scaling in factors}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step on the projected gradients; the parameters' own gradients stay as backward left them."""
        loss = None if closure is None else closure()
        raw = [(B, B.grad) for B in self.projections if B.grad is not None]
        for B, gradient in raw:
            with torch.autocast(gradient.device.type, enabled=False):
                B.grad = gradient @ self.projections[B]
        super().step()
        for B, gradient in raw:
            B.grad = gradient
        return loss


def projection(A: Tensor, scaling: float) -> Tensor:
    """s⁻²(AAᵀ)⁺ (r, r) of A (r, in), found in float64, in float32 on A's device."""
    rows = A.detach().to("cpu", torch.float64)
    inverse: Tensor = torch.linalg.pinv(rows @ rows.T, hermitian=True) / scaling**2
    return inverse.to(A.device, torch.float32)
