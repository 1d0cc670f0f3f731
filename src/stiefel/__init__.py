"""Stiefel starts a LoRA on the right manifold.

Names are imported when they are first used, so that `import stiefel` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter import attach
    from .errors import UserError
    from .geometry import inspect
    from .methods import METHODS
    from .saved import load, save
    from .streamed import prepare
    from .training.trainer import GRPOTrainer

__all__ = ["METHODS", "GRPOTrainer", "UserError", "attach", "inspect", "load", "prepare", "save"]

_HOMES = {
    "METHODS": "methods",
    "GRPOTrainer": "training.trainer",
    "UserError": "errors",
    "attach": "adapter",
    "inspect": "geometry",
    "load": "saved",
    "prepare": "streamed",
    "save": "saved",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stiefel' has no attribute {name!r}")
    return vars(import_module(f".{_HOMES[name]}", __name__))[name]


def __dir__() -> list[str]:
    return sorted(__all__)
