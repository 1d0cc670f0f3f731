"""Which modules of a model are linear layers that an adapter can stand on, and what to call them."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel
from transformers.models.falcon.modeling_falcon import FalconLinear
from transformers.pytorch_utils import Conv1D

from .modalities import outside_language

# Linear layers of transformers whose weight is read by the module that they stand in, which does not call them, or not
# in training where it has a fused kernel: it is given the base's weight, and an adapter is passed over.
MIXER = ("out_proj",)
UNCALLED = {
    "MambaMixer": ("x_proj", "dt_proj", "out_proj"),
    "FalconMambaMixer": ("x_proj", "dt_proj", "out_proj"),
    "JambaMambaMixer": ("dt_proj",),
    "Mamba2Mixer": MIXER,
    "BambaMixer": MIXER,
    "FalconH1Mixer": MIXER,
    "GraniteMoeHybridMambaLayer": MIXER,
    "NemotronHMamba2Mixer": MIXER,
    "Zamba2MambaMixer": MIXER,
    "LongcatFlashTopkRouter": ("classifier",),
}


def is_linear(module: nn.Module) -> bool:
    """True where a module's function is x·Wᵀ + b and no more: routers that choose experts are subclasses of Linear."""
    return type(module).forward in (nn.Linear.forward, Conv1D.forward, FalconLinear.forward)


def is_uncalled(model: PreTrainedModel, name: str) -> bool:
    """Whether a layer's weight is read by the module that it stands in."""
    return name.rpartition(".")[2] in UNCALLED.get(owner_of(model, name), ())


def owner_of(model: PreTrainedModel, name: str) -> str:
    """The class of the module that another stands in."""
    return type(model.get_submodule(name.rpartition(".")[0])).__name__


def linear_words(model: PreTrainedModel) -> list[str]:
    """What to call the linear layers of the language model but the output head, sorted: short ends of their names.

    Each is the shortest that nothing else has: no module of another kind, and no parameter that stacks several experts.
    """
    outside, named = outside_language(model), {name: module for name, module in model.named_modules() if name}
    layers = {name for name, module in named.items() if name not in outside and can_stand(model, name, module)}
    stacked = {name for name, parameter in model.named_parameters() if parameter.dim() > 2}
    others = {end for name in (named.keys() - layers - outside) | stacked for end in ends_of(name)}
    return sorted({next(end for end in ends_of(name) if end not in others) for name in layers})


def can_stand(model: PreTrainedModel, name: str, module: nn.Module) -> bool:
    """Whether an adapter can: a linear layer that is called, and neither the output head nor an embedding."""
    shared = is_linear(module) and module.weight is model.get_input_embeddings().weight
    return (
        is_linear(module)
        and not shared
        and module is not model.get_output_embeddings()
        and not is_uncalled(model, name)
    )


def ends_of(name: str) -> list[str]:
    """The ends of a dotted name by which PEFT finds it, the shortest first."""
    words = name.split(".")
    return [".".join(words[-count:]) for count in range(1, len(words) + 1)]
