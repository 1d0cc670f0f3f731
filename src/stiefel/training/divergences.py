"""How far the policy moved: within a rollout, by one, and from the base."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .kl import kl_from_base, kl_from_base_k1, kl_of_new_from_rollout
from .noise import drops_out
from .probabilities import FiniteTrainer
from .reference import BasePolicy

ROLLOUT_LOGPS = "rollout_per_token_logps"


class DivergenceTrainer(FiniteTrainer):
    """Measures `kl_rollout` at each rollout's last update, before it is applied, from what the loss computed anyway.

    Every `kl_every` rollouts, the first and the last also `kl_step` after that update and `kl_base` on the fresh
    samples, which cost forward passes; `kl_every = 0` measures none of these. Where another engine generated,
    `engine_mismatch` is the mean |log π_trainer − log π_engine| of the same tokens. All are means over the response
    tokens of all processes. Definitions: `kl.py`.
    """

    def __init__(self, *args: Any, kl_every: int = 0, needs_base: bool = False, **kwargs: Any) -> None:
        self._kl_every = kl_every
        self._logps: Tensor | None = None
        self._pieces: list[Tensor] = []  # of the rollout's last update: sums of kl_rollout's terms and of tokens
        super().__init__(*args, needs_base=needs_base or kl_every > 0, **kwargs)

    @property
    def updates_per_rollout(self) -> int:
        """Optimizer steps between two generations."""
        return int(self.args.steps_per_generation * self.num_iterations // self.args.gradient_accumulation_steps)

    @property
    def rollout(self) -> int:
        """The current rollout, from 1."""
        return int(self.state.global_step) // self.updates_per_rollout + 1

    def kl_is_due(self) -> bool:
        """True at the first and the last rollout, and at every `kl_every`-th."""
        if self._kl_every == 0:
            return False
        last = math.ceil(self.state.max_steps / self.updates_per_rollout)
        return self.rollout in (1, last) or self.rollout % self._kl_every == 0

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        with self._without_dropout() if isinstance(model, BasePolicy) else nullcontext():
            result = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        self._logps = result[0].detach()
        return result

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if not self.model.training:
            return output
        mask = output["completion_mask"]
        if "sampling_per_token_logps" in output:
            engine = output["sampling_per_token_logps"]
            scored = mask * ~engine.isnan()
            own = output.get("old_per_token_logps")  # TRL computes none for a rollout of one update
            difference = ((self._score(self.model, output) if own is None else own) - engine).abs().nan_to_num()
            self._log_mean("engine_mismatch", difference, scored)
        if self.kl_is_due():
            own = None if self._drops_out else output.get("old_per_token_logps")
            policy = self._score(self.model, output) if own is None else own
            base = self._score(self.base_policy, output)
            self._log_mean("kl_base", kl_from_base(policy, base), mask)
            self._log_mean("kl_base_k1", kl_from_base_k1(policy, base), mask)
            output[ROLLOUT_LOGPS] = policy  # kept for kl_step; the loss does not read it
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        loss: Tensor = super()._compute_loss(model, inputs)
        if self.model.training and self._is_last_update():
            assert self._logps is not None
            rollout = inputs.get("old_per_token_logps", self._logps)  # TRL keeps none for a rollout of one update
            self._pieces.append(sums(kl_of_new_from_rollout(self._logps, rollout), inputs["completion_mask"]))
            if self.accelerator.sync_gradients:  # the update's last piece: pieces hold different numbers of tokens
                self._metrics["train"]["kl_rollout"].append(self._quotient(torch.stack(self._pieces).sum(0)))
                self._pieces = []
        return loss

    def kl_step(self) -> float | None:
        """KL(π_new‖π) on the rollout's own tokens, π_new being the policy after its last update (Eq. 6).

        None where it was not due at this rollout.
        """
        batches: list[dict[str, Any]] = self._buffered_inputs
        if ROLLOUT_LOGPS not in batches[0]:
            return None
        new = torch.cat([self._score(self.model, batch) for batch in batches])
        old = torch.cat([batch[ROLLOUT_LOGPS] for batch in batches])
        mask = torch.cat([batch["completion_mask"] for batch in batches])
        return self._mean(kl_of_new_from_rollout(new, old), mask)

    def _is_last_update(self) -> bool:
        return int(self.state.global_step) % self.updates_per_rollout == self.updates_per_rollout - 1

    def _log_mean(self, name: str, values: Tensor, mask: Tensor) -> None:
        self._metrics["train"][name].append(self._mean(values, mask))

    def _mean(self, values: Tensor, mask: Tensor) -> float:
        """Mean of `values` where `mask` is 1, over all processes, in float64."""
        return self._quotient(sums(values, mask))

    def _quotient(self, own: Tensor) -> float:
        """Sum over count, of all processes."""
        total, count = self.accelerator.reduce(own, reduction="sum").tolist()
        return float(total / max(count, 1.0))

    @torch.no_grad()
    def _score(self, policy: Any, batch: dict[str, Any]) -> Tensor:
        """Log-probabilities of a batch's completions under a policy as it is now, without dropout."""
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        with self._without_dropout():
            logps, _, _ = self._get_per_token_logps_and_entropies(
                policy, ids, mask, batch["completion_ids"].shape[1], batch_size=self.args.per_device_train_batch_size
            )
        assert isinstance(logps, Tensor)
        return logps

    @contextmanager
    def _without_dropout(self) -> Iterator[None]:
        """The model as it is evaluated; left alone where that is how it trains."""
        if not self._drops_out:  # setting the mode of every module takes as long as a layer's forward pass
            yield
            return
        training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)

    @cached_property
    def _drops_out(self) -> bool:
        return bool(self.args.neftune_noise_alpha) or drops_out(self._bare_model)


def sums(values: Tensor, mask: Tensor) -> Tensor:
    """(Σ values, how many) where `mask` is 1, in float64."""
    return torch.stack([(values.double() * mask).sum(), mask.sum().double()])
