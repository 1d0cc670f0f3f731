"""A checkpoint on disk → a certified adapter directory, one matrix in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from .adapter import Progress, as_saved, lora_config, make_settings, start_of
from .artifacts import CERTIFICATE, check_room, whole_directory, write_json
from .certificate import Certificate, LayerCertificate
from .checkpoint import Checkpoint
from .errors import UserError
from .files import ANCHORS_FILE, FACTORS_FILE, digest, factor_names
from .methods import Method, Value, find_method, require_rank
from .quiet import quiet
from .skeleton import Selection, build_skeleton, select_targets
from .tensorfile import TensorFile
from .weights import DTYPES, model_files


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
) -> Certificate:
    """Write the adapter of `method` for a model on disk: nano, a directory, or a hub id.

    The result is the one that `attach` and `save` would give, to the bit; the model is never loaded. `dtype` is the
    type that the model will be loaded in, where that is not the checkpoint's own. What can be refused is refused
    before any matrix is read. Memory: some three float32 copies of the largest matrix, whatever the number of layers.
    """
    record = find_method(method)
    settings = make_settings(record, r, alpha, seed, solver, options or {}, cache=cache)
    if dtype and dtype not in DTYPES:
        raise UserError(f"unknown type {dtype!r}", "weights are floating-point numbers", f"one of {', '.join(DTYPES)}")
    directory = model_files(model, revision)
    quiet()
    skeleton = build_skeleton(directory)
    selection = select_targets(skeleton, target_modules)
    checkpoint = Checkpoint(directory, skeleton)
    checkpoint.require(selection.targets)
    for target in selection.targets:
        require_rank(target.name, target.shape, r)
    check_room(out, force=force)
    layers: list[LayerCertificate] = []
    with whole_directory(out) as building:
        write_config(building, record, selection, r, alpha, model)
        with ExitStack() as files:
            factors = files.enter_context(TensorFile(building / FACTORS_FILE, factor_shapes(record, selection, r)))
            anchors = None
            if record.anchored:
                shapes = anchor_shapes(selection, r)
                anchors = files.enter_context(TensorFile(building / ANCHORS_FILE, shapes, metadata={}))
            for number, target in enumerate(selection.targets, start=1):
                if progress is not None:
                    progress(target.name, number, len(selection.targets))
                base = checkpoint.read(target)
                if dtype:
                    base = base.to(DTYPES[dtype])
                start, certificate = start_of(target.name, base, record, settings)
                del base  # before the next one is read
                layers.append(certificate)
                for name, factor in zip(
                    factor_names(target.name), as_saved(start, anchored=record.anchored), strict=True
                ):
                    factors.write(name, factor)
                if anchors is not None:
                    anchors.write(f"{target.name}.A", start.A)
                    anchors.write(f"{target.name}.B", start.B)
        made = Certificate(
            method=record.name,
            anchored=record.anchored,
            rank=r,
            alpha=alpha,
            seed=seed,
            options=settings.options,
            targets=target_modules,
            layers=tuple(layers),
            files={path.name: digest(path) for path in sorted(building.glob("*.safetensors"))},
        )
        write_json(building / CERTIFICATE, made.to_json())
    return made


def write_config(building: Path, method: Method, selection: Selection, r: int, alpha: int, model: str) -> None:
    """adapter_config.json as PEFT writes it, with the targets in a fixed order."""
    config = lora_config(method, selection, r, alpha, dropout=0.0)
    config.base_model_name_or_path = model
    config.inference_mode = True  # as in every saved adapter
    config.save_pretrained(str(building))


def factor_shapes(method: Method, selection: Selection, r: int) -> dict[str, tuple[int, ...]]:
    """Every factor's name and shape: A (wr, in) and B (out, wr), w = 2 where the adapter is anchored."""
    shapes: dict[str, tuple[int, ...]] = {}
    width = (2 if method.anchored else 1) * r
    for target in selection.targets:
        A, B = factor_names(target.name)
        shapes[A], shapes[B] = (width, target.shape[1]), (target.shape[0], width)
    return shapes


def anchor_shapes(selection: Selection, r: int) -> dict[str, tuple[int, ...]]:
    """Every anchor's name and shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    for target in selection.targets:
        shapes[f"{target.name}.A"], shapes[f"{target.name}.B"] = (r, target.shape[1]), (target.shape[0], r)
    return shapes
