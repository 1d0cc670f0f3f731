"""A model without its weights, and which of its matrices an adapter will stand on: PEFT's own choice, or an error."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from peft import LoraConfig, LoraModel
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer, ParamWrapper
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.falcon.modeling_falcon import FalconLinear
from transformers.pytorch_utils import Conv1D

from .artifacts import read_json
from .errors import UserError, nearest

CONFIG = "config.json"
ALL_LINEAR = "all-linear"
# What transformers raises for a config.json with a value that no model has; it has no error class of its own for it.
BAD_CONFIG = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    StrictDataclassError,
    TypeError,
    ValueError,
)
# What PEFT warns of while it selects, and what is done about it here.
ANSWERED = (
    ("fan_in_fan_out is set to False", UserWarning, "Selection.fan_in_fan_out carries what PEFT changes it to"),
    ("Model has `tie_word_embeddings=True`", UserWarning, "a target that shares its weight is refused"),
    ("target_parameters=", RuntimeWarning, "the rewritten request that it belongs to is refused"),
    ("The following rank_pattern keys", RuntimeWarning, "the rewritten request that it belongs to is refused"),
    ("The following alpha_pattern keys", RuntimeWarning, "the rewritten request that it belongs to is refused"),
)


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


def build_skeleton(directory: Path) -> PreTrainedModel:
    """The causal language model of a directory's config.json, on the meta device: modules and shapes, no weights.

    Runs no code of the directory. Raises UserError where transformers does not know the model. Cost: some
    milliseconds a layer, no memory for weights.
    """
    refuse_own_code(directory)
    try:
        config = AutoConfig.from_pretrained(str(directory), trust_remote_code=False, local_files_only=True)
        with torch.device("meta"):
            skeleton = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except BAD_CONFIG as error:
        raise UserError(
            f"{directory} is not a causal language model that transformers can build",
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            "check its config.json",
        ) from error
    assert isinstance(skeleton, PreTrainedModel)
    return skeleton


def refuse_own_code(directory: Path) -> None:
    """Raise for a model that transformers does not know and whose files bring the code."""
    config = read_json(directory / CONFIG) if (directory / CONFIG).is_file() else {}
    if isinstance(config, dict) and "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise UserError(
            f"{directory} is of the type {config.get('model_type')!r}, which this transformers does not know",
            "its files bring code of their own, and code that comes with weights is never run",
            "a newer transformers, or a model of a type that it knows",
        )


def select_targets(model: PreTrainedModel, target_modules: str | list[str]) -> Selection:
    """The matrices that PEFT adapts for "all-linear", for names, or for a regular expression of whole module names.

    `model` may be a skeleton or a loaded model and is left as it was. Raises UserError unless every module that
    `target_modules` asks for is a linear layer with a weight of its own and PEFT selects exactly these: PEFT skips
    names that match nothing, and for some mixtures of experts it rewrites the request.
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
    asked = asked_for(model, target_modules)
    shared = shared_weights(model)
    for name in asked:
        refuse_unsupported(model, name, shared)
    config = LoraConfig(r=1, target_modules=target_modules, task_type="CAUSAL_LM")
    with injected(model, config):
        adapted = {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    refuse_parameters(adapted, target_modules)
    refuse_difference(set(asked), adapted, target_modules)
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
        left_out=passed_over(model, asked) if is_all_linear(target_modules) else "",
    )


def is_all_linear(target_modules: str | list[str]) -> bool:
    """PEFT's reading of the word."""
    return isinstance(target_modules, str) and target_modules.lower() == ALL_LINEAR


def passed_over(model: PreTrainedModel, chosen: list[str]) -> str:
    """What of a model's matrices no linear layer holds: stacked experts and bare routers, beside convolutions.

    Embeddings and the output head are not meant: nobody takes them to be among "all-linear".
    """
    known = {f"{name}.weight" for name in chosen}
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) or module is model.get_output_embeddings():
            known.add(f"{name}.weight")
    left = {name: p.numel() for name, p in model.named_parameters() if p.dim() > 1 and name not in known}
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


def is_linear(module: nn.Module) -> bool:
    """True where a module's function is x·Wᵀ + b and no more: routers that choose experts are subclasses of Linear."""
    return type(module).forward in (nn.Linear.forward, Conv1D.forward, FalconLinear.forward)


def linear_names(model: PreTrainedModel) -> list[str]:
    """The last words of the names of all linear layers but the output head, sorted."""
    head = model.get_output_embeddings()
    layers = {name for name, module in model.named_modules() if is_linear(module) and module is not head}
    return sorted({name.rsplit(".", 1)[-1] for name in layers})


def shared_weights(model: PreTrainedModel) -> dict[int, list[str]]:
    """Id of a parameter → every name that it has."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return names


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


def refuse_stacked(model: PreTrainedModel, parameters: list[str]) -> None:
    """Raise where a request names parameters that hold the matrices of several experts."""
    stacked = [name for name in parameters if model.get_parameter(name).dim() > 2]
    if stacked:
        raise UserError(
            f"targets name {counted(stacked)}",
            "they stack the matrices of a layer's experts, and an adapter stands on a linear layer (out, in)",
            f"name linear layers: {', '.join(linear_names(model))}",
        )


def refuse_parameters(adapted: dict[str, LoraLayer], target_modules: str | list[str]) -> None:
    """Raise where PEFT turns a request into bare parameters: experts, and the router beside them."""
    wrapped = [(name, layer) for name, layer in adapted.items() if isinstance(layer, ParamWrapper)]
    if wrapped:
        names = [f"{name.replace('.base_layer', '')}.{layer.parameter_name}" for name, layer in wrapped]
        raise UserError(
            f"targets {target_modules!r}: PEFT takes them to include {counted(names)}",
            "they are a layer's stacked experts and its router, and an adapter stands on a linear layer (out, in)",
            f"name the linear layers that PEFT keeps as such: {', '.join(kept_names(adapted))}",
        )


def refuse_difference(asked: set[str], adapted: dict[str, LoraLayer], target_modules: str | list[str]) -> None:
    """Raise unless PEFT selects what was asked for."""
    why = "it rewrites the request for this architecture, whose experts were linear layers once"
    lost, added = asked - adapted.keys(), adapted.keys() - asked
    if lost:
        raise UserError(
            f"targets {target_modules!r}: PEFT leaves out {len(lost)} layers, the first is {min(lost)}",
            why,
            f"name the layers that it keeps: {', '.join(kept_names(adapted))}",
        )
    if added:
        raise UserError(
            f"targets {target_modules!r}: PEFT adds {len(added)} layers, the first is {min(added)}",
            why,
            "name the layers that should be adapted by their full names, in a list",
        )


def counted(parameters: list[str]) -> str:
    """How many parameters, of which kinds, and the first."""
    kinds = sorted({".".join(name.split(".")[-2:]) for name in parameters})
    return f"{len(parameters)} bare parameters ({', '.join(kinds)}), the first is {parameters[0]}"


def kept_names(adapted: dict[str, LoraLayer]) -> list[str]:
    """The last words of the names of the linear layers that PEFT adapts, sorted."""
    return sorted({name.rsplit(".", 1)[-1] for name, layer in adapted.items() if isinstance(layer, LoraLinear)})


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
    try:
        with warnings.catch_warnings():
            for message, category, _ in ANSWERED:
                warnings.filterwarnings("ignore", re.escape(message), category)
            try:
                LoraModel(model, config, "default", low_cpu_mem_usage=True)
            except ValueError as error:
                raise UserError(
                    f"targets {asked!r} do not fit this model",
                    str(error).splitlines()[0],
                    'use "all-linear", or names of its linear layers such as q_proj',
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


def target_of(name: str, module: nn.Module) -> Target:
    """The record of one linear layer."""
    assert isinstance(module, nn.Linear | Conv1D)
    rows, columns = module.weight.shape
    conv1d = isinstance(module, Conv1D)
    return Target(name, (columns, rows) if conv1d else (rows, columns), conv1d)
