"""An adapter on a model whose weights another process has, and will send: modules and shapes, no values."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import PreTrainedModel

from ..errors import UserError
from ..methods import Factors
from .attached import remember
from .files import ANCHORS_FILE
from .saved import read_certificate, require_layers
from .wrap import lora_layers, set_factors


def load_hollow(model: PreTrainedModel, directory: Path) -> PeftModel:
    """What `load` makes of a model whose parameters are on the meta device, the adapter's there too.

    Whoever has the weights loads them and checks their base; here only the names of the layers can be checked. Raises
    UserError for a directory that is damaged or that names other layers.
    """
    certificate = read_certificate(directory)
    if certificate.composition.start is None:
        raise UserError(
            f"{directory} cannot be spread over processes so", f"{certificate.method} has no factors A and B", "a LoRA"
        )
    with torch.random.fork_rng():
        adapted = PeftModel.from_pretrained(model, str(directory), is_trainable=True, low_cpu_mem_usage=True)
    require_layers(adapted, certificate, directory)
    if certificate.anchored:
        with safe_open(directory / ANCHORS_FILE, framework="pt") as anchors:
            for name, module in lora_layers(adapted):
                shapes = [anchors.get_slice(f"{name}.{side}").get_shape() for side in "AB"]
                A, B = (torch.empty(shape, device="meta") for shape in shapes)
                set_factors(module, Factors(A, B), certificate.composition)
    adapted.to("meta")  # whatever PEFT has read of the file
    adapted.train(model.training)
    remember(adapted, certificate)
    return adapted
