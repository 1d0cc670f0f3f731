"""How A and B change the weight, beside W + s·BA with s = alpha/r."""

from __future__ import annotations

from typing import Any

from .method import Wanted, peft_method
from .papers import DORA, RSLORA


@peft_method("structure", paper=RSLORA, trains=lambda name, shape, r, options: 0)
def rslora(wanted: Wanted) -> dict[str, Any]:
    """W + s·BA with s = alpha/√r in place of alpha/r, so that the update does not shrink as the rank grows.

    An anchored adapter is saved as a LoRA of rank 2r, whose alpha is √2 times as large for s to stay.
    """
    return {"use_rslora": True}


@peft_method("structure", paper=DORA, trains=lambda name, shape, r, options: shape[0])
def dora(wanted: Wanted) -> dict[str, Any]:
    """W' = m ⊙ V/‖V‖ by rows, V = W + s·BA (or W + s(BA − B₀A₀)), with a trained m (out,) that starts at ‖W‖ by rows.

    ‖V‖ is held constant in the backward pass (DoRA §4.3). A row of W that is zero has no direction and is refused.
    """
    return {"use_dora": True}
