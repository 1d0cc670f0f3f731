"""A checkpoint → a certified adapter directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .adapter import attach, certificate_of, check_settings
from .artifacts import make_room, writable
from .certificate import Certificate
from .methods import find_method
from .quiet import quiet
from .saved import save
from .weights import load_model, resolve_model


def prepare(
    model: str,
    method: str,
    out: Path,
    *,
    r: int = 16,
    alpha: int = 32,
    target_modules: str | list[str] = "all-linear",
    seed: int = 0,
    dtype: str = "float32",
    options: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Certificate:
    """Write the adapter of `method` for a model on disk; what can be refused is refused before anything is loaded."""
    find_method(method).resolve_options(options or {})
    check_settings(r, alpha, dropout=0.0)
    resolve_model(model)
    make_room(out, force=force)
    writable(out)
    quiet()
    adapted = attach(
        load_model(model, dtype),
        method,
        r=r,
        alpha=alpha,
        target_modules=target_modules,
        seed=seed,
        progress=progress,
        **(options or {}),
    )
    save(adapted, out)
    return certificate_of(adapted)
