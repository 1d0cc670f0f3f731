"""What of a base a method stands on: linear layers, normalisation layers, or everything; and its fingerprints."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..errors import UserError
from ..methods import Composition
from ..model import Selection, fingerprint, outside_language, refuse_encoder_decoder, select_targets
from .certificate import Certificate, WeightCertificate


def selection_of(model: PreTrainedModel, composition: Composition, targets: str | list[str]) -> Selection:
    """The targets; of a method that stands on norms or on everything there are none to select."""
    if isinstance(model, PreTrainedModel):
        refuse_encoder_decoder(model.config, f"this {type(model).__name__}")
    if composition.stands_on == "linear":
        return select_targets(model, targets, called=composition.main.mask is None)
    if not isinstance(model, PreTrainedModel):
        raise UserError(
            f"{type(model).__name__} is not a transformers model",
            "only these say which weights are shared",
            "give a model that AutoModelForCausalLM.from_pretrained returned",
        )
    return Selection((), [], fan_in_fan_out=False)


def standing(model: PreTrainedModel, composition: Composition, selection: Selection) -> dict[str, Tensor]:
    """Every weight that a method changes, by name: W (out, in) of linear layers, or parameters."""
    match composition.stands_on:
        case "linear":
            return {target.name: weight_named(model, target.name) for target in selection.targets}
        case "norms":
            outside = outside_language(model)
            norms = [pair for pair in norm_parameters(model) if pair[0].rpartition(".")[0] not in outside]
            return {name: parameter.detach() for name, parameter in norms}
        case "parameters":
            return {name: parameter.detach() for name, parameter in model.named_parameters()}


def norm_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters of every normalisation layer: transformers' own are told by the name of their class."""
    found = False
    for name, module in model.named_modules():
        if "Norm" in type(module).__name__ and not list(module.children()):
            for word, parameter in module.named_parameters(recurse=False):
                found = True
                yield f"{name}.{word}", parameter
    if not found:
        raise UserError(
            f"{type(model).__name__} has no normalisation layer with weights",
            "ln_tuning would train nothing",
            "another method",
        )


def weight_named(model: nn.Module, name: str) -> Tensor:
    """W (out, in) of a linear layer of that name, or else the parameter."""
    modules = dict(model.named_modules())
    if name in modules:
        module = modules[name]
        assert isinstance(module, nn.Linear | Conv1D)
        weight = module.weight.detach()
        return weight.T if isinstance(module, Conv1D) else weight
    return model.get_parameter(name).detach()


def certified_weights(weights: dict[str, Tensor]) -> tuple[WeightCertificate, ...]:
    """The fingerprint of each."""
    return tuple(WeightCertificate(name, tuple(weight.shape), fingerprint(weight)) for name, weight in weights.items())


def other_weights(model: nn.Module, certificate: Certificate) -> list[str]:
    """The names of the certified weights that a base does not have as they were."""
    modules = {name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)}
    known = modules | {name for name, _ in model.named_parameters()}
    return [
        base.name
        for base in certificate.bases
        if base.name not in known or fingerprint(weight_named(model, base.name)) != base.fingerprint
    ]
