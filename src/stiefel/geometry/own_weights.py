"""The model's own weights as our training saved them: all of them (`full`), or the entries in a mask (`sparse`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel

from ..adapter import WEIGHTS_FILE, read_certificate
from ..artifacts import CERTIFICATE
from ..errors import UserError
from ..methods import Layer
from ..model import Checkpoint, Target, fingerprint, select_targets
from .change import DenseChange
from .full import RANK, compare, require_finite
from .subject import Subject, Trained, Vector, as_made_for, does_not_fit


class OwnWeightsSubject(Subject):
    """ΔW = W⁺ − W of the linear layers in a directory that `save` wrote of `full` or `sparse`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = read_certificate(directory)
        if self.certificate.composition.is_peft:
            raise UserError(
                f"{directory} holds {CERTIFICATE} without its settings",
                "the certificate is of an adapter of PEFT's",
                "restore adapter_config.json from a copy, or make the adapter again",
            )
        self.title, self.rank = self.certificate.method, self.certificate.rank
        self.fingerprints = {weight.name: weight.fingerprint for weight in self.certificate.bases}
        with safe_open(directory / WEIGHTS_FILE, "pt") as file:
            self.names = set(file.keys())

    @property
    def masked(self) -> bool:
        """True where places and values are kept."""
        return self.certificate.composition.main.mask is not None

    def targets(self, skeleton: PreTrainedModel) -> list[Target]:
        """The linear layers that it trained."""
        ends = ".indices" if self.masked else ""
        found = [
            target
            for target in select_targets(skeleton, "all-linear", called=False).targets
            if target.parameter + ends in self.names
        ]
        if not found:
            raise does_not_fit(str(self.directory), "none of its weights is a linear layer there")
        return found

    def rank_of(self, target: Target) -> int:
        """GeoRA's, of its mask; otherwise a choice."""
        return self.rank or RANK

    def read(self, target: Target, layer: Layer) -> Trained:
        """In float32; of a mask the change is zero elsewhere, exactly."""
        name = target.name if self.masked else target.parameter
        base = layer.base.T if target.conv1d and not self.masked else layer.base  # of `full`, as the parameter lies
        stood_on = self.made_for(base, fingerprint(base) if base is not layer.base else layer.digest, name)
        W = stood_on.to(torch.float32)
        if target.conv1d and self.masked:
            W = W.T  # as the parameter lies in memory
        if self.masked:
            change = torch.zeros(W.shape, dtype=torch.float32)
            places = self.tensor(f"{target.parameter}.indices")
            stored = self.tensor(f"{target.parameter}.values")
            values = require_finite(stored.to(torch.float32), self.directory, target.name)
            change.view(-1)[places] = values - W.flatten()[places]
        else:
            stored = self.tensor(target.parameter)
            change = require_finite(stored.to(torch.float32), self.directory, target.name) - W
        rounded = stored.dtype == torch.bfloat16
        return Trained(DenseChange(change.T if target.conv1d else change), rounded=rounded)

    def made_for(self, base: Tensor, digest: str, name: str) -> Tensor:
        """The base's weight as training found it; raises UserError where it was another one."""
        found = as_made_for(base, digest, self.fingerprints[name])
        if found is None:
            raise does_not_fit(str(self.directory), f"{name} is not the weight that it was made for")
        return found

    def tensor(self, name: str) -> Tensor:
        """One tensor of the file, opened for it alone: an open file keeps its pages."""
        with safe_open(self.directory / WEIGHTS_FILE, "pt") as file:
            found: Tensor = file.get_tensor(name)
            return found.clone()

    def vectors(self, base: Checkpoint) -> Iterator[Vector]:
        """Of `full`, every parameter that is no linear layer."""
        if self.masked:
            return
        targets = {target.parameter for target in self.targets(base.skeleton)}
        for name in sorted((self.names & base.sources.keys()) - targets):
            before = base.read_parameter(name)
            yield compare(name, self.made_for(before, fingerprint(before), name), self.tensor(name))
