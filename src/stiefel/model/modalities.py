"""Models of more than text: which of their modules are the language model, and which types of model there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from ..artifacts import read_json
from ..errors import UserError


def outside_language(model: PreTrainedModel) -> set[str]:
    """The names of the modules that read images or sounds, and of what joins them to the text; none where all is text.

    The language model is what transformers calls the decoder, with the output head. Raises UserError where a model of
    several parts does not say which one that is.
    """
    if model.config.get_text_config(decoder=True) is model.config:
        return set()
    language, head = model.get_decoder(), model.get_output_embeddings()
    if language is model or language is model.base_model:
        raise UserError(
            f"{type(model).__name__} is a model of several parts, and does not say which one is the language model",
            "an adapter would stand on what reads images or sounds too",
            "give its language model alone",
        )
    inside = {id(module) for module in language.modules()}
    return {
        name
        for name, module in model.named_modules()
        if name and id(module) not in inside and module is not head and not holds(module, language)
    }


def holds(module: nn.Module, part: nn.Module) -> bool:
    """Whether a module has another one in it."""
    return any(each is part for each in module.modules())


def without_towers(asked: list[str], outside: set[str], target_modules: str | list[str]) -> list[str]:
    """The modules that are meant and lie in the language model; raises where others are named in full, or alone."""
    strange = [name for name in asked if name in outside]
    in_full = [name for name in strange if isinstance(target_modules, list) and name in target_modules]
    kept = [name for name in asked if name not in outside]
    if in_full or (strange and not kept):
        raise UserError(
            f"targets name {(in_full or strange)[0]}, which is outside of the language model",
            "what reads images or sounds is never adapted: training on text alone gives it no gradient, or a wrong one",
            "name layers of the language model, or leave it out",
        )
    return kept


def auto_class(model_type: str, directory: Path) -> Any:
    """The class by which transformers makes a model of a type; raises UserError where it holds no language model."""
    if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return AutoModelForCausalLM
    if model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return AutoModelForImageTextToText
    raise UserError(
        f"{directory} is not a causal language model: its type is {model_type!r}",
        "adapters stand on the language models that AutoModelForCausalLM and AutoModelForImageTextToText make",
        "give such a model",
    )


def refuse_encoder_decoder(config: Any, who: object) -> None:
    """Raise for a model whose encoder reads what its decoder answers."""
    if config.is_encoder_decoder:
        raise UserError(
            f"{who} is an encoder-decoder ({config.model_type})",
            "adapters stand on causal language models, and this one's decoder reads what an encoder made",
            "give a causal language model",
        )


def require_text_alone(directory: Path) -> None:
    """Raise, by its type, for a model that AutoModelForCausalLM does not load and that reads images beside text."""
    match read_json(directory / "config.json"):
        case {"model_type": str(kind)} if (
            kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        ):
            raise UserError(
                f"{directory} is a model of images and text ({kind})",
                "training and evaluation run causal language models, whose prompts are text alone",
                "stiefel init makes an adapter of its language model, stiefel.attach adapts the loaded one in a script",
            )
