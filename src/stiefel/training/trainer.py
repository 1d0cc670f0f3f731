"""TRL's GRPOTrainer, made right for these adapters: small layers, and the optimizer on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback
from transformers.training_args import OptimizerNames
from trl import GRPOConfig

from ..adapter import certificate_of
from ..engine import Sync
from ..errors import UserError
from .budget import BudgetTrainer
from .cap import TOTAL
from .cap_rows import CapRow
from .hidden_states import require_hidden_states
from .optimizers import is_plain, make_optimizer
from .processes import require_whole
from .reference import Reference

ADAMW = (OptimizerNames.ADAMW_TORCH, OptimizerNames.ADAMW_TORCH_FUSED)


class GRPOTrainer(BudgetTrainer):
    """`trl.GRPOTrainer` for models that `stiefel.attach` or `stiefel.load` made; use it in its place.

    What differs, each in a file of its own: the reference is exactly the base (`reference.py`), a policy without
    probabilities is noticed by all processes at once (`probabilities.py`), divergences are measured (`divergences.py`,
    `kl_every`), groups without a difference are replaced (`dynamic_sampling.py`, `max_gen_batches`), a run goes on from
    a checkpoint to the same bits (`checkpoints.py`, `resuming.py`), vLLM plays the policy beside its own untouched base
    (`sync.py`, `bridge.py`), an update costs no more KL than its share of `kl_cap` (`cap.py`), AdaLoRA's rank falls to
    its budget (`budget.py`). Here: the method's own optimizer,
    `weight_decay_on` = "delta" or "factors", and `rate_factor`, the schedule as a function of the update.
    """

    optimizer: Optimizer | None
    lr_scheduler: Any

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: GRPOConfig | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        reward_processing_classes: Any = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Optimizer | None, LambdaLR | None] = (None, None),
        *,
        kl_cap: float = 0.0,
        kl_cap_rows: str | Path | Sequence[CapRow] = (),
        kl_cap_total: float = TOTAL,
        kl_every: int = 0,
        max_gen_batches: int = 0,
        reference: Reference = "base",
        share_prompts: bool = False,
        sync: Sync | None = None,
        weight_decay_on: str = "delta",
        rate_factor: Callable[[int], float] | None = None,
        **settings: Any,
    ) -> None:
        """Take the place of `trl.GRPOTrainer`: the parameters up to `optimizers`, and `settings`, are TRL's own.

        - `kl_cap`: most that a rollout's updates may cost in KL, nats a token; 0 sets no bound
        - `kl_cap_rows`: a file with the columns prompt and answer, or text, on which an update may cost no more either
        - `kl_cap_total`: most that all updates may cost on these rows, as the KL to the reference; 0 sets no bound
        - `kl_every`: rollouts between measurements of the divergences; 0 measures none
        - `max_gen_batches`: batches that dynamic sampling may generate for one rollout; 0 is off
        - `reference`: base, or start, the adapter as it was given
        - `share_prompts`: whether a prompt is computed once for all its completions
        - `sync`: what vLLM is sent, factors or merged; None takes factors where it can
        - `weight_decay_on`: delta or factors
        - `rate_factor`: the schedule, a function of the update
        """
        require_hidden_states(model)
        self._weight_decay_on = weight_decay_on
        self._rate_factor = rate_factor
        super().__init__(
            model,
            reward_funcs,
            args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            reward_processing_classes=reward_processing_classes,
            callbacks=callbacks,
            optimizers=optimizers,
            kl_cap=kl_cap,
            kl_cap_rows=kl_cap_rows,
            kl_cap_total=kl_cap_total,
            kl_every=kl_every,
            max_gen_batches=max_gen_batches,
            reference=reference,
            share_prompts=share_prompts,
            sync=sync,
            **settings,
        )
        if self.optimizer is not None and not is_plain(self._methods_optimizer(self.model)):
            raise needs_its_own("an optimizer of yours", certificate_of(self.model).method, "optimizers")

    def create_optimizer(self, model: Any = None) -> Optimizer:
        """The optimizer of the model's method; the one that `args.optim` names, where the method has none of its own.

        Raises UserError where that would lose what the method needs, or where weights are sharded.
        """
        if self.optimizer is None:
            bare = self.accelerator.unwrap_model(self.model if model is None else model)
            made, adamw = self._methods_optimizer(bare), OptimizerNames(self.args.optim) in ADAMW
            if not is_plain(made):
                method = certificate_of(bare).method
                if not adamw:
                    raise needs_its_own(f"optim = {str(self.args.optim)!r}", method, "args.optim")
                require_whole(method, self.accelerator.distributed_type)
            if adamw:
                self.optimizer = made
        optimizer: Optimizer = super().create_optimizer(model)
        return optimizer

    def _methods_optimizer(self, model: Any) -> Optimizer:
        return make_optimizer(
            model,
            lr=self.args.learning_rate,
            weight_decay=self.args.weight_decay,
            betas=(self.args.adam_beta1, self.args.adam_beta2),
            eps=self.args.adam_epsilon,
            weight_decay_on=self._weight_decay_on,
        )

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> Any:
        """The recipe's schedule, which counts rollouts; TRL's own where none was given."""
        if self.lr_scheduler is None and self._rate_factor is not None:
            self.lr_scheduler = LambdaLR(self.create_optimizer() if optimizer is None else optimizer, self._rate_factor)
        return super().create_scheduler(num_training_steps, optimizer)


def needs_its_own(what: str, method: str, key: str) -> UserError:
    """The error of an optimizer that would lose what the method's own does."""
    return UserError(
        f"{what} for {method}",
        "its decay, projection or float32 copies are part of the AdamW that it is trained with",
        f"leave {key} out, or choose a method that any optimizer trains, with weight_decay_on = 'delta'",
    )
