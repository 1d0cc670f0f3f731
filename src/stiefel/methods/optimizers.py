"""How A and B are trained, beside AdamW with one rate; `training/optimizers.py` holds the steps."""

from __future__ import annotations

from .method import Claims, Method
from .option import Positive
from .papers import LORA_FA, LORA_PLUS

lora_plus = Method(
    name="lora_plus",
    kind="optimizer",
    definition="AdamW with B's rate = ratio × A's; the rate of the run is A's, and of all that is neither.",
    paper=LORA_PLUS,
    claims=Claims(),
    trains=lambda name, shape, r, options: 0,
    options={
        # 16 is the paper's; a study of twelve methods in RLVR ran 2
        "ratio": Positive(16.0, "B's learning rate divided by A's"),
    },
)
lora_fa = Method(
    name="lora_fa",
    kind="optimizer",
    definition="A is frozen; B's gradient is g_B·s⁻²(AAᵀ)⁻¹, the least-squares match of the full gradient, then AdamW.",
    paper=LORA_FA,
    claims=Claims(),
    trains=lambda name, shape, r, options: -r * shape[1],
)
