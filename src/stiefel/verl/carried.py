"""What verl is told of the adapter that it loads: the rank, alpha and targets that stand in its directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..adapter import CONFIG_FILE, adapter_in, read_certificate
from ..artifacts import read_json
from ..engine import unservable
from ..errors import UserError
from ..methods import Composition
from ..recipe import Recipe


@dataclass(frozen=True)
class Carried:
    """An adapter as it is saved, an anchored one with twice its rank; of full fine-tuning the rank is 0."""

    rank: int
    alpha: int | float
    targets: str | list[str]
    anchored: bool = False
    directory: Path | None = None  # where it lies already; None: it is made at launch


def carried(recipe: Recipe, composition: Composition) -> Carried:
    """Of a recipe: of `adapter.path` what lies there, else what `launch` will make; reads no weights."""
    settings = recipe.adapter
    if not composition.is_peft:
        return Carried(0, 0, "all-linear")
    if settings.path:
        return in_directory(adapter_in(Path(settings.path).absolute()))
    return Carried(
        composition.width * settings.rank,
        composition.lora_alpha(settings.alpha),
        settings.targets,
        composition.anchored,
    )


def in_directory(directory: Path) -> Carried:
    """Of a saved adapter; raises UserError for one that verl's rollouts cannot be sent."""
    certificate = read_certificate(directory)
    config: dict[str, Any] = read_json(directory / CONFIG_FILE)
    if reason := unservable(config):
        raise UserError(
            f"{directory} cannot be trained on verl: {reason}",
            "its rollouts are sent the factors A and B of linear layers, one rank and one alpha",
            "run it on TRL: stiefel train",
        )
    return Carried(config["r"], config["lora_alpha"], config["target_modules"], certificate.anchored, directory)
