"""TRL's GRPOTrainer with the reference, the schedule and the measurements that these adapters need."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
import trl
from datasets import Dataset
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from trl import GRPOConfig

from ..adapter import certificate_of
from ..errors import UserError
from .kl import kl_from_base, kl_from_base_k1, kl_of_new_from_rollout
from .optimizers import FactorAdamW

RewardFunction = Callable[..., list[float]]
ROLLOUT_LOGPS = "rollout_per_token_logps"


class GRPOTrainer(trl.GRPOTrainer):  # type: ignore[misc]
    """`trl.GRPOTrainer` for adapters made by `stiefel.attach`.

    With beta > 0 the reference is the disabled adapter, which is exactly the base. TRL's constructor would copy the
    adapter instead, so that the reference would be the start of the factors, so it is shown beta = 0.

    Three divergences are measured besides (see `kl.py`): `kl_rollout` at each rollout's last update, before it is
    applied; every `kl_every` rollouts `kl_step` after it, and `kl_base` on the fresh samples. `kl_every = 0` measures
    none of the last two.
    """

    optimizer: Optimizer | None
    lr_scheduler: Any

    def __init__(
        self,
        model: Any,
        reward_funcs: RewardFunction | list[RewardFunction],
        args: GRPOConfig,
        train_dataset: Dataset | None = None,
        *,
        kl_every: int = 0,
        weight_decay_on: str = "delta",
        rate_factor: Callable[[int], float] | None = None,
        **kwargs: Any,
    ) -> None:
        if "peft_config" in kwargs:
            raise UserError(
                "GRPOTrainer was given a peft_config",
                "TRL would wrap the model itself, with starts that change the base and so the reference",
                "attach the adapter first: model = stiefel.attach(model, method, ...)",
            )
        if args.beta or kl_every:
            certificate_of(model)  # the disabled adapter is the base: true of our adapters, not of all
        self._kl_every = kl_every
        self._weight_decay_on = weight_decay_on
        self._rate_factor = rate_factor
        self._logps: Tensor | None = None
        shown = copy.copy(args)
        shown.beta = 0.0
        super().__init__(model, reward_funcs, shown, train_dataset, **kwargs)
        self.args.beta = self.beta = args.beta

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

    def _send_telemetry(self) -> None:
        """Nothing is reported home; TRL's constructor would."""

    # The optimizer and its schedule

    def create_optimizer(self, model: Any = None) -> Optimizer:
        """AdamW, with the decay on A and B themselves where the recipe says so."""
        if self.optimizer is None and self._weight_decay_on == "factors":
            self.optimizer = FactorAdamW(
                self.model if model is None else model,
                lr=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
            )
        optimizer: Optimizer = super().create_optimizer(model)
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> Any:
        """The recipe's schedule, which counts rollouts; TRL's own where none was given."""
        if self.lr_scheduler is None and self._rate_factor is not None:
            self.lr_scheduler = LambdaLR(self.create_optimizer() if optimizer is None else optimizer, self._rate_factor)
        return super().create_scheduler(num_training_steps, optimizer)

    # Divergences

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._logps = result[0].detach()
        return result

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.model.training and self.kl_is_due():
            policy = self._score(output)
            with self.accelerator.unwrap_model(self.model).disable_adapter():
                base = self._score(output)
            mask = output["completion_mask"]
            self._metrics["train"]["kl_base"].append(kl_from_base(policy, base, mask))
            self._metrics["train"]["kl_base_k1"].append(kl_from_base_k1(policy, base, mask))
            output[ROLLOUT_LOGPS] = policy  # kept for kl_step; the loss does not read it
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        loss: Tensor = super()._compute_loss(model, inputs)
        if self.model.training and self._is_last_update():
            assert self._logps is not None
            rollout = inputs.get("old_per_token_logps", self._logps)  # TRL keeps none for a rollout of one update
            kl = kl_of_new_from_rollout(self._logps, rollout, inputs["completion_mask"])
            self._metrics["train"]["kl_rollout"].append(kl)
        return loss

    def kl_step(self) -> float | None:
        """KL(π_new‖π) on the rollout's own tokens, π_new being the policy after its last update (Eq. 6).

        None where it was not due at this rollout.
        """
        batches: list[dict[str, Any]] = self._buffered_inputs
        if ROLLOUT_LOGPS not in batches[0]:
            return None
        new = torch.cat([self._score(batch) for batch in batches])
        old = torch.cat([batch[ROLLOUT_LOGPS] for batch in batches])
        return kl_of_new_from_rollout(new, old, torch.cat([batch["completion_mask"] for batch in batches]))

    def _is_last_update(self) -> bool:
        return int(self.state.global_step) % self.updates_per_rollout == self.updates_per_rollout - 1

    @torch.no_grad()
    def _score(self, batch: dict[str, Any]) -> Tensor:
        """Log-probabilities of a batch's completions under the policy as it is now, without dropout."""
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        training = self.model.training
        self.model.eval()
        logps, _, _ = self._get_per_token_logps_and_entropies(
            self.model, ids, mask, batch["completion_ids"].shape[1], batch_size=self.args.per_device_train_batch_size
        )
        self.model.train(training)
        assert isinstance(logps, Tensor)
        return logps
