"""PEFT's other adapters that change each matrix by factors, AdaLoRA, VeRA and MiSS, as subjects."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..adapter import FACTORS_FILE, read_certificate
from ..artifacts import CERTIFICATE
from ..errors import UserError
from ..methods import Layer
from ..model import Target, read_header, read_tensor
from .change import LowRankChange
from .lora import PREFIX, AnyAdapter, factor_file, finite, named_targets, read_config, require_made_for
from .subject import Subject, Trained, does_not_fit


def adalora_change(A: Tensor, B: Tensor, E: Tensor, alpha: float, init_r: float) -> LowRankChange:
    """ΔW = α/(r₀ + 10⁻⁵)·B·diag(E)·A of A (r, n), B (m, r), E (r, 1) and the rank r₀ at the start, as PEFT divides.

    Source: AdaLoRA, arXiv:2303.10512, Eq. 3.
    """
    return LowRankChange(alpha / (init_r + 1e-5) * B.to(torch.float64), E.to(torch.float64) * A)


def vera_change(A: Tensor, B: Tensor, d: Tensor, b: Tensor) -> LowRankChange:
    """ΔW = diag(b)·B·diag(d)·A of frozen A (r, n), B (m, r) and trained d (r,), b (m,). Source: arXiv:2310.11454."""
    return LowRankChange(b.to(torch.float64).unsqueeze(1) * B * d.to(torch.float64), A)


def miss_change(D: Tensor, inputs: int) -> LowRankChange:
    """ΔW = DᵀP of D (r, m), with P (r, n) the identity repeated over shards of r inputs. Source: arXiv:2409.15371."""
    r = D.shape[0]
    shards = torch.zeros(r, inputs, dtype=torch.float64, device=D.device)
    shards[torch.arange(inputs, device=D.device) % r, torch.arange(inputs, device=D.device)] = 1.0
    return LowRankChange(D.to(torch.float64).T, shards)


class NativeConfig(AnyAdapter):
    """What adapter_config.json says that one of these changes depends on; PEFT writes every key."""

    r: int = 8
    target_r: int = 8
    init_r: int = 12
    lora_alpha: float = 8
    init_weights: bool | str = True
    base_model_name_or_path: str | None = None


class NativeSubject(Subject):
    """W + LR with L, R made of what an adapter's file holds; raises UserError where it does not hold all of it."""

    kind: str
    parts: tuple[str, ...]  # ends of the names of a matrix's own tensors
    shared: tuple[str, ...] = ()  # tensors of all matrices together

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings = read_config(directory, NativeConfig)
        self.certificate = read_certificate(directory) if (directory / CERTIFICATE).is_file() else None
        self.entries = read_header(factor_file(directory))
        found = [
            {name.removeprefix(PREFIX).removesuffix(end) for name in self.entries if name.endswith(end)}
            for end in self.parts
        ]
        self.names = set.intersection(*found)
        if not self.names:
            raise UserError(
                f"{directory} holds no {self.kind} of linear layers",
                f"no tensor in {FACTORS_FILE} ends in {self.parts[0]}",
                "give an adapter directory that PEFT's save_pretrained wrote",
            )
        missing = [name for name in self.shared if name not in self.entries]
        if missing:
            raise UserError(
                f"{directory} holds no {missing[0]}",
                f"{self.kind}'s frozen projections are a factor of each change, and were not saved",
                "save the adapter with save_projection=True, or inspect the merged model as a full checkpoint",
            )
        read = {PREFIX + name + end for name in self.names for end in self.parts} | set(self.shared)
        self.left_out = tuple(sorted(self.entries.keys() - read))
        self.title, self.rank = self.kind, self.own_rank
        if self.certificate is not None:
            self.title = self.certificate.method
        else:
            self.base = self.settings.base_model_name_or_path or ""

    @property
    def own_rank(self) -> int:
        """The method's rank, as the settings have it."""
        return self.settings.r

    @abstractmethod
    def change(self, name: str, target: Target) -> tuple[LowRankChange, Tensor | None]:
        """One matrix's change, and its trained factor A where it has one."""

    def tensor(self, name: str) -> Tensor:
        """One tensor of the file."""
        return finite(read_tensor(self.entries[name]), self.directory)

    def of(self, name: str, end: str) -> Tensor:
        """One of a matrix's own tensors."""
        return self.tensor(PREFIX + name + end)

    def targets(self, skeleton: PreTrainedModel) -> list[Target]:
        """Those whose parts the file holds."""
        return named_targets(self.names, skeleton, self.directory)

    def rank_of(self, target: Target) -> int:
        """The same for all."""
        return self.own_rank

    def read(self, target: Target, layer: Layer) -> Trained:
        """From the file alone; nothing but what trained is not zero at the start."""
        require_made_for(self.certificate, target, layer, self.directory)
        change, A = self.change(target.name, target)
        if change.shape != target.shape:
            raise does_not_fit(
                str(self.directory), f"{target.name} is {target.shape} there, and the change is {change.shape}"
            )
        return Trained(change, A, start_norm=0.0)


class AdaLoraSubject(NativeSubject):
    """Counted at target_r, the rank that is left on average."""

    kind, parts = "AdaLoRA", (".lora_A", ".lora_B", ".lora_E")

    @property
    def own_rank(self) -> int:
        """The budget, not what it started from."""
        return self.settings.target_r

    def change(self, name: str, target: Target) -> tuple[LowRankChange, Tensor | None]:
        """From the triplets that are left."""
        A, B, E = (self.of(name, end) for end in self.parts)
        alpha, init_r = self.settings.lora_alpha, float(self.settings.init_r)
        return adalora_change(A, B, E, alpha if alpha > 0 else init_r, init_r), A


class VeraSubject(NativeSubject):
    """Each matrix takes its part of the projections that all share."""

    kind, parts = "VeRA", (".vera_lambda_d", ".vera_lambda_b")
    shared = ("base_model.vera_A", "base_model.vera_B")

    def change(self, name: str, target: Target) -> tuple[LowRankChange, Tensor | None]:
        """A and B are frozen, so that no factor A was trained."""
        A, B = (self.tensor(shared) for shared in self.shared)
        d, b = (self.of(name, end) for end in self.parts)
        if len(b) != target.shape[0]:
            raise does_not_fit(str(self.directory), f"{target.name} is {target.shape} there, and b is {len(b)} long")
        return vera_change(A[:, : target.shape[1]], B[: target.shape[0]], d, b), None


class MissSubject(NativeSubject):
    """D alone trains."""

    kind, parts = "MiSS", (".miss_block",)

    def change(self, name: str, target: Target) -> tuple[LowRankChange, Tensor | None]:
        """Its variants `bat` and `mini` are other functions of D."""
        if self.settings.init_weights is not True:
            raise UserError(
                f"{self.directory} is a MiSS of init_weights = {self.settings.init_weights!r}",
                "only the plain form changes each matrix by two factors",
                "merge it into its base, and inspect the merged checkpoint",
            )
        return miss_change(self.of(name, self.parts[0]), target.shape[1]), None


SUBJECTS: dict[str, type[NativeSubject]] = {"ADALORA": AdaLoraSubject, "VERA": VeraSubject, "MISS": MissSubject}
