"""Does a certificate hold? Everything in it is recomputed from the adapter's files and the base."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import check_target_module_exists
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from .certificate import Certificate, LayerCertificate, WeightCertificate, captured_energy, product_norm
from .checkpoint import Checkpoint
from .errors import UserError
from .files import ANCHORS_FILE, CONFIG_FILE, FACTORS_FILE, factor_names
from .linalg import frobenius_norm, orthonormality_error
from .saved import DamagedAdapter, read_certificate
from .skeleton import Target, build_skeleton
from .start import start_error
from .tensorfile import Entry, read_header, read_tensor
from .weights import fingerprint, model_files

RELATIVE = 1e-4  # float32 sums over a matrix, in another order


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Saved:
    """One layer's saved numbers: the LoRA (A, B), and the start (A₀, B₀) where it is known."""

    A: Tensor
    B: Tensor
    start: tuple[Tensor, Tensor] | None


def verify(
    directory: Path, model: str, revision: str = "", progress: Callable[[str, int, int], None] | None = None
) -> list[Check]:
    """Every check of an adapter directory against its base, one matrix in memory at a time.

    Raises UserError where there is no certificate or no such model. After training the start of an adapter with B₀ = 0
    is no longer in its files, so that its figures are not recomputed; an anchored one keeps it.
    """
    try:
        certificate = read_certificate(directory)
    except DamagedAdapter as error:
        return [Check("files", False, error.why)]
    checks = [Check("files", True, f"{len(certificate.files)} files and the settings are the ones certified")]
    base = model_files(model, revision)
    skeleton = build_skeleton(base)
    checkpoint = Checkpoint(base, skeleton)
    if certificate.weights:
        return checks + [check_weight(checkpoint, skeleton, weight) for weight in certificate.weights]
    factors = read_header(directory / FACTORS_FILE)
    anchors = read_header(directory / ANCHORS_FILE) if certificate.anchored else {}
    checks.append(same_layers(certificate, directory, skeleton, factors, anchors))
    if not checks[-1].holds:
        return checks
    modules = dict(skeleton.named_modules())
    for number, layer in enumerate(certificate.layers, start=1):
        if progress is not None:
            progress(layer.name, number, len(certificate.layers))
        if layer.name not in modules:
            checks.append(Check(layer.name, False, "the base has no such layer"))
            continue
        try:
            W = checkpoint.read(Target(layer.name, layer.shape, isinstance(modules[layer.name], Conv1D)))
        except UserError as error:
            checks.append(Check(layer.name, False, error.what))
            continue
        saved = read_layer(layer.name, factors, anchors, certificate)
        wrong = list(differences(W, layer, saved, certificate))
        checks.append(Check(layer.name, not wrong, "; ".join(wrong) or "as certified"))
    return checks


def same_layers(
    certificate: Certificate,
    directory: Path,
    skeleton: PreTrainedModel,
    factors: dict[str, Entry],
    anchors: dict[str, Entry],
) -> Check:
    """Whether the certificate, the factors, the anchors and PEFT's settings speak of the same layers."""
    named = {layer.name for layer in certificate.layers}
    expected = {key for name in named for key in factor_names(name)}
    others = {key for key in factors if key.rsplit(".", 1)[0].endswith(("lora_A", "lora_B"))} ^ expected
    others |= anchors.keys() ^ {f"{name}.{side}" for name in named for side in "AB"} if certificate.anchored else set()
    if others:
        return Check("layers", False, f"{sorted(others)[0]} is in the files or in the certificate, and not in both")
    config = PeftConfig.from_pretrained(str(directory))
    wrapped = {name for name, _ in skeleton.named_modules() if name and check_target_module_exists(config, name)}
    if wrapped != named:
        odd = sorted(wrapped ^ named)[0]
        return Check("layers", False, f"{CONFIG_FILE} and the certificate disagree on {odd}")
    return Check("layers", True, f"{len(named)} layers, the same in all files")


def check_weight(checkpoint: Checkpoint, skeleton: PreTrainedModel, weight: WeightCertificate) -> Check:
    """Whether the base's weight is the one that was certified."""
    modules = dict(skeleton.named_modules())
    try:
        if weight.name in modules:
            out_features, in_features = weight.shape
            conv1d = isinstance(modules[weight.name], Conv1D)
            found = checkpoint.read(Target(weight.name, (out_features, in_features), conv1d))
        else:
            found = checkpoint.read_parameter(weight.name)
    except UserError as error:
        return Check(weight.name, False, error.what)
    holds = certified_form(found, weight.fingerprint) is not None
    return Check(weight.name, holds, "as certified" if holds else "the base's weight is another one")


def certified_form(weight: Tensor, certified: str) -> Tensor | None:
    """A stored weight in the type in which it has the fingerprint: its own, or the one that it was loaded in."""
    for dtype in (weight.dtype, torch.bfloat16, torch.float16):
        form = weight.to(dtype)
        if fingerprint(form) == certified:
            return form
    return None


def read_layer(name: str, factors: dict[str, Entry], anchors: dict[str, Entry], certificate: Certificate) -> Saved:
    """A layer's saved factors, and the start that they or the anchors hold."""
    A, B = (read_tensor(factors[key]) for key in factor_names(name))
    if certificate.anchored:
        return Saved(A, B, (read_tensor(anchors[f"{name}.A"]), read_tensor(anchors[f"{name}.B"])))
    return Saved(A, B, None if B.any() else (A, B))


def differences(W: Tensor, layer: LayerCertificate, saved: Saved, certificate: Certificate) -> Iterator[str]:
    """What is not as certified."""
    if tuple(W.shape) != layer.shape:
        yield f"the base's matrix is {tuple(W.shape)}, not {layer.shape}"
        return
    form = certified_form(W, layer.fingerprint)
    if form is None:
        yield "the base's matrix is another one"
    if saved.start is None:
        return
    A, B = saved.start
    r = certificate.rank
    assert r is not None
    if certificate.anchored:
        # [A₀ + ΔA; ΔA] and [ΔB, B₀]: the frozen halves are the anchors'
        if not torch.equal(saved.B[:, r:], B):
            yield "B₀ in the factors is not the anchor's"
        if not torch.equal(saved.A[:r], A + saved.A[r:]):
            yield "A₀ in the factors is not the anchor's"
    scaling = certificate.scaling
    matrix = (W if form is None else form).to(torch.float32)
    norm = frobenius_norm(matrix)
    figures = {
        "norm": norm,
        "captured_energy": captured_energy(matrix, A, norm),
        "orthonormality_error": orthonormality_error(A),
        "anchor_norm": scaling * product_norm(B, A),
    }
    if not saved.B[:, :r].any() and (not certificate.anchored or not saved.A[r:].any()):  # not trained yet
        figures["start_error"] = start_error(saved.B, saved.A, scaling, norm)
    for name, found in figures.items():
        expected = float(vars(layer)[name])
        # figures of the size of rounding are compared to float32's own unit
        if not math.isclose(found, expected, rel_tol=RELATIVE, abs_tol=torch.finfo(torch.float32).eps):
            yield f"{name} is {found:.6g}, not {expected:.6g}"
