"""Adapter directories: written whole, and read only after everything in them and the base have been checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..artifacts import (
    CERTIFICATE,
    file_digest,
    read_json,
    refuse_existing,
    require_directory,
    room_for,
    whole_directory,
    write_json,
)
from ..errors import UserError
from ..methods import Factors, Wanted
from ..model import public_name, snapshot
from .anchored import AnchoredFactor
from .attached import certificate_of, remember, require_model
from .beside import keep_reference_alike
from .card import write_card
from .certificate import Certificate
from .files import ANCHORS_FILE, CONFIG_FILE, FACTORS_FILE, WEIGHTS_FILE, settle_config
from .found import adapter_in
from .frozen import FrozenFactor
from .standing import other_weights
from .trained_weights import own_weights, train_all, train_entries
from .wrap import ADAPTER, lora_layers, put_right, quiet_about_norms, set_factors, tuner_layers

# of adapter_config.json: what the certificate does not record, or what training changes
NOT_CERTIFIED = frozenset({"target_modules", "fan_in_fan_out", "lora_dropout", "miss_dropout", "vera_dropout"})
PLANNED = frozenset({"total_step"})


def save(model: nn.Module, out: str | Path) -> None:
    """Write the adapter directory: certificate, card, and PEFT's two files with the anchors where there are any.

    Of `full` it holds all weights, of `sparse` the places and values of the entries that train, in the model's type.
    """
    out = Path(out)
    certificate_of(model)  # or it raises
    refuse_existing(out, "give another directory, or remove it first")
    if isinstance(model, PeftModel):
        require_float32(model)
    with whole_directory(out) as building:
        if isinstance(model, PeftModel):
            model.save_pretrained(str(building), save_embedding_layers=False)
        else:
            save_file(trained_values(model), building / WEIGHTS_FILE)
        certify_saved(model, building)


def certify_saved(model: nn.Module, out: Path) -> None:
    """Write the certificate, and before it the card and any anchors, beside what PEFT saved of the model."""
    certificate = certificate_of(model)
    base = settle_config(out) if isinstance(model, PeftModel) else public_name(str(model.name_or_path))
    write_card(out, certificate, base)
    if certificate.anchored:
        assert isinstance(model, PeftModel)
        building = out / f".{ANCHORS_FILE}"
        with room_for(out / ANCHORS_FILE):
            save_file(anchors(model), building)
            building.replace(out / ANCHORS_FILE)
    files = {name: file_digest(out / name) for name in sorted(expected_files(certificate))}
    write_json(out / CERTIFICATE, replace(certificate, files=files).to_json())


def require_float32(model: PeftModel) -> None:
    """Raise where what is saved has been rounded."""
    for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items():
        if tensor.dtype != torch.float32:
            raise UserError(
                f"{name} is no longer float32",
                "the model was cast after the adapter was attached, which rounds a small update away",
                "cast the model before stiefel.attach, which keeps what it trains in float32",
            )


def anchors(model: PeftModel) -> dict[str, Tensor]:
    """A₀ and B₀ of every target, by name."""
    found = {}
    for name, module in lora_layers(model):
        for side, factor in (("A", module.lora_A[ADAPTER]), ("B", module.lora_B[ADAPTER])):
            assert isinstance(factor, AnchoredFactor)
            found[f"{name}.{side}"] = factor.anchor.cpu().contiguous()
    return found


def trained_values(model: nn.Module) -> dict[str, Tensor]:
    """The model's own weights as they are now; of a masked one the places, in its memory's order, and the values."""
    found = {}
    for weight in own_weights(model):
        if weight.mask is None:
            found[weight.name] = weight.values.cpu().contiguous()
        else:
            found[f"{weight.name}.indices"] = weight.mask.flatten().nonzero().squeeze(1).cpu()
            found[f"{weight.name}.values"] = weight.values.cpu()
    return found


def read_certificate(directory: Path) -> Certificate:
    """The certificate of an adapter directory, whose files are the ones that it names."""
    instead = "give the directory that `stiefel init` or `stiefel train` wrote, or use PEFT's own loader"
    require_directory(directory, instead)
    if not (directory / CERTIFICATE).is_file():
        raise UserError(
            f"{directory} is not an adapter that Stiefel made",
            f"it holds no {CERTIFICATE}",
            instead,
        )
    try:
        certificate = TypeAdapter(Certificate).validate_python(read_json(directory / CERTIFICATE))
    except ValidationError as error:
        first = error.errors()[0]
        raise damaged(directory, f"{CERTIFICATE}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    composition = certificate.composition
    try:
        composition.resolve_options(certificate.options)
    except UserError as error:
        raise damaged(directory, f"{CERTIFICATE}: {error.what}") from error
    if certificate.anchored != composition.anchored:
        raise damaged(directory, f"{CERTIFICATE}: {certificate.method} is {'not ' * certificate.anchored}anchored")
    named = expected_files(certificate)
    if certificate.files.keys() != named:
        raise damaged(directory, f"{CERTIFICATE} names the files {sorted(certificate.files)}, not {sorted(named)}")
    for name, expected in certificate.files.items():
        if not (directory / name).is_file() or file_digest(directory / name) != expected:
            raise damaged(directory, f"{name} is not the file that was saved")
    if certificate.composition.is_peft:
        require_config(directory, certificate)
    return certificate


def expected_files(certificate: Certificate) -> set[str]:
    """The names of the files that the digests must be of."""
    if not certificate.composition.is_peft:
        return {WEIGHTS_FILE}
    return {FACTORS_FILE, ANCHORS_FILE} if certificate.anchored else {FACTORS_FILE}


def require_config(directory: Path, certificate: Certificate) -> None:
    """Raise unless adapter_config.json says what the certificate says."""
    path = directory / CONFIG_FILE
    config = read_json(path) if path.is_file() else {}
    wanted = Wanted(
        weights={base.name: base.shape for base in certificate.bases},
        rank=certificate.rank or 0,
        alpha=certificate.alpha or 0,
        dropout=0.0,
        seed=certificate.seed,
        options=certificate.options,
    )
    expected = certificate.composition.config(wanted)
    if expected["peft_type"] == "LORA":
        expected |= {"rank_pattern": {}, "alpha_pattern": {}, "bias": "none"}
        expected |= dict.fromkeys(("modules_to_save", "layers_to_transform", "exclude_modules", "target_parameters"))
    for key, value in expected.items():
        if key in NOT_CERTIFIED | PLANNED:
            continue
        alike = (None, []) if value is None else (value,)  # an empty list names nothing either
        if not isinstance(config, dict) or key not in config or config[key] not in alike:
            raise damaged(directory, f"{CONFIG_FILE} should say {key} = {value!r}")


class DamagedAdapter(UserError):
    """A directory whose parts do not belong together."""


def damaged(directory: Path, why: str) -> DamagedAdapter:
    """The error that names it."""
    return DamagedAdapter(f"the adapter in {directory} is damaged", why, "restore it from a copy, or make it again")


def load(model: PreTrainedModel, directory: str | Path, *, trainable: bool = True) -> PeftModel | PreTrainedModel:
    """A saved adapter on its base model, ready to train on; a run's directory stands for the adapter that it left.

    Raises UserError, leaving the model as it was, where the base is another one or the directory was changed.
    """
    require_model(model, "load")
    directory = adapter_in(Path(directory))
    certificate = read_certificate(directory)
    require_base(model, certificate, directory)
    if not certificate.composition.is_peft:
        load_own_weights(model, certificate, directory, trainable=trainable)
        remember(model, replace(certificate, files={}))
        return model
    undo = snapshot(model)
    try:
        with torch.random.fork_rng(), quiet_about_norms():
            adapted = PeftModel.from_pretrained(model, str(directory), is_trainable=trainable)
        require_layers(adapted, certificate, directory)
        if certificate.anchored:
            anchor(adapted, certificate, load_file(directory / ANCHORS_FILE), directory, trainable=trainable)
        elif certificate.composition.frozen_a:
            freeze_a(adapted)
        put_right(adapted, certificate.composition)
        if certificate.composition.stands_on == "norms":
            set_peft_model_state_dict(adapted, load_file(directory / FACTORS_FILE))  # again, and not rounded
    except BaseException:
        undo()
        raise
    adapted.train(model.training)
    remember(adapted, replace(certificate, files={}))  # training makes them other files
    return adapted


def anchor(
    model: PeftModel, certificate: Certificate, saved: dict[str, Tensor], directory: Path, *, trainable: bool
) -> None:
    """Turn a loaded LoRA of rank 2r into the anchored adapter that it was saved from."""
    for name, module in lora_layers(model):
        weights = [factors[ADAPTER].weight.detach() for factors in (module.lora_A, module.lora_B)]
        set_factors(module, Factors(saved[f"{name}.A"], saved[f"{name}.B"]), certificate.composition)
        for weight, factors in zip(weights, (module.lora_A, module.lora_B), strict=True):
            factor = factors[ADAPTER]
            assert isinstance(factor, AnchoredFactor)
            factor.set_delta(weight, f"{directory}: {name}")
            factor.requires_grad_(trainable)


def freeze_a(model: PeftModel) -> None:
    """Turn a loaded LoRA's A into the buffer that it was saved from."""
    for _, module in lora_layers(model):
        module.lora_A[ADAPTER] = FrozenFactor(module.lora_A[ADAPTER].weight)
        keep_reference_alike(module, ADAPTER)


def load_own_weights(model: PreTrainedModel, certificate: Certificate, directory: Path, *, trainable: bool) -> None:
    """Put the saved weights in the model's places, and remember what was there."""
    saved = load_file(directory / WEIGHTS_FILE)
    if certificate.composition.main.mask is None:
        require_names(saved, {base.name for base in certificate.bases}, directory)
        train_all(model)
        for weight in own_weights(model):
            weight.set_values(saved[weight.name])
    else:
        names = {f"{base.name}.weight" for base in certificate.bases}
        require_names(saved, {f"{name}.{word}" for name in names for word in ("indices", "values")}, directory)
        masks = {}
        for name in sorted(names):
            mask = torch.zeros(model.get_parameter(name).shape, dtype=torch.bool)
            mask.view(-1)[saved[f"{name}.indices"]] = True
            masks[name] = mask
        train_entries(model, masks)
        for weight in own_weights(model):
            weight.set_values(saved[f"{weight.name}.values"])
    if not trainable:
        model.requires_grad_(False)


def require_names(saved: dict[str, Tensor], expected: set[str], directory: Path) -> None:
    """Raise unless a file holds tensors of exactly these names."""
    if saved.keys() != expected:
        raise damaged(directory, f"{WEIGHTS_FILE} does not hold exactly the weights that were certified")


def require_base(model: PreTrainedModel, certificate: Certificate, directory: Path) -> None:
    """Raise unless every weight that the adapter stands on is the one that it was made for."""
    wrong = other_weights(model, certificate)
    if wrong:
        raise UserError(
            f"{directory} was made for another base",
            f"{len(wrong)} of {len(certificate.bases)} weights differ, the first is {wrong[0]}",
            "load the model, in the type, that it was made from",
        )


def require_layers(model: PeftModel, certificate: Certificate, directory: Path) -> None:
    """Raise unless PEFT put adapters on exactly the certified layers."""
    expected = {base.name for base in certificate.bases}
    if certificate.composition.stands_on == "norms":
        expected = {name.rpartition(".")[0] for name in expected}
    found = {name for name, _ in tuner_layers(model)}
    if found != expected:
        raise UserError(
            f"{directory} was made for another base",
            f"its targets select {len(found)} layers of this model, {len(expected)} were certified",
            "load the model that it was made from",
        )
