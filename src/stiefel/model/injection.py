"""PEFT's adapter layers put into a model for a look, and taken out again without a trace."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from peft import LoraConfig, LoraModel
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel

from ..errors import UserError
from .linear_layers import linear_words

# What PEFT warns of while it selects, and what is done about it here.
ANSWERED = (
    ("fan_in_fan_out is set to False", UserWarning, "Selection.fan_in_fan_out carries what PEFT changes it to"),
    ("Model has `tie_word_embeddings=True`", UserWarning, "a target that shares its weight is refused"),
    ("target_parameters=", RuntimeWarning, "the rewritten request that it belongs to is refused"),
    ("The following rank_pattern keys", RuntimeWarning, "the rewritten request that it belongs to is refused"),
    ("The following alpha_pattern keys", RuntimeWarning, "the rewritten request that it belongs to is refused"),
)


@contextmanager
def injected(model: PreTrainedModel, config: LoraConfig) -> Iterator[None]:
    """PEFT's adapter layers of rank 1 inside the block, on the meta device; then the model as it was."""
    modules = dict(model.named_modules())
    if any(isinstance(module, BaseTunerLayer) for module in modules.values()):
        raise UserError(
            "the model already carries an adapter",
            "the start must be computed from the bare weights",
            "give the model before it is wrapped, or call unload() first",
        )
    undo, asked = snapshot(model), config.target_modules  # which PEFT replaces by a set of names
    shown = sorted(asked) if isinstance(asked, set) else asked
    try:
        with warnings.catch_warnings():
            for message, category, _ in ANSWERED:
                warnings.filterwarnings("ignore", re.escape(message), category)
            try:
                LoraModel(model, config, "default", low_cpu_mem_usage=True)
            except ValueError as error:
                undo()
                raise UserError(
                    f"targets {shown!r} do not fit this model",
                    str(error).splitlines()[0],
                    f"name others; its linear layers are {', '.join(linear_words(model))}",
                ) from error
        yield
    finally:
        undo()


def snapshot(model: PreTrainedModel) -> Callable[[], None]:
    """A function that takes back what PEFT's wrapping does to a model: its modules, attributes, flags and modes.

    PEFT's own unload() needs the object that a failed constructor does not return, and leaves the flags changed.
    """
    modules = dict(model.named_modules())
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in modules.values()]
    attributes = set(vars(model))

    def undo() -> None:
        for name, module in modules.items():
            parent, _, child = name.rpartition(".")
            if name and model.get_submodule(parent)._modules[child] is not module:
                setattr(model.get_submodule(parent), child, module)
        for attribute in set(vars(model)) - attributes:
            delattr(model, attribute)
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for module, mode in modes:
            module.training = mode

    return undo
