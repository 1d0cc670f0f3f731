"""Factors → a PEFT adapter on a model in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from .anchored import AnchoredA, AnchoredB
from .cache import SpectrumCache
from .certificate import Certificate, LayerCertificate, certify, product_norm
from .errors import UserError, nearest
from .methods import Factors, Layer, Method, Value, find_method, require_rank
from .skeleton import Selection, select_targets, snapshot
from .spectrum import SOLVERS, Solver

ADAPTER = "default"  # PEFT's name for the first adapter of a model
CERTIFICATE_KEY = "stiefel_certificate"  # where a model keeps its certificate, so that copies of it have it too

Progress = Callable[[str, int, int], None]  # (layer, its number, how many)


def attach(
    model: PreTrainedModel,
    method: str,
    *,
    r: int = 16,
    alpha: int = 32,
    target_modules: str | list[str] = "all-linear",
    dropout: float = 0.0,
    seed: int = 0,
    solver: str = "auto",
    cache: bool = True,
    progress: Progress | None = None,
    **options: str | float,
) -> PeftModel:
    """Add an adapter to a loaded causal language model: W + s·BA, or W + s(BA − B₀A₀) where B₀A₀ ≠ 0; s = alpha/r.

    The weights of `model` are not changed and the start is exactly its policy; the factors are float32 whatever the
    model's type. `solver` is auto, exact or fast; `cache` keeps singular triplets on disk for the next method or run,
    in the user's cache directory or where STIEFEL_CACHE says. `progress` is called with each layer's name, its number
    and the number of layers. Raises UserError, leaving the model as it was, for a method, option, rank or target that
    does not fit. Cost: what the method's singular triplets take, O(mnr) a matrix for the top and O(mn·min(m, n)) for
    the bottom.
    """
    record = find_method(method)
    settings = make_settings(record, r, alpha, seed, solver, options, dropout=dropout, cache=cache)
    if isinstance(model, PeftModel):
        raise UserError(
            "the model already carries an adapter",
            "the start must be computed from the bare weights",
            "attach to the model before it is wrapped, or call model.unload() first",
        )
    selection = select_targets(model, target_modules)
    starts = []
    for number, target in enumerate(selection.targets, start=1):
        if progress is not None:
            progress(target.name, number, len(selection.targets))
        require_rank(target.name, target.shape, r)
        base = base_matrix(model.get_submodule(target.name))
        starts.append(start_of(target.name, base, record, settings))
    adapted = wrap(model, lora_config(record, selection, r, alpha, dropout))
    for (name, module), (factors, _) in zip(lora_layers(adapted), starts, strict=True):
        assert name in (target.name for target in selection.targets)
        install(module, factors, anchored=record.anchored)
    remember(
        adapted,
        Certificate(
            method=record.name,
            anchored=record.anchored,
            rank=r,
            alpha=alpha,
            seed=seed,
            options=settings.options,
            targets=target_modules,
            layers=tuple(
                replace(certificate, start_error=attached_error(module, certificate.norm))
                for (_, module), (_, certificate) in zip(lora_layers(adapted), starts, strict=True)
            ),
        ),
    )
    return adapted


@dataclass(frozen=True)
class Settings:
    """What the start of every matrix depends on beside the matrix."""

    r: int
    alpha: int
    seed: int
    options: dict[str, Value]
    solver: Solver
    cache: SpectrumCache | None


def make_settings(
    method: Method,
    r: int,
    alpha: int,
    seed: int,
    solver: str,
    options: Mapping[str, Value],
    *,
    dropout: float = 0.0,
    cache: bool = True,
) -> Settings:
    """The checked settings; raises UserError for a value that no adapter can have."""
    check_settings(r, alpha, dropout)
    resolved = method.resolve_options(options)
    for known in SOLVERS:
        if known == solver:
            return Settings(r, alpha, seed, resolved, known, SpectrumCache() if cache else None)
    raise UserError(f"unknown solver {solver!r}", "there is no such solver", nearest(solver, SOLVERS))


def check_settings(r: int, alpha: int, dropout: float) -> None:
    """Raise for a rank, alpha or dropout that no adapter can have."""
    for name, value, holds, bound in (
        ("rank", r, isinstance(r, int) and r >= 1, "a whole number, at least 1"),
        ("alpha", alpha, isinstance(alpha, int) and alpha >= 1, "a whole number, at least 1"),
        ("dropout", dropout, 0 <= dropout < 1, "at least 0 and below 1"),
    ):
        if not holds:
            raise UserError(f"{name} = {value} is out of range", f"it must be {bound}", f"give a {name} that is")


def start_of(name: str, base: Tensor, method: Method, settings: Settings) -> tuple[Factors, LayerCertificate]:
    """One matrix's factors, on the CPU in float32, and what is known of them."""
    began = time.perf_counter()
    scaling = settings.alpha / settings.r
    layer = Layer(name, base, settings.r, scaling, settings.seed, settings.options, settings.solver, settings.cache)
    found = method.factors(layer)
    factors = Factors(found.A.to("cpu", torch.float32), found.B.to("cpu", torch.float32), found.statistics)
    certificate = certify(layer, factors, method.claims, time.perf_counter() - began)
    A, B = as_saved(factors, anchored=method.anchored)
    return factors, replace(certificate, start_error=start_error(B, A, scaling, certificate.norm))


def as_saved(factors: Factors, *, anchored: bool) -> tuple[Tensor, Tensor]:
    """The LoRA that a start is saved as, (A, B); anchored [A₀; ΔA] and [ΔB, B₀] with ΔA = ΔB = 0."""
    A, B = factors.A, factors.B
    if not anchored:
        return A, B
    # A + 0 turns −0 into +0, as adding ΔA = 0 does in the attached adapter
    return torch.cat([A + 0.0, torch.zeros_like(A)]), torch.cat([torch.zeros_like(B), B], dim=1)


def lora_config(method: Method, selection: Selection, r: int, alpha: int, dropout: float) -> LoraConfig:
    """PEFT's settings; an anchored adapter is a LoRA of rank 2r whose alpha is doubled, so that s stays."""
    width = 2 if method.anchored else 1
    return LoraConfig(
        r=width * r,
        lora_alpha=width * alpha,
        target_modules=selection.config_targets,
        lora_dropout=dropout,
        fan_in_fan_out=selection.fan_in_fan_out,
        init_lora_weights=True,
        task_type="CAUSAL_LM",
    )


def wrap(model: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """PEFT's own wrapping, which keeps the random state and the training mode, and is undone if it fails."""
    undo = snapshot(model)
    try:
        with torch.random.fork_rng():
            adapted = get_peft_model(model, config)
    except BaseException:
        undo()
        raise
    assert isinstance(adapted, PeftModel)
    adapted.train(model.training)
    return adapted


def lora_layers(model: PeftModel) -> Iterator[tuple[str, LoraLayer]]:
    """(name in the base model, PEFT layer) of every target, in the model's order."""
    for name, module in model.get_base_model().named_modules():
        if isinstance(module, LoraLayer) and ADAPTER in module.lora_A:
            yield name, module


def base_matrix(module: nn.Module) -> Tensor:
    """W (out, in) of a linear layer; GPT-2's Conv1D keeps it transposed."""
    assert isinstance(module, nn.Linear | Conv1D)
    weight = module.weight.detach()
    return weight.T if isinstance(module, Conv1D) else weight


def install(module: LoraLayer, factors: Factors, *, anchored: bool) -> None:
    """Set one layer's trainable state; float32 on the device of its base weight."""
    device = module.get_base_layer().weight.device
    A, B = factors.A.to(device, torch.float32), factors.B.to(device, torch.float32)
    if anchored:
        module.lora_A[ADAPTER], module.lora_B[ADAPTER] = AnchoredA(A), AnchoredB(B)
    else:
        for linear, factor in ((module.lora_A[ADAPTER], A), (module.lora_B[ADAPTER], B)):
            linear.weight = nn.Parameter(factor.clone())
    module.train(module.get_base_layer().training)


def start_error(B: Tensor, A: Tensor, scaling: float, norm: float) -> float:
    """‖W_eff − W‖_F/‖W‖_F of a LoRA (B, A), measured from its factors."""
    change = scaling * product_norm(B, A)
    return change / norm if norm else change


def attached_error(module: LoraLayer, norm: float) -> float:
    """The start error of a layer as it stands in the model."""
    A, B = module.lora_A[ADAPTER].weight, module.lora_B[ADAPTER].weight
    return start_error(B, A, float(module.scaling[ADAPTER]), norm)


def remember(model: PeftModel, certificate: Certificate) -> None:
    """Let a model carry its certificate."""
    vars(model)[CERTIFICATE_KEY] = certificate


def certificate_of(model: nn.Module) -> Certificate:
    """The certificate of a model that `attach` or `load` made."""
    if CERTIFICATE_KEY not in vars(model):
        raise UserError(
            f"this {type(model).__name__} carries no adapter that Stiefel made",
            "there is no record of its method and its base, nor that switching the adapter off gives the base",
            "make one with stiefel.attach, or read one with stiefel.load",
        )
    certificate = vars(model)[CERTIFICATE_KEY]
    assert isinstance(certificate, Certificate)
    return certificate
