"""LoRA directories as subjects: ours, and any that PEFT wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from peft.utils.other import get_pattern_key
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..adapter import ANCHORS_FILE, CONFIG_FILE, FACTORS_FILE, Certificate, factor_names, product_norm, read_certificate
from ..artifacts import CERTIFICATE, read_json
from ..errors import UserError
from ..methods import Layer
from ..model import Entry, Target, read_header, read_tensor, target_of
from ..spectrum import orthonormality_error
from .change import Change, DenseChange, LowRankChange
from .spectra import SMALL
from .subject import Subject, Trained, as_made_for, does_not_fit

PREFIX = "base_model.model."
FACTORS = (".lora_A.weight", ".lora_B.weight")
MAGNITUDE = ".lora_magnitude_vector"  # DoRA's
NORM_ROUNDING = 1e-6  # relative, of a row's norm that is summed in float32
ZERO_AT_START = (True, "gaussian", "eva", "orthogonal", "mica")  # B₀A₀ = 0, the base is left alone
CHANGES_NO_BASE = (*ZERO_AT_START, False)
# why an adapter of these kinds has no change per matrix in its files, and which figures exist for it
NO_MATRIX = {
    "IA3": "it scales activations, and its change of a matrix, diag(l)·W − W, is that of the merged model",
    "LN_TUNING": "it changes the weights of norms, vectors without singular directions: of the figures only their "
    "norms and the share of entries that changed exist",
    **dict.fromkeys(
        ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT", "CPT"),
        "it puts learned vectors before the input and changes no weight: none of the figures exists for it",
    ),
}
MERGED = (
    "merge it into its base, save that with save_pretrained, and inspect the merged checkpoint: it is measured as full "
    "weights are, changed vectors included"
)
# settings of a LoRA under which W⁺ is not W + sBA
OTHER_CHANGES = {
    "kasa_config": ("it cuts W's trailing directions off and puts a diagonal between the factors", MERGED),
    "use_bdlora": ("one of its factors is block-diagonal, and the file holds the blocks alone", MERGED),
    "layer_replication": (
        "its layers are copies of the base's, in another order",
        "save the base with its layers replicated and the merged model, and inspect these two checkpoints",
    ),
}
PROMPTS = tuple(kind for kind in NO_MATRIX if kind not in ("IA3", "LN_TUNING"))


Settings = TypeVar("Settings", bound=BaseModel)


class AnyAdapter(BaseModel):
    """What every adapter_config.json says."""

    model_config = ConfigDict(extra="ignore", strict=True)

    peft_type: str


class LoraConfigFile(AnyAdapter):
    """What adapter_config.json says that the change depends on."""

    r: int = 8
    lora_alpha: float = 8
    use_rslora: bool = False
    use_dora: bool = False
    init_lora_weights: bool | str = True
    alpha_pattern: dict[str, float] = {}
    rank_pattern: dict[str, int] = {}
    kasa_config: Any = None
    use_bdlora: Any = None
    layer_replication: Any = None
    base_model_name_or_path: str | None = None


class LoraSubject(Subject):
    """W + sBA, W + s(BA − B₀A₀) where our certificate says that it is anchored, or DoRA's rescaled rows of W + sBA.

    Raises UserError for other kinds of adapter, and for starts that changed the base and are not in the files.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings = read_config(directory, LoraConfigFile)
        require_known_start(directory, self.settings)
        self.certificate = read_certificate(directory) if (directory / CERTIFICATE).is_file() else None
        self.entries = read_header(factor_file(directory))
        self.anchored = self.certificate is not None and self.certificate.anchored
        self.anchors = read_header(directory / ANCHORS_FILE) if self.anchored else {}
        self.names = matrices(self.entries, directory)
        if not self.names:
            raise UserError(
                f"{directory} holds no LoRA factors of linear layers",
                f"no tensor in {FACTORS_FILE} ends in {FACTORS[0]}",
                "give an adapter directory that PEFT's save_pretrained wrote",
            )
        read = {PREFIX + name + end for name in self.names for end in (*FACTORS, MAGNITUDE)}
        self.left_out = tuple(sorted(self.entries.keys() - read))
        self.converted = self.certificate is None and is_converted(*self.factors(min(self.names)))
        if self.certificate is not None:
            self.title, self.rank = self.certificate.method, self.certificate.rank
        else:
            self.title = "DoRA" if self.settings.use_dora else "LoRA"
            self.rank = self.settings.r // 2 if self.converted else self.settings.r
            self.base = self.settings.base_model_name_or_path or ""

    def targets(self, skeleton: PreTrainedModel) -> list[Target]:
        """Those whose factors the file holds."""
        found = named_targets(self.names, skeleton, self.directory)
        for target in found:
            A, B = (self.entries[name] for name in factor_names(target.name))
            if (B.shape[0], A.shape[1]) != target.shape or A.shape[0] != B.shape[1]:
                raise does_not_fit(
                    str(self.directory),
                    f"{target.name} is {target.shape} there, and the factors are B {B.shape} and A {A.shape}",
                )
        return found

    def rank_of(self, target: Target) -> int:
        """The rows of A; half of them where the adapter is anchored, or was and PEFT has converted it."""
        rows = self.entries[factor_names(target.name)[0]].shape[0]
        return rows // 2 if self.anchored or self.converted else rows

    def factors(self, name: str) -> tuple[Tensor, Tensor]:
        """A and B as the file has them."""
        A, B = (finite(read_tensor(self.entries[end]), self.directory) for end in factor_names(name))
        return A, B

    def scaling(self, name: str, r: int) -> float:
        """The factor s = alpha/r, or alpha/√r."""
        pattern = self.settings.alpha_pattern
        alpha = pattern.get(get_pattern_key(list(pattern), name), self.settings.lora_alpha)
        return float(alpha / (r**0.5 if self.settings.use_rslora else r))

    def read(self, target: Target, layer: Layer) -> Trained:
        """The change from the factors alone, but for DoRA."""
        require_made_for(self.certificate, target, layer, self.directory)
        A, B = self.factors(target.name)
        s = self.scaling(target.name, A.shape[0])
        if self.anchored:
            return self._anchored(target, layer, A, B, s)
        if self.converted:
            return self._converted(target, layer, A, B, s)
        change = self._change(target, layer, A, B, s)
        known = self.settings.init_lora_weights in ZERO_AT_START
        start_error = None
        if self.certificate is not None:
            errors = {one.name: one.orthonormality_error for one in self.certificate.layers}
            start_error = errors[target.name]
        return Trained(change, A, start_norm=0.0 if known else None, start_error=start_error)

    def _change(self, target: Target, layer: Layer, A: Tensor, B: Tensor, s: float) -> Change:
        """Of the factors in the file, whatever they are made of."""
        product = LowRankChange(s * B.to(torch.float64), A)
        if not self.settings.use_dora:
            return product
        return dora_change(layer.W, product, read_tensor(self.entries[PREFIX + target.name + MAGNITUDE]))

    def _anchored(self, target: Target, layer: Layer, A: Tensor, B: Tensor, s: float) -> Trained:
        """From [A; ΔA] and [ΔB, B₀]: A = A₀ + ΔA and B = B₀ + ΔB are what the published method trains."""
        r = A.shape[0] // 2
        trained = (B[:, r:] + B[:, :r]).to(torch.float64)
        A0, B0 = (read_tensor(self.anchors[f"{target.name}.{side}"]) for side in "AB")
        return Trained(
            self._change(target, layer, A, B, s),
            A[:r],
            LowRankChange(s * trained, A[:r]),
            product_norm(B0, A0),
            orthonormality_error(A0),
        )

    def _converted(self, target: Target, layer: Layer, A: Tensor, B: Tensor, s: float) -> Trained:
        """From PEFT's [A; A₀] and [B, −B₀]."""
        r = A.shape[0] // 2
        return Trained(
            self._change(target, layer, A, B, s),
            A[:r],
            LowRankChange(s * B[:, :r].to(torch.float64), A[:r]),
            product_norm(B[:, r:], A[r:]),
            orthonormality_error(A[r:]),
        )


def is_converted(A: Tensor, B: Tensor) -> bool:
    """True for A (2r, n) = [A; A₀] and B (m, 2r) = [B, −B₀], PEFT's `path_initial_model_for_weight_conversion`.

    Its settings do not say so. A half is like the other to a cosine above ½, which of independent halves is about 0.
    """
    r, odd = divmod(A.shape[0], 2)
    return not odd and bool(r) and cosine(A[:r], A[r:]) > 0.5 and cosine(B[:, :r], -B[:, r:]) > 0.5


def cosine(X: Tensor, Y: Tensor) -> float:
    """⟨X, Y⟩/(‖X‖_F‖Y‖_F), 0 where one is 0."""
    X, Y = X.to(torch.float64), Y.to(torch.float64)
    size = float(torch.linalg.vector_norm(X) * torch.linalg.vector_norm(Y))
    return float((X * Y).sum()) / size if size else 0.0


def read_config(directory: Path, model: type[Settings]) -> Settings:
    """The settings in adapter_config.json that `model` names; raises UserError where one is not what it should be."""
    try:
        return model.model_validate(read_json(directory / CONFIG_FILE))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"{directory / CONFIG_FILE} is not an adapter's",
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            "give a directory that PEFT's save_pretrained wrote",
        ) from error


def factor_file(directory: Path) -> Path:
    """adapter_model.safetensors, if it is there."""
    if not (directory / FACTORS_FILE).is_file():
        raise UserError(
            f"{directory} holds no {FACTORS_FILE}",
            "the factors are read from safetensors alone, never from pickles",
            "save the adapter with PEFT's save_pretrained, or restore the file",
        )
    return directory / FACTORS_FILE


def require_known_start(directory: Path, settings: LoraConfigFile) -> None:
    """Raise for what has no change per matrix in its files."""
    if settings.peft_type != "LORA":
        kind = settings.peft_type
        raise UserError(
            f"{directory} is an adapter of type {kind}",
            NO_MATRIX.get(kind, "its files hold no factors of a change s·BA of each matrix"),
            "inspect an adapter that changes weights" if kind in PROMPTS else MERGED,
        )
    for setting, (why, instead) in OTHER_CHANGES.items():
        if vars(settings)[setting]:
            raise UserError(
                f"{directory} is a LoRA with {setting}", f"its change is not s·BA of each matrix: {why}", instead
            )
    if settings.init_lora_weights not in CHANGES_NO_BASE:
        raise UserError(
            f"{directory} started with init_lora_weights = {settings.init_lora_weights!r}",
            "that start changed the base, and the change from the original, s(BA − B₀A₀), needs A₀ and B₀, which the "
            "files do not hold",
            "save it with path_initial_model_for_weight_conversion, or inspect the merged model as a full checkpoint",
        )


def named_targets(names: set[str], skeleton: PreTrainedModel, directory: Path) -> list[Target]:
    """The base's linear layers of these names, in its order; raises UserError where it does not have them all."""
    modules = dict(skeleton.named_modules())
    strange = sorted(names - modules.keys())
    if strange:
        others = f", nor {len(strange) - 1} others of its layers" if len(strange) > 1 else ""
        raise does_not_fit(str(directory), f"the base has no {strange[0]}{others}")
    return [linear_target(name, module) for name, module in modules.items() if name in names]


def require_made_for(certificate: Certificate | None, target: Target, layer: Layer, directory: Path) -> None:
    """Raise where our certificate names another matrix; other adapters do not say which base they are for."""
    if certificate is None:
        return
    expected = {one.name: one.fingerprint for one in certificate.bases}[target.name]
    if as_made_for(layer.base, layer.digest, expected) is None:
        raise does_not_fit(str(directory), f"{target.name} is not the matrix that it was made for")


def matrices(entries: dict[str, Entry], directory: Path) -> set[str]:
    """The modules of which a file holds both factors; raises UserError where it holds one of them alone."""
    A, B = ({name.removesuffix(end) for name in entries if name.endswith(end)} for end in FACTORS)
    missing = sorted([name + FACTORS[1] for name in A - B] + [name + FACTORS[0] for name in B - A])
    if missing:
        raise UserError(
            f"{directory} holds no {missing[0]}",
            "the other factor of this matrix is there, and the change is the product of both",
            "save the adapter again, or restore the file from a copy",
        )
    return {name.removeprefix(PREFIX) for name in A if name.startswith(PREFIX)}


def linear_target(name: str, module: nn.Module) -> Target:
    """The record of a linear layer; raises UserError for another kind."""
    if not isinstance(module, nn.Linear | Conv1D):
        raise UserError(
            f"{name} is a {type(module).__name__}",
            "the figures are defined for the weight matrix (out, in) of a linear layer",
            "merge the adapter, and inspect the merged model as a full checkpoint",
        )
    return target_of(name, module)


def finite(factor: Tensor, directory: Path) -> Tensor:
    """A factor; raises UserError where training left something that is not a number."""
    if not torch.isfinite(factor).all():
        raise UserError(
            f"{directory}: the factors hold values that are not finite",
            "training diverged before they were saved",
            "inspect an earlier checkpoint",
        )
    return factor


def dora_change(W: Tensor, product: Change, magnitude: Tensor) -> DenseChange:
    """diag(m/‖V‖_row)·V − W with V = W + sBA; dense, from rows in float64, kept in float32 beyond min(m, n) = 512.

    Where BA = 0, an m that is ‖V‖_row up to a float32 norm's rounding is that one: nothing was trained.
    Source: DoRA, arXiv:2402.09353, Eq. 5.
    """
    kept = torch.float64 if min(W.shape) <= SMALL else torch.float32
    change = torch.empty(W.shape, dtype=kept, device=W.device)
    magnitude = magnitude.to(W.device, torch.float64).view(-1, 1)
    for chosen, piece in product.pieces():
        before = W[chosen].to(torch.float64)
        V = before + piece
        scale = magnitude[chosen] / torch.linalg.vector_norm(V, dim=1, keepdim=True)
        if not product.norm:
            scale[(scale - 1).abs() < NORM_ROUNDING] = 1.0
        change[chosen] = (scale * V - before).to(kept)
    return DenseChange(change)
