"""A method attached to a model without its weights: what cannot be is refused before any weight is read."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..errors import UserError
from ..methods import Composition, Value, compose, require_rank
from ..model import DTYPES, Checkpoint, Selection, build_skeleton, fingerprint, model_files, resolve_model, target_of
from ..own_code import is_own
from ..quiet import quiet
from .attached import wrap_native
from .saved import read_certificate
from .standing import selection_of
from .start import Settings, make_settings, start_of
from .wrap import peft_config, wrap


def rehearse_attach(
    model: str,
    method: str,
    *,
    revision: str = "",
    r: int | None = None,
    alpha: int | None = None,
    target_modules: str | list[str] = "all-linear",
    dropout: float = 0.0,
    seed: int = 0,
    **options: Value,
) -> None:
    """Do what `attach` would on the modules and shapes that a model's config.json describes; nothing is left.

    Raises UserError for a rank, targets or settings that this model cannot have. A start of the user's own is called
    once, on a random matrix in the place of the smallest one, for its errors to be known. Cost: milliseconds a layer.
    """
    composition = compose(method)
    settings = make_settings(
        composition, r, alpha, seed, "auto", options, targets=target_modules, dropout=dropout, cache=False
    )
    directory = resolve_model(model, revision)
    quiet()
    skeleton = build_skeleton(directory)
    selection = selection_of(skeleton, composition, target_modules)
    if composition.start is not None or composition.main.mask is not None:
        if needs_rank(composition, settings):
            for target in selection.targets:
                require_rank(target.name, target.shape, settings.r)
        if composition.start is not None:
            call_own_start(settings, selection)
            shapes = {target.name: target.shape for target in selection.targets}
            wrap(skeleton, peft_config(settings, selection, shapes), seed, shapes)
    elif composition.is_peft:
        wrap_native(skeleton, settings, selection)


def needs_rank(composition: Composition, settings: Settings) -> bool:
    """Whether the rank is one of directions of W: of every start, and of the sparse method with GeoRA's mask."""
    return composition.start is not None or settings.options.get("mask") == "geora"


def call_own_start(settings: Settings, selection: Selection) -> None:
    """Make the smallest matrix's start, of random numbers, by a function of the user's."""
    if not any(is_own(part.name) for part in settings.composition.parts):
        return
    smallest = min(selection.targets, key=lambda target: target.shape[0] * target.shape[1])
    generator = torch.Generator().manual_seed(0)
    start_of(smallest.name, torch.randn(smallest.shape, generator=generator), settings)


def rehearse_load(model: str, directory: str | Path, *, revision: str = "", dtype: str = "float32") -> None:
    """Hold an adapter's directory against its base on disk, as `load` would, one weight in memory at a time.

    Raises UserError where the directory is none, was changed, or was made for another base. Cost: reading the weights
    that it stands on, up to the first that differs.
    """
    directory = Path(directory)
    certificate = read_certificate(directory)
    files = model_files(model, revision)
    quiet()
    skeleton = build_skeleton(files)
    checkpoint = Checkpoint(files, skeleton)
    for base in certificate.bases:
        found = base_weight(checkpoint, skeleton, base.name, base.shape)
        if found is None or fingerprint(found.to(DTYPES[dtype])) != base.fingerprint:
            raise UserError(
                f"{directory} was made for another base than {model} in {dtype}",
                f"{base.name} is not the weight of shape {tuple(base.shape)} that it stands on",
                "give the model, in the type, that it was made from",
            )


def base_weight(checkpoint: Checkpoint, skeleton: PreTrainedModel, name: str, shape: tuple[int, ...]) -> Tensor | None:
    """W (out, in) of a linear layer of that name on disk, or else the parameter; None where there is none so shaped."""
    modules, parameters = dict(skeleton.named_modules()), dict(skeleton.named_parameters())
    if name in modules:
        module = modules[name]
        if not isinstance(module, nn.Linear | Conv1D):
            return None
        target = target_of(name, module)
        return checkpoint.read(target) if target.shape == tuple(shape) else None
    if name not in parameters or tuple(parameters[name].shape) != tuple(shape):
        return None
    return checkpoint.read_parameter(name)
