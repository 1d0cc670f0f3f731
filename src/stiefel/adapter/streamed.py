"""A checkpoint on disk → a certified adapter directory, one matrix in memory at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from ..artifacts import CERTIFICATE, check_room, file_digest, whole_directory, write_json
from ..errors import UserError, nearest
from ..memory import free_at_once
from ..methods import Composition, Value, compose, require_rank
from ..model import (
    DTYPES,
    Checkpoint,
    Selection,
    Target,
    TensorFile,
    build_skeleton,
    model_files,
    resolve_model,
    select_targets,
)
from ..quiet import quiet
from .card import write_card
from .certificate import Certificate, LayerCertificate
from .files import ANCHORS_FILE, FACTORS_FILE, factor_names, settle_config
from .start import Progress, Settings, as_saved, make_settings, starts
from .wrap import peft_config


def prepare(
    model: str,
    method: str,
    out: Path,
    *,
    r: int = 16,
    alpha: int = 32,
    target_modules: str | list[str] = "all-linear",
    seed: int = 0,
    dtype: str = "",
    revision: str = "",
    solver: str = "auto",
    cache: bool = True,
    options: Mapping[str, Value] | None = None,
    force: bool = False,
    progress: Progress | None = None,
    notice: Callable[[str], None] | None = None,
) -> Certificate:
    """Write the adapter of `method` for a model on disk: nano, a directory, or a hub id.

    The result is the one that `attach` and `save` would give, to the bit; the model is never loaded. `dtype` is the
    type that the model will be loaded in, where that is not the checkpoint's own. `notice` is told what "all-linear"
    leaves out; without it that is a warning. What can be refused is refused before any matrix is read. Memory: some
    three float32 copies of the largest matrix, whatever the number of layers.
    """
    composition = compose(method)
    require_factors(composition)
    settings = make_settings(composition, r, alpha, seed, solver, options or {}, targets=target_modules, cache=cache)
    if dtype and dtype not in DTYPES:
        raise UserError(f"unknown type {dtype!r}", "weights are floating-point numbers", nearest(dtype, DTYPES))
    directory = resolve_model(model, revision)
    quiet()
    free_at_once()
    skeleton = build_skeleton(directory)
    selection = select_targets(skeleton, target_modules)
    for target in selection.targets:
        require_rank(target.name, target.shape, r)
    check_room(out, force=force, kind="adapter")
    if selection.left_out:
        (notice or warnings.warn)(selection.left_out)
    checkpoint = Checkpoint(model_files(model, revision), skeleton)  # which may take a download
    checkpoint.require(selection.targets)

    def weight(target: Target) -> Tensor:
        W = checkpoint.read(target)
        return W.to(solver_device(), DTYPES[dtype] if dtype else W.dtype)

    layers: list[LayerCertificate] = []
    with whole_directory(out) as building:
        write_config(building, settings, selection, model)
        with ExitStack() as files:
            factors = files.enter_context(
                TensorFile(building / FACTORS_FILE, factor_shapes(selection, composition.width * r))
            )
            anchors = None
            if composition.anchored:
                shapes = anchor_shapes(selection, r)
                anchors = files.enter_context(TensorFile(building / ANCHORS_FILE, shapes, metadata={}))
            for target, start, certificate in starts(selection.targets, weight, settings, progress):
                layers.append(certificate)
                for name, factor in zip(
                    factor_names(target.name), as_saved(start, anchored=composition.anchored), strict=True
                ):
                    factors.write(name, factor)
                if anchors is not None:
                    anchors.write(f"{target.name}.A", start.A)
                    anchors.write(f"{target.name}.B", start.B)
        base = settle_config(building)
        digests = {path.name: file_digest(path) for path in sorted(building.glob("*.safetensors"))}
        made = settings.certificate(tuple(layers), files=digests)
        write_card(building, made, base)
        write_json(building / CERTIFICATE, made.to_json())
    return made


def solver_device() -> str:
    """Where matrices are solved: the GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def require_factors(composition: Composition) -> None:
    """Raise for a method whose start is more than the factors A and B of single matrices."""
    if composition.start is None or composition.has("dora"):
        part = "dora" if composition.has("dora") else composition.main.name
        raise UserError(
            f"{composition.name} cannot be prepared from a model on disk",
            f"{part} has a start that is not made of factors A and B alone",
            "stiefel.attach on the loaded model, or the name as adapter.method in a recipe",
        )


def write_config(building: Path, settings: Settings, selection: Selection, model: str) -> None:
    """adapter_config.json as PEFT writes it."""
    shapes = {target.name: target.shape for target in selection.targets}
    config = peft_config(settings, selection, shapes)
    config.base_model_name_or_path = model
    config.inference_mode = True  # as in every saved adapter
    config.save_pretrained(str(building))


def factor_shapes(selection: Selection, rank: int) -> dict[str, tuple[int, ...]]:
    """Every factor's name and shape: A (rank, in) and B (out, rank), of the rank that is saved."""
    shapes: dict[str, tuple[int, ...]] = {}
    for target in selection.targets:
        A, B = factor_names(target.name)
        shapes[A], shapes[B] = (rank, target.shape[1]), (target.shape[0], rank)
    return shapes


def anchor_shapes(selection: Selection, r: int) -> dict[str, tuple[int, ...]]:
    """Every anchor's name and shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    for target in selection.targets:
        shapes[f"{target.name}.A"], shapes[f"{target.name}.B"] = (r, target.shape[1]), (target.shape[0], r)
    return shapes
