"""Does a certificate hold? What is in it is recomputed from the adapter's files and the base.

Not recomputed: times, memory and versions, and of GeoRA's starts the mask shares and the residual, which would need
W_Geo to be made again.
"""

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

from ..errors import UserError
from ..model import Checkpoint, Entry, Target, build_skeleton, model_files, read_header, read_tensor
from ..own_code import is_own
from ..spectrum import SURE, frobenius_norm, norm_estimate, orthonormality_error
from .certificate import Certificate, LayerCertificate, WeightCertificate, captured_energy, product_norm
from .files import ANCHORS_FILE, CONFIG_FILE, FACTORS_FILE, factor_names
from .found import adapter_in
from .redrawn import Redrawn, certified_form
from .saved import DamagedAdapter, read_certificate
from .start import start_error

RELATIVE = 1e-4  # float32 sums over a matrix, in another order
ROUNDING = 8  # units of float32 by which rounded vectors and a product miss, in ‖W‖_F
START = "start"  # the check of starts that were drawn again, or were not
HALF = 2**-8  # the largest relative error of one rounding to bfloat16
OTHER_TYPE = (
    "the base's matrix is another one of the same norm ({} in the base's files): the same weights in another type, "
    "or changed since"
)
MAGNITUDE = "lora_magnitude_vector"  # DoRA's, beside the factors


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
    directory: Path,
    model: str,
    revision: str = "",
    progress: Callable[[str, int, int], None] | None = None,
    *,
    method: str = "",
) -> list[Check]:
    """Every check of an adapter directory against its base, one matrix in memory at a time.

    `method` draws every start again and holds it against the one in the files; without it a start of one's own,
    `module:function`, is not drawn, since no module is imported because a certificate names it. Raises UserError where
    there is no certificate, no such model, or another method. After training the start of an adapter with B₀ = 0 is no
    longer in its files, so that its figures are not recomputed; an anchored one keeps it.
    """
    directory = adapter_in(directory)
    try:
        certificate = read_certificate(directory)
    except DamagedAdapter as error:
        return [Check("files", False, error.why)]
    checks = [Check("files", True, f"{len(certificate.files)} files and the settings are the ones certified")]
    redrawn = Redrawn(certificate, method) if method else None
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
        if redrawn is not None:
            wrong += redrawn.differences(layer, W, saved.start)
        checks.append(Check(layer.name, not wrong, "; ".join(wrong) or "as certified"))
    own = [word for word in certificate.method.split("+") if is_own(word)]
    if redrawn is not None:
        checks.append(Check(START, True, redrawn.summary()))
    elif own:
        checks.append(Check(START, True, f"not drawn again: {own[0]} is imported only where --method names it"))
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
    others |= {key for key in factors.keys() - expected if MAGNITUDE not in key}
    if others:
        return Check("layers", False, f"{sorted(others)[0]} is in the files or in the certificate, and not in both")
    for layer in certificate.layers:
        for entry, shape in shapes_of(layer, certificate, factors, anchors):
            if (entry.shape, entry.dtype) != (shape, "F32"):
                return Check("layers", False, f"{entry.name} is {entry.dtype} {entry.shape}, not F32 {shape}")
    config = PeftConfig.from_pretrained(str(directory))
    wrapped = {name for name, _ in skeleton.named_modules() if name and check_target_module_exists(config, name)}
    if wrapped != named:
        odd = sorted(wrapped ^ named)[0]
        return Check("layers", False, f"{CONFIG_FILE} and the certificate disagree on {odd}")
    return Check("layers", True, f"{len(named)} layers, the same in all files")


def shapes_of(
    layer: LayerCertificate, certificate: Certificate, factors: dict[str, Entry], anchors: dict[str, Entry]
) -> Iterator[tuple[Entry, tuple[int, ...]]]:
    """Every saved tensor of a layer and the shape that it must have."""
    r, (m, n) = certificate.rank, layer.shape
    assert r is not None
    A, B = factor_names(layer.name)
    yield factors[A], (certificate.width * r, n)
    yield factors[B], (m, certificate.width * r)
    if certificate.anchored:
        yield anchors[f"{layer.name}.A"], (r, n)
        yield anchors[f"{layer.name}.B"], (m, r)


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
        rounded = math.isclose(frobenius_norm(W.to(torch.float32)), layer.norm, rel_tol=HALF)
        yield OTHER_TYPE.format(str(W.dtype).removeprefix("torch.")) if rounded else "the base's matrix is another one"
        if rounded:
            return
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
    yield from other_triplets(matrix, norm, layer, (A, B), certificate)


def other_triplets(
    W: Tensor, norm: float, layer: LayerCertificate, start: tuple[Tensor, Tensor], certificate: Certificate
) -> Iterator[str]:
    """What is not as certified of the singular triplets (u_i, σ_i, v_i) that a start is made of."""
    method = certificate.composition.start
    assert method is not None
    if is_own(method.name):  # which triplets it takes is for its function to say
        return
    solved = method.claims.subspace in ("top", "bottom")
    if (len(layer.singular_values), bool(layer.solver)) != (certificate.rank if solved else 0, solved):
        yield f"{len(layer.singular_values)} singular values by {layer.solver or 'no solver'} are not {method.name}'s"
        return
    if not solved:
        return
    A, B = (factor.to(torch.float64) for factor in start)
    S = torch.tensor(layer.singular_values, dtype=torch.float64)
    eps = torch.finfo(torch.float32).eps
    if method.claims.start is not None:  # √Σ is in both factors
        scale = certificate.scaling if certificate.options["sigma"] == "divided" else 1.0
        kept = scale * torch.linalg.vector_norm(A, dim=1) * torch.linalg.vector_norm(B, dim=0)
        if bool(((kept - S).abs() > RELATIVE * S + eps * norm).any()):
            yield f"singular_values are {kept.tolist()}, not {S.tolist()}"
    if method.claims.matrix != "W":
        return
    energy = float(S.square().sum()) / norm**2
    if not math.isclose(energy, layer.captured_energy, rel_tol=RELATIVE, abs_tol=eps):
        yield f"singular_values hold the share {energy:.6g}, not {layer.captured_energy:.6g}"
    largest = norm_estimate(W)  # of σ₁, from below
    worst = pair_error(W, A, B, S) / largest
    if not worst <= 1.5 * layer.residual + ROUNDING * eps * norm / largest or layer.residual > SURE:
        yield f"residual is {worst:.3g}, not {layer.residual:.3g}"


def pair_error(W: Tensor, A: Tensor, B: Tensor, S: Tensor) -> float:
    """The largest ‖Wv_i − σ_iu_i‖ or ‖Wᵀu_i − σ_iv_i‖; v_i is along A's rows, u_i along B's columns.

    Where B₀ = 0 no u_i is known (Wv_i has its direction only where σ_i stands above the residual), and the error is
    that of ‖Wv_i‖ = σ_i.
    """
    V = A.T / torch.linalg.vector_norm(A, dim=1)
    image = (W @ V.to(W)).to(torch.float64)
    if not B.any():
        return float((torch.linalg.vector_norm(image, dim=0) - S).abs().max())
    U = B / torch.linalg.vector_norm(B, dim=0)
    sides = image - U * S, (W.T @ U.to(W)).to(torch.float64) - V * S
    return max(float(torch.linalg.vector_norm(side, dim=0).max()) for side in sides)
