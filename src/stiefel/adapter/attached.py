"""A method on a model in memory: attach it, ask what it is, switch it off."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike

from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel

from ..errors import UserError, kind_of
from ..methods import compose, require_rank
from ..model import Selection
from .certificate import Certificate
from .standing import certified_weights, selection_of, standing, weight_named
from .start import Progress, Settings, layer_of, make_settings, start_error, starts
from .trained_weights import base_weights, own_weights, train_all, train_entries
from .wrap import ADAPTER, install, lora_layers, peft_config, put_right, wrap

CERTIFICATE_KEY = "stiefel_certificate"  # where a model keeps its certificate, so that copies of it have it too


def attach(
    model: PreTrainedModel,
    method: str,
    *,
    r: int | None = None,
    alpha: int | None = None,
    target_modules: str | list[str] = "all-linear",
    dropout: float = 0.0,
    seed: int = 0,
    solver: str = "auto",
    cache: bool = True,
    progress: Progress | None = None,
    **options: str | float,
) -> PeftModel | PreTrainedModel:
    """Let a loaded causal language model train by a method: W + s·BA, or W + s(BA − B₀A₀) where B₀A₀ ≠ 0; s = alpha/r.

    `method` is a name of `stiefel methods`, or several that compose, as `rlpo+dora`. A rank of 16 and an alpha of 32
    are taken where none is given. The start is exactly the model's policy, and what trains is float32 whatever the
    model's type; `full` and `sparse` train the model's own weights, in its type, and return the model itself, all
    others PEFT's wrapping of it. `solver` is auto, exact or fast; `cache` keeps singular triplets on disk for the next
    method or run, in the user's cache directory or where STIEFEL_CACHE says. `progress` is called with each layer's
    name, its number and the number of layers. Warns where "all-linear" leaves out experts that are no linear layers.
    Raises UserError, leaving the model as it was, for a method, option,
    rank or target that does not fit, and for a setting that the method has no use for. Cost: what the method's singular
    triplets take, O(mnr) a matrix for the top and O(mn·min(m, n)) for the bottom.
    """
    require_model(model, "attach")
    composition = compose(method)
    settings = make_settings(
        composition, r, alpha, seed, solver, options, targets=target_modules, dropout=dropout, cache=cache
    )
    if isinstance(model, PeftModel) or CERTIFICATE_KEY in vars(model):
        raise UserError(
            "the model already carries an adapter",
            "the start must be computed from the bare weights",
            "attach to the model before it is wrapped, or call model.unload() first",
        )
    selection = selection_of(model, composition, target_modules)
    if selection.left_out:
        warnings.warn(selection.left_out, stacklevel=2)
    if composition.start is not None:
        adapted, certificate = attach_start(model, settings, selection, progress)
    elif composition.is_peft:
        adapted, certificate = attach_native(model, settings, selection)
    else:
        adapted, certificate = model, train_own_weights(model, settings, selection, progress)
    remember(adapted, certificate)
    return adapted


def require_model(model: object, who: str) -> None:
    """Raise for what is no model in memory: its name, its directory, a pipeline."""
    if not isinstance(model, nn.Module):
        named = isinstance(model, str | PathLike)
        raise UserError(
            f"{who} was given {kind_of(model)} in the model's place",
            "the start is computed from the weights of a model that is loaded, and stands in it",
            "load it first: AutoModelForCausalLM.from_pretrained(...); or stiefel.prepare, which writes the adapter of "
            "a model on disk"
            if named
            else "give the model that AutoModelForCausalLM.from_pretrained returned",
        )


def attach_start(
    model: PreTrainedModel, settings: Settings, selection: Selection, progress: Progress | None
) -> tuple[PeftModel, Certificate]:
    """A LoRA whose factors the method sets, one matrix after the other."""
    found = list(starts(selection.targets, lambda target: weight_named(model, target.name), settings, progress))
    shapes = {target.name: target.shape for target in selection.targets}
    adapted = wrap(model, peft_config(settings, selection, shapes), settings.seed, shapes)
    layers = []
    for (_, module), (_, factors, certificate) in zip(lora_layers(adapted), found, strict=True):
        install(module, factors, settings.composition)
        layers.append(replace(certificate, start_error=attached_error(module, certificate.norm)))
    return adapted, settings.certificate(tuple(layers))


def attach_native(model: PreTrainedModel, settings: Settings, selection: Selection) -> tuple[PeftModel, Certificate]:
    """One of PEFT's other adapters."""
    certified = certified_weights(standing(model, settings.composition, selection))
    return wrap_native(model, settings, selection), settings.certificate(weights=certified)


def wrap_native(model: PreTrainedModel, settings: Settings, selection: Selection) -> PeftModel:
    """PEFT's wrapping of a model by an adapter of its own, put right."""
    weights = standing(model, settings.composition, selection)
    on_norms = settings.composition.stands_on == "norms"
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    names = {name.rpartition(".")[0] for name in weights} if on_norms else set(weights)
    adapted = wrap(model, peft_config(settings, selection, shapes), settings.seed, names)
    put_right(adapted, settings.composition)
    return adapted


def train_own_weights(
    model: PreTrainedModel, settings: Settings, selection: Selection, progress: Progress | None
) -> Certificate:
    """Let the model's own weights train, or those entries that the method's mask keeps."""
    weights = standing(model, settings.composition, selection)
    certified = certified_weights(weights)
    mask = settings.composition.main.mask
    if mask is None:
        train_all(model)
        return settings.certificate(weights=certified)
    masks = {}
    for number, target in enumerate(selection.targets, start=1):
        if progress is not None:
            progress(target.name, number, len(selection.targets))
        require_rank(target.name, target.shape, settings.r)
        found = mask(layer_of(target.name, weights[target.name], settings))
        masks[target.parameter] = found.T.contiguous() if target.conv1d else found
    train_entries(model, masks)
    return settings.certificate(weights=certified)


def attached_error(module: LoraLayer, norm: float) -> float:
    """The start error of a layer as it stands in the model."""
    A, B = module.lora_A[ADAPTER].weight, module.lora_B[ADAPTER].weight
    return start_error(B, A, float(module.scaling[ADAPTER]), norm)


def remember(model: nn.Module, certificate: Certificate) -> None:
    """Let a model carry its certificate."""
    vars(model)[CERTIFICATE_KEY] = certificate


def certificate_of(model: nn.Module) -> Certificate:
    """The certificate of a model that `attach` or `load` made."""
    require_model(model, "the adapter's record")
    if CERTIFICATE_KEY not in vars(model):
        raise UserError(
            f"this {type(model).__name__} carries no adapter that Stiefel made",
            "there is no record of its method and its base, nor that switching the adapter off gives the base",
            "make one with stiefel.attach, or read one with stiefel.load",
        )
    certificate = vars(model)[CERTIFICATE_KEY]
    assert isinstance(certificate, Certificate)
    return certificate


@contextmanager
def base_policy(model: nn.Module) -> Iterator[None]:
    """The base's policy inside the block, exactly, for every method: the reference of a KL."""
    certificate_of(model)
    with model.disable_adapter() if isinstance(model, PeftModel) else base_weights(model):
        yield


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers train; of a weight with a mask those in the mask."""
    masked = {weight.name: int(weight.mask.sum()) for weight in own_weights(model) if weight.mask is not None}
    return sum(masked.get(name, p.numel()) for name, p in model.named_parameters() if p.requires_grad)
