"""Full checkpoints as subjects: fine-tuned, or merged from an adapter of any kind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import UserError
from ..methods import Layer
from ..model import Checkpoint, Target, build_skeleton, read_tensor, select_targets
from ..spectrum import PIECE
from .change import DenseChange, energy
from .subject import Subject, Trained, Vector, does_not_fit

RANK = 16  # directions that are counted where no method says how many


class FullSubject(Subject):
    """ΔW = W⁺ − W of every linear layer, from two checkpoints."""

    rank = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.title = "full weights"
        skeleton = build_skeleton(directory)
        self.checkpoint = Checkpoint(directory, skeleton)
        self.selection = select_targets(skeleton, "all-linear", called=False)
        self.checkpoint.require(self.selection.targets)

    def targets(self, skeleton: PreTrainedModel) -> list[Target]:
        """All linear layers but the output head, which must be the base's."""
        base = {target.name: target for target in select_targets(skeleton, "all-linear", called=False).targets}
        for target in self.selection.targets:
            if base.get(target.name) != target:
                raise does_not_fit(str(self.directory), f"{target.name} {target.shape} is not among the base's layers")
        if len(base) != len(self.selection.targets):
            raise does_not_fit(
                str(self.directory), f"the base has {len(base)} linear layers, not {len(self.selection.targets)}"
            )
        return list(self.selection.targets)

    def rank_of(self, target: Target) -> int:
        """A choice: there is no method's rank."""
        return RANK

    def read(self, target: Target, layer: Layer) -> Trained:
        """In float32, which holds the difference of two bfloat16 numbers of like size exactly."""
        stored = self.checkpoint.read(target)
        changed = require_finite(stored.to(torch.float32), self.directory, target.name)
        return Trained(DenseChange(changed - layer.W), rounded=stored.dtype == torch.bfloat16)

    def vectors(self, base: Checkpoint) -> Iterator[Vector]:
        """Every parameter of both that is no target matrix, and how it changed; one in memory at a time."""
        targets = {target.parameter for target in self.selection.targets}
        for name in sorted(self.checkpoint.sources.keys() & base.sources.keys() - targets):
            sources = [checkpoint.sources[name] for checkpoint in (base, self.checkpoint)]
            if any(source.converter is not None for source in sources):
                continue  # cut out of or joined from several tensors: experts, which the targets cover or refuse
            before, after = (
                read_tensor(checkpoint.entries[source.keys[0][1]])
                for checkpoint, source in zip((base, self.checkpoint), sources, strict=True)
            )
            if before.shape != after.shape:
                raise does_not_fit(str(self.directory), f"{name} is {tuple(before.shape)} there")
            yield compare(name, before, after)


def require_finite(changed: Tensor, directory: Path, name: str) -> Tensor:
    """The matrix; raises UserError where training left something that is not a number."""
    low, high = torch.aminmax(changed)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise UserError(
            f"{directory}: {name} holds values that are not finite",
            "training diverged before it was saved",
            "inspect an earlier checkpoint",
        )
    return changed


def compare(name: str, before: Tensor, after: Tensor) -> Vector:
    """Two versions of a parameter, a piece at a time: an embedding can be larger than every matrix."""
    norm, change, moved = 0.0, 0.0, 0
    for old, new in zip(torch.split(before.reshape(-1), PIECE), torch.split(after.reshape(-1), PIECE), strict=True):
        norm += energy(old)
        change += energy(new.to(torch.float64) - old.to(torch.float64))
        moved += int((new.to(torch.bfloat16) != old.to(torch.bfloat16)).count_nonzero())
    return Vector(name, tuple(before.shape), math.sqrt(norm), math.sqrt(change), moved / max(1, before.numel()))
