"""AdamW on float32 copies of the entries of a model's own weights that train."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ..adapter import OwnWeight
from .steps import CentredAdamW


class MasterAdamW(CentredAdamW):
    """AdamW on one float32 vector or tensor a weight, whose values are written back in the weight's type.

    Of a weight with a mask only the entries in it are copied, updated, decayed and written: every other entry keeps
    its bits. A weight in bfloat16 would lose steps below half a unit in its last place; its copy does not. The copies
    are part of the optimizer's state. Memory: three float32 numbers an entry that trains.
    """

    def __init__(
        self, weights: Iterable[OwnWeight], *, decay_to_base: bool, weight_decay: float, **defaults: Any
    ) -> None:
        self.weights = [(weight, nn.Parameter(weight.values.to(torch.float32))) for weight in weights]
        groups: dict[str, list[nn.Parameter]] = {}
        for weight, master in self.weights:
            vector = weight.parameter.dim() < 2  # biases and norms: 0 is no centre for them
            groups.setdefault("vectors" if vector and not decay_to_base else "weights", []).append(master)
        super().__init__(
            [
                {"name": name, "params": masters, "weight_decay": 0.0 if name == "vectors" else weight_decay}
                for name, masters in groups.items()
            ],
            {master: (weight.base.to(torch.float32), 1.0) for weight, master in self.weights} if decay_to_base else {},
            weight_decay=weight_decay,
            **defaults,
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step on the copies, from the weights' gradients."""
        loss = None if closure is None else closure()
        for weight, master in self.weights:
            gradient = weight.parameter.grad
            if gradient is not None and weight.mask is not None:
                gradient = gradient[weight.mask]
            master.grad = None if gradient is None else gradient.to(torch.float32)
        super().step()
        for weight, master in self.weights:
            if master.grad is not None:
                weight.set_values(master)
            master.grad = None
        return loss

    def write_back(self) -> None:
        """The weights as the copies say, where something else than a step has moved these."""
        for weight, master in self.weights:
            weight.set_values(master)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the weights' gradients."""
        for weight, _ in self.weights:
            if set_to_none:
                weight.parameter.grad = None
            elif weight.parameter.grad is not None:
                weight.parameter.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """AdamW's state, and the copies."""
        return {**super().state_dict(), "masters": [master.detach().clone() for _, master in self.weights]}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The same back, and the weights as the copies say."""
        state = dict(state_dict)
        masters: list[Tensor] = state.pop("masters")
        super().load_state_dict(state)
        for (weight, master), saved in zip(self.weights, masters, strict=True):
            master.copy_(saved)
            weight.set_values(master)
