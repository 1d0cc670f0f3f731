"""The anchored adapter: trains W + s(BA − B₀A₀) while W stays the checkpoint's.

With A = A₀ + ΔA and B = B₀ + ΔB the change is ΔB·A + B₀·ΔA = [ΔB, B₀]·[A; ΔA]: an ordinary LoRA of rank 2r that is
structurally zero at the start. The other way to write it, [B, −B₀]·[A; A₀], subtracts two large products and loses a
small update to rounding. The two modules below stand where PEFT keeps `lora_A` and `lora_B`; to PEFT, to its merge and
to its checkpoints they look like linear layers of rank 2r.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.distributed.tensor import DTensor
from torch.nn import functional as F

from ..errors import UserError
from .sharded import sharded_as, whole


class AnchoredFactor(nn.Module, ABC):
    """A frozen anchor (a buffer, so that nothing can unfreeze it) and the trainable change from it."""

    anchor: Tensor
    bias = None  # PEFT reads it of its linear layers

    def __init__(self, anchor: Tensor) -> None:
        super().__init__()
        self.register_buffer("anchor", anchor.detach().clone(), persistent=False)
        self.delta = nn.Parameter(torch.zeros_like(self.anchor))
        self.held: Tensor | None = None  # `weight`, in a block in which it does not change

    @property
    def factor(self) -> Tensor:
        """A = A₀ + ΔA or B = B₀ + ΔB, what the published method trains."""
        return self.anchor + self.change

    @property
    def change(self) -> Tensor:
        """ΔA or ΔB; gathered where FSDP2 has sharded it, as it is outside the forward pass (when it is saved)."""
        delta = self.delta
        return whole(delta.to(self.anchor.device)) if isinstance(delta, DTensor) else delta

    @property
    def weight(self) -> Tensor:
        """The rank-2r factor that PEFT (at every forward pass), merging and serving engines see."""
        return self.concatenated() if self.held is None or torch.is_grad_enabled() else self.held

    @abstractmethod
    def concatenated(self) -> Tensor:
        """`weight`, made anew."""

    @abstractmethod
    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """A rank-2r factor → (the part that must agree with the anchor, the trained change)."""

    @abstractmethod
    def expected(self, delta: Tensor) -> Tensor:
        """What the first part of `split` must be for a given change."""

    @abstractmethod
    def product(self, x: Tensor) -> Tensor:
        """X · weightᵀ, of which autograd keeps little."""

    def forward(self, x: Tensor) -> Tensor:
        """X · weightᵀ."""
        if self.held is None or torch.is_grad_enabled():
            return self.product(x)
        return F.linear(x, self.held)

    def set_delta(self, weight: Tensor, name: str) -> None:
        """Take the change from a saved rank-2r factor that was made around the same anchor."""
        check, delta = self.split(whole(weight).to(self.anchor))
        if not torch.equal(check, self.expected(delta)):
            raise UserError(
                f"{name} was saved around another anchor",
                "its frozen part differs from A₀ or B₀ of this adapter",
                "load the adapter directory it came from with stiefel.load",
            )
        with torch.no_grad():
            self.delta.copy_(sharded_as(delta, self.delta))

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        weight = self.weight
        destination[prefix + "weight"] = weight if keep_vars else weight.detach()

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        key = prefix + "weight"
        super()._load_from_state_dict({}, prefix, local_metadata, False, [], [], [])  # its hooks: FSDP2 shards first
        if key in state_dict:
            self.set_delta(state_dict[key], key)
        elif prefix + "delta" in state_dict:  # the change alone, as FSDP2 shards it
            super()._load_from_state_dict(
                state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
            )
        elif strict:
            missing_keys.append(key)


# Autograd would keep the concatenated weights and activations of rank 2r until the backward pass. What it must keep is
# what it keeps of a LoRA of rank r: x, and (A₀ + ΔA)x.


def in_autocast(x: Tensor) -> Tensor:
    """X in the type in which autocast multiplies; as it is where autocast is off."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class TimesA(torch.autograd.Function):
    """x (…, in) → x[A₀ + ΔA; ΔA]ᵀ (…, 2r)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, delta: Tensor, anchor: Tensor) -> Tensor:
        """Keeps x, in autocast's type where it is on as a linear layer does, and the two factors, which are there."""
        ctx.dtype = x.dtype
        x = in_autocast(x)
        ctx.save_for_backward(x, delta, anchor)
        return F.linear(x, torch.cat([anchor + delta, delta]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """∂x = g[A; ΔA], ∂ΔA = (g₁ + g₂)ᵀx."""
        x, delta, anchor = ctx.saved_tensors
        r = delta.shape[0]
        to_x = to_delta = None
        if ctx.needs_input_grad[0]:
            to_x = (gradient @ torch.cat([anchor + delta, delta]).to(gradient)).to(ctx.dtype)
        if ctx.needs_input_grad[1]:
            both = (gradient[..., :r] + gradient[..., r:]).flatten(0, -2)
            to_delta = (both.T @ x.flatten(0, -2).to(both)).to(delta)
        return to_x, to_delta, None


class TimesB(torch.autograd.Function):
    """h = [Ax, ΔAx] (…, 2r) → h[ΔB, B₀]ᵀ (…, out)."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, delta: Tensor, anchor: Tensor) -> Tensor:
        """Keeps Ax, the half of h that ΔB's gradient needs, and the two factors."""
        ctx.save_for_backward(h[..., : delta.shape[1]].clone(), delta, anchor)
        return F.linear(h, torch.cat([delta, anchor], dim=1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """∂h = g[ΔB, B₀], ∂ΔB = gᵀ(Ax)."""
        Ax, delta, anchor = ctx.saved_tensors
        to_h = to_delta = None
        if ctx.needs_input_grad[0]:
            to_h = (gradient @ torch.cat([delta, anchor], dim=1).to(gradient)).to(Ax)
        if ctx.needs_input_grad[1]:
            flat = gradient.flatten(0, -2)
            to_delta = (flat.T @ Ax.flatten(0, -2).to(flat)).to(delta)
        return to_h, to_delta, None


class AnchoredA(AnchoredFactor):
    """Anchor A₀ (r, in); weight (2r, in) = [A₀ + ΔA; ΔA]."""

    def product(self, x: Tensor) -> Tensor:
        """X · weightᵀ."""
        return TimesA.apply(x, self.delta, self.anchor)  # type: ignore[no-untyped-call, no-any-return]

    def concatenated(self) -> Tensor:
        """[A₀ + ΔA; ΔA]."""
        return torch.cat([self.factor, self.change])

    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(A₀ + ΔA, ΔA)."""
        r = self.anchor.shape[0]
        return weight[:r], weight[r:]

    def expected(self, delta: Tensor) -> Tensor:
        """A₀ + ΔA."""
        return self.anchor + delta


class AnchoredB(AnchoredFactor):
    """Anchor B₀ (out, r); weight (out, 2r) = [ΔB, B₀]."""

    def product(self, x: Tensor) -> Tensor:
        """X · weightᵀ."""
        return TimesB.apply(x, self.delta, self.anchor)  # type: ignore[no-untyped-call, no-any-return]

    def concatenated(self) -> Tensor:
        """[ΔB, B₀]."""
        return torch.cat([self.change, self.anchor], dim=1)

    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(B₀, ΔB)."""
        r = self.anchor.shape[1]
        return weight[:, r:], weight[:, :r]

    def expected(self, delta: Tensor) -> Tensor:
        """B₀."""
        return self.anchor


def anchored_factors(model: nn.Module) -> list[AnchoredFactor]:
    """All anchored factors of a model; none where the method is not anchored."""
    return [module for module in model.modules() if isinstance(module, AnchoredFactor)]


@contextmanager
def held_factors(factors: Iterable[AnchoredFactor]) -> Iterator[None]:
    """A block in which an anchored adapter samples as fast as a LoRA of rank 2r: each factor is concatenated only once.

    [A₀ + ΔA; ΔA] (2r, in) and [ΔB, B₀] (out, 2r) are made at the start, where no gradient is recorded, and used for
    every token until the end. The change must stay as it is in between. Sharded factors (FSDP2) are left alone.
    Memory: once more the adapter's parameters and anchors, given back at the end.
    """
    free = [factor for factor in factors if factor.held is None and not isinstance(factor.delta, DTensor)]
    try:
        for factor in free:
            factor.held = factor.concatenated().detach()
        yield
    finally:
        for factor in free:
            factor.held = None
