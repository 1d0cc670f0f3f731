"""The optimizer of an adapter in verl: AdamW as the method wants it, with verl's settings."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from ..adapter import sharded_as
from ..errors import UserError
from ..training import CentredAdamW, make_optimizer
from .residual import started_factors


def make_verl_optimizer(module: Any, config: Any, weight_decay_on: str) -> Optimizer:
    """AdamW on what trains of the sharded policy; its decay is elementwise, so that each process decays its own part.

    Raises UserError for an optimizer that verl can be asked for and that has no place for a decay's centre.
    """
    if (config.optimizer_impl, config.optimizer) != ("torch.optim", "AdamW"):
        raise UserError(
            f"actor.optim.optimizer = {config.optimizer} of {config.optimizer_impl}",
            "weight decay around an anchor, and rates of a factor's own, are those of our AdamW alone",
            "leave it out: AdamW of torch.optim",
        )
    settings = {
        "lr": config.lr,
        "weight_decay": config.weight_decay,
        "betas": tuple(config.betas),
        **(config.override_optimizer_config or {}),
    }
    unknown = settings.keys() - {"lr", "weight_decay", "betas", "eps"}
    if unknown:
        raise UserError(
            f"actor.optim.override_optimizer_config: {', '.join(sorted(unknown))}",
            "our AdamW takes lr, weight_decay, betas and eps",
            "leave it out",
        )
    started = started_factors(module)
    if not started:
        return make_optimizer(module, weight_decay_on=weight_decay_on, **settings)
    # here A and B are the parameters: they decay towards 0 themselves, or towards their start
    towards_start = weight_decay_on == "delta"
    centres = {one.weight: (sharded_as(one.start, one.weight), 1.0) for one in started if towards_start}
    return CentredAdamW([{"name": "weights", "params": [one.weight for one in started]}], centres, **settings)
