"""Which of a model's matrices an adapter will stand on: PEFT's own choice, or an error."""

from __future__ import annotations

import re
from dataclasses import dataclass

from peft import LoraConfig
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..errors import UserError, nearest
from .injection import injected
from .linear_layers import owner_of
from .modalities import outside_language, without_towers
from .unsupported import (
    counted,
    linear_names,
    refuse_difference,
    refuse_parameters,
    refuse_quantised,
    refuse_stacked,
    refuse_unsupported,
    shared_weights,
    without_uncalled,
)

ALL_LINEAR = "all-linear"


@dataclass(frozen=True)
class Target:
    """One matrix to adapt: its module's name in the base model, and W's shape (out, in)."""

    name: str
    shape: tuple[int, int]
    conv1d: bool  # GPT-2's layer, whose parameter is W transposed: (in, out)

    @property
    def parameter(self) -> str:
        """The name of its weight in the model's state dict."""
        return f"{self.name}.weight"


@dataclass(frozen=True)
class Selection:
    """The targets in the model's order, and what `adapter_config.json` must say to select them again."""

    targets: tuple[Target, ...]
    config_targets: str | list[str]  # a regular expression, or sorted names
    fan_in_fan_out: bool
    left_out: str = ""  # what "all-linear" passes over, said for the user; empty where it is nothing


def select_targets(model: PreTrainedModel, target_modules: str | list[str], *, called: bool = True) -> Selection:
    """The matrices that PEFT adapts for "all-linear", for names, or for a regular expression of whole module names.

    `model` may be a skeleton or a loaded model and is left as it was. Raises UserError unless every module that
    `target_modules` asks for is a linear layer with a weight of its own and PEFT selects exactly these: PEFT skips
    names that match nothing, and for some mixtures of experts it rewrites the request. Of a model that reads images or
    sounds too the language model alone is meant, and of "all-linear" the layers that are called: `left_out` says what
    else has such names. With called=False those whose weight is read in place of a call are taken too, as where
    weights train by themselves.
    """
    if not isinstance(model, PreTrainedModel):
        raise UserError(
            f"{type(model).__name__} is not a transformers model",
            "only these say which layer is the output head and which weights are shared",
            "give a model that AutoModelForCausalLM.from_pretrained returned",
        )
    refuse_quantised(model)
    if not isinstance(target_modules, str | list):
        raise UserError(
            f"targets = {target_modules!r} name no layers",
            "PEFT would make a choice of its own, which differs from model to model",
            'use "all-linear", or a list of names such as ["q_proj", "v_proj"]',
        )
    meant = asked_for(model, target_modules)
    outside = outside_language(model)
    asked = without_towers(meant, outside, target_modules)
    if called:
        asked = without_uncalled(model, asked, by_name=not is_all_linear(target_modules))
    request = target_modules if asked == meant else asked
    shared = shared_weights(model)
    for name in asked:
        refuse_unsupported(model, name, shared)
    config = LoraConfig(r=1, target_modules=request, task_type="CAUSAL_LM")
    with injected(model, config):
        adapted = {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    refuse_parameters(model, adapted, target_modules)
    refuse_difference(model, set(asked), adapted, target_modules)
    for name, layer in adapted.items():
        if not isinstance(layer, LoraLinear):
            raise UserError(
                f"{name} is a {type(layer.get_base_layer()).__name__}, for which PEFT has an adapter of its own kind",
                "its stored numbers are not the weight matrix (out, in) that these methods are defined for",
                "load the model without quantisation, or leave this layer out of the targets",
            )
    chosen = config.target_modules
    assert chosen is not None
    return Selection(
        targets=tuple(target_of(name, model.get_submodule(name)) for name in asked),
        config_targets=chosen if isinstance(chosen, str) else sorted(chosen),
        fan_in_fan_out=config.fan_in_fan_out,
        left_out="; ".join(told_of(model, meant, asked, outside, target_modules)),
    )


def is_all_linear(target_modules: str | list[str]) -> bool:
    """PEFT's reading of the word."""
    return isinstance(target_modules, str) and target_modules.lower() == ALL_LINEAR


def told_of(
    model: PreTrainedModel, meant: list[str], asked: list[str], outside: set[str], target_modules: str | list[str]
) -> list[str]:
    """What the user is told: layers outside of the language model or never called, matrices in no linear layer."""
    told = []
    strange = [name for name in meant if name in outside]
    if strange:
        told.append(
            f"the language model alone is adapted: {len(strange)} layers outside of it stay as they are, "
            f"the first is {strange[0]}"
        )
    uncalled = [name for name in meant if name not in asked and name not in outside]
    if uncalled:
        told.append(
            f'"{ALL_LINEAR}" leaves out {len(uncalled)} layers, the first is {uncalled[0]}: '
            f"{owner_of(model, uncalled[0])} reads its weight, in every pass or in the kernel that trains, and an "
            "adapter there is passed over"
        )
    if is_all_linear(target_modules):
        told.append(passed_over(model, [*meant, *outside]))
    return [line for line in told if line]


def passed_over(model: PreTrainedModel, chosen: list[str]) -> str:
    """What of a model's matrices no linear layer holds: stacked experts and bare routers, beside convolutions.

    Embeddings and the output head are not meant: nobody takes them to be among "all-linear".
    """
    known = {f"{name}.weight" for name in chosen}
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) or module is model.get_output_embeddings():
            known.add(f"{name}.weight")
    left = {
        name: p.numel()
        for name, p in model.named_parameters()
        if p.dim() > 1 and name not in known and name.rpartition(".")[0] not in chosen
    }
    if not left:
        return ""
    share = sum(left.values()) / sum(p.numel() for p in model.parameters())
    return f'"{ALL_LINEAR}" leaves out {counted(list(left))}: {share:.0%} of the model lies in no linear layer'


def asked_for(model: PreTrainedModel, target_modules: str | list[str]) -> list[str]:
    """The modules that the words of the request mean, in the model's order; raises where a part of it means none."""
    modules = {name: module for name, module in model.named_modules() if name}
    if is_all_linear(target_modules):
        head = model.get_output_embeddings()
        found = [
            name for name, module in modules.items() if isinstance(module, nn.Linear | Conv1D) and module is not head
        ]
    elif isinstance(target_modules, str):
        try:
            pattern = re.compile(target_modules)
        except re.error as error:
            raise UserError(
                f"targets {target_modules!r} is not a regular expression", str(error), "give names in a list"
            ) from error
        refuse_stacked(model, [name for name, _ in model.named_parameters() if pattern.fullmatch(name)])
        found = [name for name in modules if pattern.fullmatch(name)]
    else:
        for word in target_modules:
            refuse_stacked(model, [name for name, _ in model.named_parameters() if is_named(name, word)])
            if not any(is_named(name, word) for name in modules):
                raise UserError(
                    f"targets: no module is named {word!r}",
                    "PEFT would leave it out in silence where another name matches",
                    nearest(word, linear_names(model)),
                )
        found = [name for name in modules if any(is_named(name, word) for word in target_modules)]
    if not found:
        raise UserError(
            f"targets {target_modules!r} select no layer of this model",
            "a string is a regular expression that the whole name of a module must match"
            if isinstance(target_modules, str)
            else "an adapter without layers would train nothing",
            'use "all-linear", or a list of names such as ["q_proj", "v_proj"]',
        )
    return found


def is_named(name: str, word: str) -> bool:
    """PEFT's rule: a listed word is a whole name, or its end after a dot."""
    return name == word or name.endswith(f".{word}")


def target_of(name: str, module: nn.Module) -> Target:
    """The record of one linear layer."""
    assert isinstance(module, nn.Linear | Conv1D)
    rows, columns = module.weight.shape
    conv1d = isinstance(module, Conv1D)
    return Target(name, (columns, rows) if conv1d else (rows, columns), conv1d)
