"""What no adapter can stand on, each refused by name: quantised, shared, stacked, rewritten or unread weights."""

from __future__ import annotations

from peft import LoraConfig
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer, ParamWrapper
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..errors import UserError
from .injection import injected
from .linear_layers import ends_of, is_linear, is_uncalled, linear_words, owner_of
from .modalities import outside_language


def refuse_quantised(model: PreTrainedModel) -> None:
    """Raise for a model whose weights are stored as integers or 4-bit floats."""
    settings = vars(model.config).get("quantization_config")
    if settings:
        method = settings.get("quant_method") if isinstance(settings, dict) else settings.quant_method
        raise UserError(
            f"the model is quantised ({method})",
            "its stored numbers are not the weight matrices (out, in) that the starts are computed from",
            "load it without quantization_config; or make the adapter of the full-precision checkpoint with "
            "`stiefel init`, and load that with PEFT on the quantised model",
        )


def refuse_unsupported(model: PreTrainedModel, name: str, shared: dict[int, list[str]]) -> None:
    """Raise for a module whose adapter would be wrong in silence."""
    module = model.get_submodule(name)
    if not is_linear(module):
        raise UserError(
            f"{name} is a {type(module).__name__}",
            "the methods are defined for layers that compute x·Wᵀ + b and no more",
            f"leave it out of the targets; the linear layers of this model are {', '.join(linear_names(model))}",
        )
    assert isinstance(module, nn.Linear | Conv1D)
    if module.weight is model.get_input_embeddings().weight:
        raise UserError(
            f"{name} shares its weight with the input embedding",
            "an adapter on it would be merged into the embedding too, which changes the model's input",
            'leave it out of the targets; "all-linear" does',
        )
    others = [other for other in shared[id(module.weight)] if other != f"{name}.weight"]
    if others:
        raise UserError(
            f"{name} shares its weight with {others[0]}",
            "an adapter stands on one of the two and would be merged into both",
            "leave it out of the targets",
        )


def without_uncalled(model: PreTrainedModel, asked: list[str], *, by_name: bool) -> list[str]:
    """The modules that are called wherever the model computes; raises for another one that is asked for by name."""
    uncalled = [name for name in asked if is_uncalled(model, name)]
    if uncalled and by_name:
        raise UserError(
            f"{uncalled[0]} is not called: {owner_of(model, uncalled[0])} reads its weight",
            "an adapter there is passed over, in every pass or in the kernel that trains, and learns nothing",
            f"leave it out of the targets; the linear layers of this model are {', '.join(linear_names(model))}",
        )
    return [name for name in asked if name not in uncalled]


def refuse_stacked(model: PreTrainedModel, parameters: list[str]) -> None:
    """Raise where a request names parameters that hold the matrices of several experts."""
    stacked = [name for name in parameters if model.get_parameter(name).dim() > 2]
    if stacked:
        raise UserError(
            f"targets name {counted(stacked)}",
            "they stack the matrices of a layer's experts, and an adapter stands on a linear layer (out, in)",
            f"name linear layers: {', '.join(linear_names(model))}",
        )


def refuse_parameters(model: PreTrainedModel, adapted: dict[str, LoraLayer], target_modules: str | list[str]) -> None:
    """Raise where PEFT turns a request into bare parameters: experts, and the router beside them."""
    wrapped = [(name, layer) for name, layer in adapted.items() if isinstance(layer, ParamWrapper)]
    if wrapped:
        names = [f"{name.replace('.base_layer', '')}.{layer.parameter_name}" for name, layer in wrapped]
        raise UserError(
            f"targets {target_modules!r}: PEFT takes them to include {counted(names)}",
            "they are a layer's stacked experts and its router, and an adapter stands on a linear layer (out, in)",
            f"name the linear layers that PEFT keeps as such: {', '.join(linear_names(model))}",
        )


def refuse_difference(
    model: PreTrainedModel, asked: set[str], adapted: dict[str, LoraLayer], target_modules: str | list[str]
) -> None:
    """Raise unless PEFT selects what was asked for."""
    why = "it rewrites the request for this architecture, whose experts were linear layers once"
    lost, added = asked - adapted.keys(), adapted.keys() - asked
    if lost:
        raise UserError(
            f"targets {target_modules!r}: PEFT leaves out {len(lost)} layers, the first is {min(lost)}",
            why,
            f"name the layers that it keeps: {', '.join(linear_names(model))}",
        )
    if added:
        raise UserError(
            f"targets {target_modules!r}: PEFT adds {len(added)} layers, the first is {min(added)}",
            why,
            "name the layers that should be adapted by their full names, in a list",
        )


def shared_weights(model: PreTrainedModel) -> dict[int, list[str]]:
    """Id of a parameter → every name that it has."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return names


def counted(parameters: list[str]) -> str:
    """How many parameters, of which kinds, and the first."""
    kinds = sorted({".".join(name.split(".")[-2:]) for name in parameters})
    return f"{len(parameters)} bare parameters ({', '.join(kinds)}), the first is {parameters[0]}"


def linear_names(model: PreTrainedModel) -> list[str]:
    """Names that may be given as targets, together: `linear_words` less those of which PEFT makes something else.

    Of some mixtures of experts it takes the names that experts once had for their stacked parameters.
    """
    words = linear_words(model)
    if not words:
        return []
    plain, kept = plain_layers(model, words)
    if kept:
        return words
    words = [word for word in words if all(name in plain for name in layers_called(model, word))]
    return words if plain_layers(model, words)[1] else [word for word in words if plain_layers(model, [word])[1]]


def plain_layers(model: PreTrainedModel, words: list[str]) -> tuple[set[str], bool]:
    """The linear layers that PEFT adapts as such for these names, and whether those are just what the names mean."""
    meant = {name for word in words for name in layers_called(model, word)}
    request = sorted(meant) if outside_language(model) else words  # as `select_targets` asks it
    with injected(model, LoraConfig(r=1, target_modules=request, task_type="CAUSAL_LM")):
        adapted = {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    plain = {name for name, layer in adapted.items() if isinstance(layer, LoraLinear)}
    return plain, plain == adapted.keys() and meant <= plain


def layers_called(model: PreTrainedModel, word: str) -> list[str]:
    """The linear layers of the language model whose name has that end."""
    outside = outside_language(model)
    return [
        name
        for name, module in model.named_modules()
        if is_linear(module) and name not in outside and word in ends_of(name)
    ]
