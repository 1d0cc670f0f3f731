"""A residual adapter, W − sB₀A₀ beside a LoRA of rank r that starts at (A₀, B₀): its reference policy is its start.

verl takes the model with the adapter switched off for the reference, which here is W − sB₀A₀. Each factor below keeps
the start beside the weight that trains, and plays it when the reference is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from ..adapter import ADAPTER, ANCHORS_FILE, BASE, CONFIG_FILE, lora_layers
from ..artifacts import CERTIFICATE
from ..errors import UserError


class StartedFactor(nn.Module):
    """A LoRA's factor as PEFT's linear layer holds it, and beside it the one that it started from, a buffer."""

    start: Tensor
    bias = None

    def __init__(self, weight: Tensor, start: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().to(torch.float32).clone())
        self.register_buffer("start", start.to(self.weight).clone(), persistent=False)
        self.at_start = False

    def forward(self, x: Tensor) -> Tensor:
        """X · weightᵀ, or X · startᵀ where the reference is asked for."""
        return F.linear(x, self.start.to(x.dtype) if self.at_start else self.weight)


def is_residual(directory: Path) -> bool:
    """Whether a directory is a LoRA beside a base of its own that `stiefel` wrote."""
    names = (CONFIG_FILE, ANCHORS_FILE, BASE)
    return not (directory / CERTIFICATE).is_file() and all((directory / name).exists() for name in names)


def load_residual(base: Any, directory: Path) -> PeftModel:
    """The LoRA on its residual base; raises UserError where the model is another one than the one beside it."""
    own = (directory / BASE).resolve()
    if Path(base.name_or_path).resolve() != own:
        raise UserError(
            f"model.path = {base.name_or_path} with the residual adapter {directory}",
            "the adapter stands on the modified base beside it",
            f"actor_rollout_ref.model.path={own}",
        )
    policy = PeftModel.from_pretrained(base, str(directory), is_trainable=True)
    anchors = load_file(directory / ANCHORS_FILE)
    for name, layer in lora_layers(policy):
        for side, factors in (("A", layer.lora_A), ("B", layer.lora_B)):
            linear = factors[ADAPTER]
            start = anchors[f"{name}.{side}"].to(linear.weight.device)
            factors[ADAPTER] = StartedFactor(linear.weight, start)
    policy.train(base.training)
    return policy


def started_factors(model: nn.Module) -> list[StartedFactor]:
    """All of a residual adapter's factors; none where the adapter is not one."""
    return [module for module in model.modules() if isinstance(module, StartedFactor)]


@contextmanager
def at_start(factors: list[StartedFactor]) -> Iterator[None]:
    """W − sB₀A₀ + sB₀A₀ inside the block: the original base's policy, up to the residual base's rounding."""
    for factor in factors:
        factor.at_start = True
    try:
        yield
    finally:
        for factor in factors:
            factor.at_start = False
