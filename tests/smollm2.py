"""Where the real pretrained model lies: tests of it are left out where `make smollm2` was not called, but in CI."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

PLACE = Path(os.environ.get("STIEFEL_SMOLLM2", Path(__file__).parents[1] / ".models" / "smollm2"))


def left_out(place: Path = PLACE, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether tests of the model are skipped: it is not there, and nobody has promised that it is."""
    return not is_there(place) and environment.get("CI") != "true"


def require(place: Path = PLACE) -> None:
    """Fail where it is not there."""
    if not is_there(place):
        pytest.fail(f"no model in {place}: `make smollm2` fetches it, which CI does before its tests")


def is_there(place: Path) -> bool:
    """Whether it was made."""
    return (place / "model.safetensors").is_file()


SKIP = pytest.mark.skip(reason="no model here: `make smollm2` fetches it")
