"""An adapter in the form that another engine wants: a plain LoRA, merged weights, or a residual base beside a LoRA."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..artifacts import check_room, read_json, whole_directory, write_json
from ..errors import UserError, nearest
from ..model import (
    DTYPES,
    TOKENIZER_FILES,
    holds_tokenizer,
    let_turns_end,
    load_model,
    load_tokenizer,
    model_files,
    tokenizer_files,
)
from .certificate import Certificate
from .files import ANCHORS_FILE, CONFIG_FILE, FACTORS_FILE, factor_names
from .found import adapter_in
from .saved import load, read_certificate, require_base
from .standing import other_weights
from .verified import verify

BASE = "base"  # beside a residual adapter


def export(
    directory: Path,
    model: str,
    form: str,
    out: Path,
    *,
    dtype: str = "auto",
    force: bool = False,
    revision: str = "",
    turn_ends: Sequence[str] = (),
) -> None:
    """Write an adapter as `lora`, `merged` or `residual`.

    lora: PEFT's two files alone, rank r, or 2r where the adapter is anchored. merged, for every method: the whole
    model with W + s(BA − B₀A₀) in each target, summed in float32 and rounded once. residual, for anchored adapters: a
    base with W − sB₀A₀ and a LoRA of rank r beside it, exact up to that base's rounding. `dtype` is the type of the
    written model, the base's own where it is "auto"; its generation config names every token that ends a turn, those of
    `turn_ends` too. Raises UserError for a form that the method does not have, a
    damaged adapter or another base. Memory: `merged` and `residual` hold the model, `lora` one matrix.
    """
    if form not in FORMS:
        raise UserError(f"unknown form {form!r}", "an adapter cannot be written so", nearest(form, FORMS))
    directory = adapter_in(directory)
    certificate = read_certificate(directory)
    composition = certificate.composition
    if form != "merged" and composition.start is None:
        raise UserError(
            f"{directory} cannot be written as {form}",
            f"{certificate.method} has no factors A and B",
            "merged, which every engine reads",
        )
    if form == "residual" and composition.has("dora"):
        raise UserError(
            f"{directory} has no residual form", "DoRA's magnitudes belong to W and not to W − sB₀A₀", "merged or lora"
        )
    if form == "residual" and not certificate.anchored:
        raise UserError(
            f"{directory} has no residual form", f"{certificate.method} starts at B₀A₀ = 0 on the base as it is", "lora"
        )
    if out.resolve() == directory.resolve():
        raise UserError(
            f"--out is the adapter {directory} itself",
            "its certificate, and the anchors of an anchored one, would be lost",
            "give another --out",
        )
    check_room(out, force=force, kind="adapter")
    tokenizer_files(model, revision)
    local = str(model_files(model, revision))  # where the tokenizer's files are now too
    with whole_directory(out) as building:
        FORMS[form](directory, certificate, local, dtype, building, turn_ends)


def write_lora(
    directory: Path, certificate: Certificate, model: str, dtype: str, out: Path, turn_ends: Sequence[str]
) -> None:
    """The two files that every engine reads."""
    require_verified(directory, model, directory)
    for name in (CONFIG_FILE, FACTORS_FILE):
        shutil.copyfile(directory / name, out / name)


def require_verified(directory: Path, model: str, named: Path, revision: str = "") -> None:
    """Raise for the first check of an adapter that does not hold, which is spoken of as `named`."""
    wrong = [check for check in verify(directory, model, revision) if not check.holds]
    if wrong:
        raise UserError(
            f"{named} does not stand on {model} as its certificate says",
            f"{wrong[0].name}: {wrong[0].detail}",
            "give the base that it was made for; `stiefel verify` lists every difference",
        )


def write_merged(
    directory: Path, certificate: Certificate, model: str, dtype: str, out: Path, turn_ends: Sequence[str]
) -> None:
    """The model with its weights changed."""
    base = certified_base(directory, certificate, model, dtype)
    kind = None if dtype == "auto" else DTYPES[dtype]
    if certificate.composition.start is None or certificate.composition.has("dora"):
        save_whole(merged_by_peft(base, directory, kind), model, out, turn_ends)
        return
    factors = load_file(directory / FACTORS_FILE)
    for layer in certificate.layers:
        A, B = (factors[name] for name in factor_names(layer.name))
        add_to_weight(base.get_submodule(layer.name), certificate.scaling * (B @ A), kind)
    save_whole(base if kind is None else base.to(kind), model, out, turn_ends)


def certified_base(directory: Path, certificate: Certificate, model: str, dtype: str) -> Any:
    """The model in the type that the adapter was made for: the checkpoint's own, or else `dtype`."""
    base = load_model(model, "auto")
    if dtype != "auto" and other_weights(base, certificate):
        base = load_model(model, dtype)
    require_base(base, certificate, directory)
    return base


def merged_by_peft(base: Any, directory: Path, kind: torch.dtype | None) -> Any:
    """The model with the adapter merged in float32 and rounded to a type; of own weights the model itself."""
    kept = kind or base.dtype
    adapted = load(base, directory, trainable=False)
    if not isinstance(adapted, PeftModel):
        return adapted if kind is None else adapted.to(kind)
    return adapted.to(torch.float32).merge_and_unload().to(kept)


def write_residual(
    directory: Path, certificate: Certificate, model: str, dtype: str, out: Path, turn_ends: Sequence[str]
) -> None:
    """W − sB₀A₀ in `base/`, and beside it the LoRA of rank r with A = A₀ + ΔA and B = B₀ + ΔB, and A₀ and B₀."""
    base = certified_base(directory, certificate, model, dtype)
    kind = None if dtype == "auto" else DTYPES[dtype]
    factors, anchors = load_file(directory / FACTORS_FILE), load_file(directory / ANCHORS_FILE)
    scaling, r = certificate.scaling, certificate.rank
    assert r is not None
    plain: dict[str, Tensor] = {}
    for layer in certificate.layers:
        name_A, name_B = factor_names(layer.name)
        A, B = anchors[f"{layer.name}.A"], anchors[f"{layer.name}.B"]
        add_to_weight(base.get_submodule(layer.name), -scaling * (B @ A), kind)
        plain[name_A] = factors[name_A][:r].contiguous()  # A₀ + ΔA
        plain[name_B] = (B + factors[name_B][:, :r]).contiguous()
    save_file(plain, out / FACTORS_FILE, metadata={"format": "pt"})
    shutil.copyfile(directory / ANCHORS_FILE, out / ANCHORS_FILE)  # with which the base's policy can still be played
    config = read_json(directory / CONFIG_FILE)
    config |= {"r": r, "lora_alpha": certificate.alpha, "base_model_name_or_path": BASE}
    write_json(out / CONFIG_FILE, config)
    save_whole(base if kind is None else base.to(kind), model, out / BASE, turn_ends)


def add_to_weight(module: Any, change: Tensor, kind: torch.dtype | None) -> None:
    """W + change (out, in) in a linear layer, summed in float32 and rounded once, to `kind` or to W's own type."""
    assert isinstance(module, nn.Linear | Conv1D)
    W = module.weight.detach().to(torch.float32)
    total = W + (change.T if isinstance(module, Conv1D) else change)
    module.weight = nn.Parameter(total.contiguous().to(kind or module.weight.dtype))


def save_whole(base: Any, model: str, out: Path, turn_ends: Sequence[str]) -> None:
    """The model and its tokenizer's files; who serves it stops where a turn ends, as generation_config.json says."""
    if holds_tokenizer(Path(model)):
        let_turns_end(base, load_tokenizer(model), turn_ends)
    base.save_pretrained(str(out))
    for pattern in TOKENIZER_FILES:
        for path in Path(model).glob(pattern):
            shutil.copyfile(path, out / path.name)


FORMS: dict[str, Callable[[Path, Certificate, str, str, Path, Sequence[str]], None]] = {
    "lora": write_lora,
    "merged": write_merged,
    "residual": write_residual,
}
