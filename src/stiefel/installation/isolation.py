"""The sandbox in which programs of a model run, by running one that tries to get out."""

from __future__ import annotations

from ..errors import UserError
from ..rewards import find_sandbox
from .finding import Finding


def sandbox() -> Finding:
    """Which kind holds here."""
    try:
        kind = find_sandbox()
    except UserError as error:
        return Finding("sandbox", "absent", error.why, f"for code and reasoning-gym: {error.instead}")
    if kind.name == "none":  # asked for by its name
        return Finding("sandbox", "absent", "none, as STIEFEL_SANDBOX says", "programs can read and write your files")
    return Finding("sandbox", "works", f"{kind.name}: a program that tries to get out does not")
