"""How anchored factors look in a state dict while FSDP2 shards them: a LoRA's rank-2r weight, split over processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ..adapter import AnchoredFactor, sharded_as


@contextmanager
def built_by_changes(factors: Iterable[AnchoredFactor]) -> Iterator[None]:
    """A block in which state dicts hold ΔA and ΔB alone: the parameters that FSDP2 sends from the first process.

    Anchors are buffers, which verl sends beside them.
    """
    handles = [factor.register_state_dict_post_hook(show_change) for factor in factors]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def shown_as_shards(factors: Iterable[AnchoredFactor]) -> None:
    """From now on each process's state dict holds its part of the weight, and its checkpoint no more than that."""
    for factor in factors:
        factor.register_state_dict_post_hook(show_shard)  # type: ignore[no-untyped-call]


def show_change(factor: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """The change in the weight's place."""
    assert isinstance(factor, AnchoredFactor)
    del state[prefix + "weight"]
    state[prefix + "delta"] = factor.delta.detach()


def show_shard(factor: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """The weight, split as the change is."""
    assert isinstance(factor, AnchoredFactor)
    state[prefix + "weight"] = sharded_as(state[prefix + "weight"], factor.delta)
