"""Training the model's own weights, all or the entries in a mask, beside a copy of what they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

BASE, MASK = "_stiefel_base", "_stiefel_mask"  # ends of the names of buffers, beside the parameter's own name


@dataclass(frozen=True)
class OwnWeight:
    """A trained weight; `base` holds the values that it had, of the entries in the mask where there is one."""

    name: str
    parameter: nn.Parameter
    base: Tensor
    mask: Tensor | None

    @property
    def values(self) -> Tensor:
        """The trained entries as they are now."""
        data = self.parameter.detach()
        return data.clone() if self.mask is None else data[self.mask]

    @torch.no_grad()
    def set_values(self, values: Tensor) -> None:
        """Put these numbers in the trained entries' places."""
        if self.mask is None:
            self.parameter.copy_(values)
        else:
            self.parameter[self.mask] = values.to(self.parameter)


def train_all(model: nn.Module) -> None:
    """Let every weight train, and keep a copy of each; memory: the model once more."""
    for name, parameter in list(model.named_parameters()):
        remember_base(model, name, parameter.detach().clone())
        parameter.requires_grad_(True)


def train_entries(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Let the entries in the masks train, by the names of their parameters, and nothing else."""
    model.requires_grad_(False)
    for name, mask in masks.items():
        parameter = model.get_parameter(name)
        module, word = owner(model, name)
        module.register_buffer(word + MASK, mask.to(parameter.device), persistent=False)
        remember_base(model, name, parameter.detach()[mask.to(parameter.device)])
        parameter.requires_grad_(True)
        # so that the norm that clipping sees, and the report shows, is that of what moves
        parameter.register_hook(masked_by(module, word + MASK))  # type: ignore[no-untyped-call]


def masked_by(module: nn.Module, buffer: str) -> Callable[[Tensor], Tensor]:
    """A gradient → the same with zeros outside of the module's mask, wherever that has been moved."""
    return lambda gradient: gradient.masked_fill(~module.get_buffer(buffer), 0.0)


def remember_base(model: nn.Module, name: str, base: Tensor) -> None:
    """Keep what a weight was, beside it: it moves with the model and is not in the model's state."""
    module, word = owner(model, name)
    module.register_buffer(word + BASE, base, persistent=False)


def owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that holds a parameter, and its name there."""
    module, _, word = name.rpartition(".")
    return model.get_submodule(module), word


def own_weights(model: nn.Module) -> Iterator[OwnWeight]:
    """Every trained weight of a model that `train_all` or `train_entries` has prepared."""
    for name, parameter in model.named_parameters():
        module, word = owner(model, name)
        buffers = dict(module.named_buffers(recurse=False))
        if word + BASE in buffers:
            yield OwnWeight(name, parameter, buffers[word + BASE], buffers.get(word + MASK))


@contextmanager
def base_weights(model: nn.Module) -> Iterator[None]:
    """The weights as they were before training, inside the block; nothing is to be trained there."""
    trained = [
        (weight, weight.parameter.data if weight.mask is None else weight.values) for weight in own_weights(model)
    ]
    try:
        for weight, _ in trained:
            if weight.mask is None:
                weight.parameter.data = weight.base  # no copy of the model
            else:
                weight.set_values(weight.base)
        yield
    finally:
        for weight, values in trained:
            if weight.mask is None:
                weight.parameter.data = values
            else:
                weight.set_values(values)
