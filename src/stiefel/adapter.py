"""Factors → a standard PEFT adapter: attach to a model in memory, save, load."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from .anchored import AnchoredA, AnchoredB, AnchoredFactor
from .artifacts import CERTIFICATE, read_json, refuse_existing, whole_directory, write_json
from .certificate import ANCHORS_FILE, Certificate, LayerCertificate, certify
from .errors import UserError
from .methods import Factors, Layer, Method, find_method
from .weights import fingerprint

ADAPTER = "default"  # PEFT's name for the first adapter of a model
_CERTIFICATES: WeakKeyDictionary[PeftModel, Certificate] = WeakKeyDictionary()


def attach(
    model: nn.Module,
    method: str,
    *,
    r: int = 16,
    alpha: int = 32,
    target_modules: str | list[str] = "all-linear",
    dropout: float = 0.0,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
    **options: str,
) -> PeftModel:
    """Add an adapter to a loaded causal language model: W + s·BA, or W + s(BA − B₀A₀) where B₀A₀ ≠ 0; s = alpha/r.

    The weights of `model` are not changed and the start is exactly its policy; the factors are float32 whatever the
    model's type. `progress` is called with each layer's name, its number and the number of layers. Raises UserError,
    leaving the model as it was, for a method, option, rank or target that does not fit. Cost: what the method's
    singular triplets take, O(mn·min(m, n)) a matrix for the spectral methods.
    """
    record = find_method(method)
    resolved = record.resolve_options(options)
    check_settings(r, alpha, dropout)
    if isinstance(model, PeftModel):
        raise UserError(
            "the model already carries an adapter",
            "the start must be computed from the bare weights",
            "attach to the model before it is wrapped, or call model.unload() first",
        )
    width = 2 if record.anchored else 1
    config = LoraConfig(
        r=width * r,
        lora_alpha=width * alpha,
        target_modules=target_modules,
        lora_dropout=dropout,
        init_lora_weights=True,
        task_type="CAUSAL_LM",
    )
    adapted = inject(model, config)
    try:
        layers = fill(adapted, record, r, alpha, seed, resolved, progress)
    except BaseException:
        adapted.unload()
        raise
    _CERTIFICATES[adapted] = Certificate(
        method=record.name,
        anchored=record.anchored,
        rank=r,
        alpha=alpha,
        seed=seed,
        options=resolved,
        targets=target_modules,
        layers=tuple(layers),
    )
    return adapted


def check_settings(r: int, alpha: int, dropout: float) -> None:
    """Raise for a rank, alpha or dropout that no adapter can have."""
    for name, value, holds, bound in (
        ("rank", r, r >= 1, "at least 1"),
        ("alpha", alpha, alpha >= 1, "at least 1"),
        ("dropout", dropout, 0 <= dropout < 1, "at least 0 and below 1"),
    ):
        if not holds:
            raise UserError(f"{name} = {value} is out of range", f"it must be {bound}", f"give a {name} {bound}")


def inject(model: nn.Module, config: LoraConfig) -> PeftModel:
    """PEFT's own wrapping, which leaves the global random state as it was and refuses what it would get wrong."""
    try:
        with torch.random.fork_rng():
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise UserError(
            f"targets {config.target_modules!r} do not fit this model",
            str(error).splitlines()[0],
            'use "all-linear", or names of its linear layers such as q_proj',
        ) from error
    assert isinstance(adapted, PeftModel)
    try:
        for name, layer in lora_layers(adapted):
            refuse_unsupported(adapted, name, layer)
    except UserError:
        adapted.unload()
        raise
    return adapted


def refuse_unsupported(model: PeftModel, name: str, layer: LoraLayer) -> None:
    """Raise for a target whose adapter would be wrong in silence."""
    base = layer.get_base_layer()
    if not isinstance(layer, LoraLinear) or not isinstance(base, nn.Linear | Conv1D):
        raise UserError(
            f"{name} is a {type(base).__name__}",
            "only linear layers have a weight matrix (out, in) that these methods are defined for",
            "leave it out of the targets",
        )
    embedding = model.get_base_model().get_input_embeddings()
    if base.weight is embedding.weight:
        raise UserError(
            f"{name} shares its weight with the input embedding",
            "an adapter on it would be merged into the embedding too, which changes the model's input",
            'leave it out of the targets; "all-linear" does',
        )


def lora_layers(model: PeftModel) -> Iterator[tuple[str, LoraLayer]]:
    """(name in the base model, PEFT layer) of every target, in the model's order."""
    for name, module in model.get_base_model().named_modules():
        if isinstance(module, LoraLayer) and ADAPTER in module.lora_A:
            yield name, module


def base_matrix(layer: LoraLayer) -> Tensor:
    """W (out, in) of a target; GPT-2's Conv1D keeps it transposed."""
    base = layer.get_base_layer()
    weight = base.weight.detach()
    assert isinstance(weight, Tensor)
    return weight.T if isinstance(base, Conv1D) else weight


def fill(
    model: PeftModel,
    method: Method,
    r: int,
    alpha: int,
    seed: int,
    options: Mapping[str, str],
    progress: Callable[[str, int, int], None] | None,
) -> list[LayerCertificate]:
    """Compute every target's factors and put them where PEFT will use them."""
    targets = list(lora_layers(model))
    certificates = []
    for number, (name, module) in enumerate(targets, start=1):
        if progress is not None:
            progress(name, number, len(targets))
        began = time.perf_counter()
        W = base_matrix(module)
        layer = Layer(name, W.to(torch.float32), r, alpha / r, seed, options)
        factors = method.factors(layer)
        install(module, factors, anchored=method.anchored)
        seconds = time.perf_counter() - began
        with torch.no_grad():
            start = module.lora_B[ADAPTER].weight @ module.lora_A[ADAPTER].weight * module.scaling[ADAPTER]
        certificates.append(certify(layer, factors, start.cpu(), W, seconds))
    return certificates


def install(module: LoraLayer, factors: Factors, *, anchored: bool) -> None:
    """Set one layer's trainable state; float32 on the device of its base weight."""
    device = module.get_base_layer().weight.device
    A, B = factors.A.to(device, torch.float32), factors.B.to(device, torch.float32)
    if anchored:
        module.lora_A[ADAPTER], module.lora_B[ADAPTER] = AnchoredA(A), AnchoredB(B)
        return
    for linear, factor in ((module.lora_A[ADAPTER], A), (module.lora_B[ADAPTER], B)):
        linear.weight = nn.Parameter(factor.clone())


def certificate_of(model: PeftModel) -> Certificate:
    """The certificate of a model that `attach` or `load` made."""
    if model not in _CERTIFICATES:
        raise UserError(
            "this adapter was not made by Stiefel",
            "there is no record of its method and its base",
            "make it with stiefel.attach, or read it with stiefel.load",
        )
    return _CERTIFICATES[model]


def save(model: PeftModel, out: Path) -> None:
    """Write the adapter directory: PEFT's two files, the certificate, and the anchors where there are any."""
    certificate = certificate_of(model)
    refuse_existing(out, "give another directory, or remove it first")
    with whole_directory(out) as building:
        model.save_pretrained(str(building), save_embedding_layers=False)
        if certificate.anchored:
            save_file(anchors(model), building / ANCHORS_FILE)
        write_json(building / CERTIFICATE, certificate.to_json())


def anchors(model: PeftModel) -> dict[str, Tensor]:
    """A₀ and B₀ of every target, by name."""
    found = {}
    for name, module in lora_layers(model):
        for side, factor in (("A", module.lora_A[ADAPTER]), ("B", module.lora_B[ADAPTER])):
            assert isinstance(factor, AnchoredFactor)
            found[f"{name}.{side}"] = factor.anchor.cpu().contiguous()
    return found


def load(model: nn.Module, directory: str | Path, *, trainable: bool = True) -> PeftModel:
    """A saved adapter on its base model, ready to train on; raises UserError where the base is another one."""
    directory = Path(directory)
    if not (directory / CERTIFICATE).is_file():
        raise UserError(
            f"{directory} is not an adapter that Stiefel made",
            f"it holds no {CERTIFICATE}",
            "give the directory that `stiefel init` or `stiefel train` wrote, or use PEFT's own loader",
        )
    record = read_json(directory / CERTIFICATE)
    layers = tuple(LayerCertificate(**{**row, "shape": tuple(row["shape"])}) for row in record["layers"])
    certificate = Certificate(
        layers=layers,
        **{key: record[key] for key in ("method", "anchored", "rank", "alpha", "seed", "options", "targets")},
    )
    adapted = PeftModel.from_pretrained(model, str(directory), is_trainable=trainable)
    try:
        require_base(adapted, certificate, directory)
    except UserError:
        adapted.unload()
        raise
    if certificate.anchored:
        saved = load_file(directory / ANCHORS_FILE)
        for name, module in lora_layers(adapted):
            weights = [factors[ADAPTER].weight.detach() for factors in (module.lora_A, module.lora_B)]
            install(module, Factors(saved[f"{name}.A"], saved[f"{name}.B"]), anchored=True)
            for weight, factors in zip(weights, (module.lora_A, module.lora_B), strict=True):
                anchored = factors[ADAPTER]
                assert isinstance(anchored, AnchoredFactor)
                anchored.set_delta(weight, f"{directory}: {name}")
                anchored.requires_grad_(trainable)
    _CERTIFICATES[adapted] = certificate
    return adapted


def require_base(model: PeftModel, certificate: Certificate, directory: Path) -> None:
    """Raise unless every target matrix is the one that the adapter was made for."""
    expected = {layer.name: layer.fingerprint for layer in certificate.layers}
    found = {name: fingerprint(base_matrix(module)) for name, module in lora_layers(model)}
    wrong = [name for name in expected if found.get(name) != expected[name]]
    if wrong:
        raise UserError(
            f"{directory} was made for another base",
            f"{len(wrong)} of {len(expected)} target matrices differ, the first is {wrong[0]}",
            "load the model, in the type, that it was made from",
        )
