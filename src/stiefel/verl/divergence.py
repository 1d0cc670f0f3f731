"""The KL of a rollout's policy to the base, on the rollout's own tokens."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor
from verl.workers.utils.padding import no_padding_2_padding

from ..training import kl_from_base, kl_from_base_k1


class Divergence:
    """Means over the response tokens of all processes of a group."""

    def __init__(self, group: Any) -> None:
        self._group = group

    def from_base(self, policy: Tensor, base: Tensor, data: Any) -> dict[str, float]:
        """`kl_base` (k3) and `kl_base_k1`, of verl's log-probabilities of whole sequences under both."""
        own, reference = (no_padding_2_padding(each, data) for each in (policy, base))
        mask = data.select("response_mask").to_padded_tensor()["response_mask"].to(own.device)
        return {
            "kl_base": self._mean(kl_from_base(own, reference), mask),
            "kl_base_k1": self._mean(kl_from_base_k1(own, reference), mask),
        }

    def _mean(self, terms: Tensor, mask: Tensor) -> float:
        sums = torch.stack([(terms * mask).sum(), mask.sum().double()])
        torch.distributed.all_reduce(sums, group=self._group)
        total, count = sums.tolist()
        return float(total / max(count, 1.0))
