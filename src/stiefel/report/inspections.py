"""The inspection of a finished run, kept beside its adapter as `inspection.json` until either changes.

Torch is imported only where something is to be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..adapter import ANCHORS_FILE, CONFIG_FILE, FACTORS_FILE, WEIGHTS_FILE
from ..artifacts import ADAPTER, CERTIFICATE, INSPECTION, MANIFEST, file_digest, read_json, write_json
from ..errors import UserError
from .checking import checked
from .runs import Run

FORMAT = 2  # counted up where `stiefel.geometry` measures something else under the same name
WEIGHTS = (CERTIFICATE, CONFIG_FILE, FACTORS_FILE, ANCHORS_FILE, WEIGHTS_FILE)  # what a measurement depends on
GROUPS = ("tail", "spectrum")  # what figures are drawn from beside the cheap ones

Progress = Callable[[str], None]


class Curve(BaseModel):
    """p_i summed in equal bins of W's directions, and E_i at their ends."""

    model_config = ConfigDict(frozen=True)

    distribution: list[float]
    energy: list[float]


class Spectra(BaseModel):
    """σ_i of W and of W⁺ at some i."""

    model_config = ConfigDict(frozen=True)

    places: list[int]
    before: list[float]
    after: list[float]


class Matrix(BaseModel):
    """What the figures need of a layer of `stiefel inspect --json`."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    depth: int | None
    shape: tuple[int, int]
    directions: int
    delta_norm: float
    singular_values: list[float]
    singular_values_bottom: list[float] | None
    s_head_chance: float
    s_head: float | None
    s_head_left: float | None
    s_head_right: float | None
    nss: float | None
    update: Curve | None
    product: Curve | None
    spectrum: dict[str, float] | None
    spectra: Spectra | None


MATRICES = TypeAdapter(tuple[Matrix, ...])


def fingerprints(run: Run) -> dict[str, Any]:
    """What an inspection belongs to: the trained files by SHA-256, the base by its weights' fingerprints."""
    adapter = run.path / ADAPTER
    manifest = read_json(run.path / MANIFEST)
    return {
        "format": FORMAT,
        "files": {name: file_digest(adapter / name) for name in WEIGHTS if (adapter / name).is_file()},
        "base": manifest.get("base", {}),
    }


def kept_inspection(run: Run) -> tuple[Matrix, ...] | None:
    """The kept one, unless there is none or it belongs to other weights."""
    path = run.path / INSPECTION
    if not path.is_file():
        return None
    content = checked(TypeAdapter(dict[str, Any]), read_json(path), path)
    if content.get("belongs_to") != fingerprints(run):
        return None
    return checked(MATRICES, content.get("layers"), path)


def inspect_run(run: Run, say: Progress, *, large: bool) -> tuple[Matrix, ...] | str:
    """Measure a finished run against its recipe's model and keep it, or say why there is nothing to show.

    Directions of full weights, which have no rank, are counted at the recipe's, as those of the adapters beside them.
    A model that has a matrix with min(m, n) > 512 costs more than a report should unasked: it is measured where `large`
    says so.
    """
    from ..geometry import all_small, inspect, open_subject
    from ..model import build_skeleton, model_files

    model = run.recipe.model
    try:
        subject = open_subject(run.path / ADAPTER)
        skeleton = build_skeleton(model_files(model.path, model.revision))
        shapes = [target.shape for target in subject.targets(skeleton)]
        small = all_small(shapes)
        if not small and not large:
            return "its matrices are large, and a report alone does not measure them: add --figures"
        say(f"{run.name}: measuring what training did to its weights")
        found = inspect(
            run.path / ADAPTER,
            model.path,
            rank=min(run.recipe.adapter.rank, *map(min, shapes)) if subject.rank is None else None,
            also=GROUPS,
            revision=model.revision,
            progress=lambda name, number, total: None if small else say(f"{run.name}: [{number}/{total}] {name}"),
        )
    except UserError as error:
        return f"{error.what}: {error.why}"
    content = {"belongs_to": fingerprints(run), **found.to_json()}
    keep(run.path / INSPECTION, content, say)
    return MATRICES.validate_python(content["layers"])


def keep(path: Path, content: dict[str, Any], say: Progress) -> None:
    """Write the inspection; a directory that may only be read is measured again the next time, and that is said."""
    try:
        write_json(path, content)
    except OSError as error:
        say(f"{path} could not be kept ({error.strerror}): the next report measures it again")
