"""Dropout as the published anchored methods have it: on the factors that they train, and not on the change from them.

With D(x) the input with dropout, PiSSA, MiLoRA and GeoRA train (W − sB₀A₀)x + sBA·D(x), and an anchored adapter
Wx + s(BA − B₀A₀)·D(x), which starts at the base in training too. The difference is sB₀A₀(D(x) − x): the published form
starts away from the base by as much noise as the start is large. Without dropout, and out of training, they are one.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UserError
from .anchored import AnchoredA
from .attached import certificate_of
from .wrap import ADAPTER, lora_layers

DropoutOn = Literal["delta", "factors"]


class RememberingDropout(nn.Dropout):
    """Dropout that keeps D(x) − x of its last input until it is asked for."""

    lost: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """D(x)."""
        dropped = F.dropout(x, self.p, self.training)
        self.lost = dropped - x if self.training else None
        return dropped

    def take(self) -> Tensor | None:
        """D(x) − x, once; nothing outside of training."""
        lost, self.lost = self.lost, None
        return lost


def drop_factors(model: nn.Module) -> None:
    """Let an anchored adapter with dropout train as it was published; others are published so already.

    Raises UserError for DoRA, whose norms PEFT computes of an input without dropout.
    """
    composition = certificate_of(model).composition
    if not composition.anchored:
        return
    if composition.has("dora"):
        raise UserError(
            f"dropout on the factors of {composition.name}",
            "nobody has published DoRA around an anchor",
            'dropout_on = "delta", or leave dora out',
        )
    for _, layer in lora_layers(model):
        factor, dropout = layer.lora_A[ADAPTER], layer.lora_dropout[ADAPTER]
        assert isinstance(factor, AnchoredA)
        if isinstance(dropout, nn.Dropout) and dropout.p:
            remembering = RememberingDropout(dropout.p)
            remembering.train(dropout.training)
            layer.lora_dropout[ADAPTER] = remembering
            factor.lost_of = remembering.take
