"""Adapter directories: written whole, and read only after everything in them and the base have been checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from .adapter import ADAPTER, base_matrix, certificate_of, install, lora_layers, remember
from .anchored import AnchoredFactor
from .artifacts import CERTIFICATE, read_json, refuse_existing, whole_directory, write_json
from .certificate import Certificate
from .errors import UserError
from .files import ANCHORS_FILE, CONFIG_FILE, FACTORS_FILE, digest
from .methods import Factors
from .skeleton import snapshot
from .weights import fingerprint


def save(model: PeftModel, out: str | Path) -> None:
    """Write the adapter directory: PEFT's two files, the certificate, and the anchors where there are any."""
    out = Path(out)
    certificate = certificate_of(model)
    refuse_existing(out, "give another directory, or remove it first")
    for name, module in lora_layers(model):
        for factors in (module.lora_A, module.lora_B):
            if {tensor.dtype for tensor in factors[ADAPTER].state_dict().values()} != {torch.float32}:
                raise UserError(
                    f"the factors of {name} are no longer float32",
                    "the model was cast after the adapter was attached, which rounds a small update away",
                    "cast the model before stiefel.attach, which keeps its factors in float32",
                )
    with whole_directory(out) as building:
        model.save_pretrained(str(building), save_embedding_layers=False)
        if certificate.anchored:
            save_file(anchors(model), building / ANCHORS_FILE)
        files = {path.name: digest(path) for path in sorted(building.glob("*.safetensors"))}
        write_json(building / CERTIFICATE, replace(certificate, files=files).to_json())


def anchors(model: PeftModel) -> dict[str, Tensor]:
    """A₀ and B₀ of every target, by name."""
    found = {}
    for name, module in lora_layers(model):
        for side, factor in (("A", module.lora_A[ADAPTER]), ("B", module.lora_B[ADAPTER])):
            assert isinstance(factor, AnchoredFactor)
            found[f"{name}.{side}"] = factor.anchor.cpu().contiguous()
    return found


def read_certificate(directory: Path) -> Certificate:
    """The certificate of an adapter directory, whose files are the ones that it names."""
    if not (directory / CERTIFICATE).is_file():
        raise UserError(
            f"{directory} is not an adapter that Stiefel made",
            f"it holds no {CERTIFICATE}",
            "give the directory that `stiefel init` or `stiefel train` wrote, or use PEFT's own loader",
        )
    try:
        certificate = TypeAdapter(Certificate).validate_python(read_json(directory / CERTIFICATE))
    except ValidationError as error:
        first = error.errors()[0]
        raise damaged(directory, f"{CERTIFICATE}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    named = {FACTORS_FILE, ANCHORS_FILE} if certificate.anchored else {FACTORS_FILE}
    if certificate.files.keys() != named:
        raise damaged(directory, f"{CERTIFICATE} names the files {sorted(certificate.files)}, not {sorted(named)}")
    for name, expected in certificate.files.items():
        if not (directory / name).is_file() or digest(directory / name) != expected:
            raise damaged(directory, f"{name} is not the file that was saved")
    require_config(directory, certificate)
    return certificate


def require_config(directory: Path, certificate: Certificate) -> None:
    """Raise unless adapter_config.json says what the certificate says."""
    path = directory / CONFIG_FILE
    config = read_json(path) if path.is_file() else {}
    expected = {
        "peft_type": "LORA",
        "r": certificate.width * certificate.rank,
        "lora_alpha": certificate.width * certificate.alpha,
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
    }
    for key, value in expected.items():
        if not isinstance(config, dict) or key not in config or config[key] != value:
            raise damaged(directory, f"{CONFIG_FILE} should say {key} = {value!r}")


class DamagedAdapter(UserError):
    """A directory whose parts do not belong together."""


def damaged(directory: Path, why: str) -> DamagedAdapter:
    """The error that names it."""
    return DamagedAdapter(f"the adapter in {directory} is damaged", why, "restore it from a copy, or make it again")


def load(model: PreTrainedModel, directory: str | Path, *, trainable: bool = True) -> PeftModel:
    """A saved adapter on its base model, ready to train on.

    Raises UserError, leaving the model as it was, where the base is another one or the directory was changed.
    """
    directory = Path(directory)
    certificate = read_certificate(directory)
    require_base(model, certificate, directory)
    undo = snapshot(model)
    try:
        with torch.random.fork_rng():
            adapted = PeftModel.from_pretrained(model, str(directory), is_trainable=trainable)
        require_layers(adapted, certificate, directory)
        if certificate.anchored:
            anchor(adapted, load_file(directory / ANCHORS_FILE), directory, trainable=trainable)
    except BaseException:
        undo()
        raise
    adapted.train(model.training)
    remember(adapted, replace(certificate, files={}))  # training makes them other files
    return adapted


def anchor(model: PeftModel, saved: dict[str, Tensor], directory: Path, *, trainable: bool) -> None:
    """Turn a loaded LoRA of rank 2r into the anchored adapter that it was saved from."""
    for name, module in lora_layers(model):
        weights = [factors[ADAPTER].weight.detach() for factors in (module.lora_A, module.lora_B)]
        install(module, Factors(saved[f"{name}.A"], saved[f"{name}.B"]), anchored=True)
        for weight, factors in zip(weights, (module.lora_A, module.lora_B), strict=True):
            factor = factors[ADAPTER]
            assert isinstance(factor, AnchoredFactor)
            factor.set_delta(weight, f"{directory}: {name}")
            factor.requires_grad_(trainable)


def require_base(model: PreTrainedModel, certificate: Certificate, directory: Path) -> None:
    """Raise unless every target matrix is the one that the adapter was made for."""
    modules: dict[str, Any] = dict(model.named_modules())
    wrong = [
        layer.name
        for layer in certificate.layers
        if layer.name not in modules or fingerprint(base_matrix(modules[layer.name])) != layer.fingerprint
    ]
    if wrong:
        raise UserError(
            f"{directory} was made for another base",
            f"{len(wrong)} of {len(certificate.layers)} target matrices differ, the first is {wrong[0]}",
            "load the model, in the type, that it was made from",
        )


def require_layers(model: PeftModel, certificate: Certificate, directory: Path) -> None:
    """Raise unless PEFT put adapters on exactly the certified layers."""
    found, expected = {name for name, _ in lora_layers(model)}, {layer.name for layer in certificate.layers}
    if found != expected:
        raise UserError(
            f"{directory} was made for another base",
            f"its targets select {len(found)} layers of this model, {len(expected)} were certified",
            "load the model that it was made from",
        )
