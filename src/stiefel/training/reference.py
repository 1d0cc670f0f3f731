"""The reference policy of every method: the trained model with its change taken away, all of it or that of this run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from trl import GRPOConfig

from ..adapter import base_policy, certificate_of
from ..errors import UserError, nearest
from .ending import stop_at_turn_ends
from .shared_prompts import SharedPromptTrainer

Reference = Literal["base", "start"]
RewardFunction = Callable[..., list[float]]


class BasePolicy:
    """Stands where TRL keeps a reference model: the model itself, with its change taken away when it is asked."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The base for the length of a `with` block, under `torch.no_grad`."""
        with base_policy(self._model):
            yield


class StartPolicy(BasePolicy):
    """The policy that a run started from: the model with its trained weights put back to what they were then.

    Of a new adapter it is the base. Memory: a copy of what trains, and a second one inside the block.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._start = [parameter.detach().clone() for parameter in self._trained]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The start for the length of a `with` block, under `torch.no_grad`; afterwards every bit is as before."""
        with torch.no_grad():
            now = [parameter.detach().clone() for parameter in self._trained]
            self._put(self._start)
        try:
            yield
        finally:
            with torch.no_grad():
                self._put(now)

    def _put(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._trained, values, strict=True):
            parameter.copy_(value)


class ReferenceTrainer(SharedPromptTrainer):
    """TRL's trainer with an exact reference, rollouts that end where a turn does, and nothing reported home.

    TRL's constructor would copy an adapter (so that the reference is the start of the factors, computed again) or load
    full weights again from where they once came from. It is shown beta = 0, and given `BasePolicy` in place of a
    reference model afterwards. `reference` = "start" takes the adapter as it was given, in beta's term and in the
    measured divergences alike.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: RewardFunction | list[RewardFunction] | None,
        args: GRPOConfig,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        *,
        needs_base: bool = False,
        reference: Reference = "base",
        **kwargs: Any,
    ) -> None:
        if "peft_config" in kwargs:
            raise UserError(
                "GRPOTrainer was given a peft_config",
                "TRL would wrap the model itself, with starts that change the base and so the reference",
                "attach the adapter first: model = stiefel.attach(model, method, ...)",
            )
        if args.use_transformers_continuous_batching:
            raise UserError(
                "use_transformers_continuous_batching = True",
                "TRL would cast the model to args.bf16's type for it, the adapter's float32 factors included",
                "leave it out: transformers' ordinary generation, or use_vllm=True",
            )
        if args.sync_ref_model:
            raise UserError(
                "sync_ref_model = True",
                "the reference is the base, exactly and always: it is the model with its change taken away",
                "leave it out",
            )
        if reference not in get_args(Reference):
            raise UserError(
                f"reference = {reference!r} is not known",
                "the KL is to the base, or to the adapter as it was given, which is the start",
                nearest(str(reference), get_args(Reference)),
            )
        require_trainable(model)
        needed = bool(args.beta or needs_base)
        if needed and reference == "base":
            certificate_of(model)  # that taking the change away gives the base is true of ours, not of all
        self.base_policy = (StartPolicy if reference == "start" else BasePolicy)(model) if needed else None
        shown = copy.copy(args)
        shown.beta = 0.0
        super().__init__(model, reward_funcs, shown, train_dataset, eval_dataset, processing_class, **kwargs)
        stop_at_turn_ends(self)
        self.args.beta = self.beta = args.beta
        if self.beta:
            self.ref_model = self.base_policy  # which `_get_per_token_logps_and_entropies` knows

    def _send_telemetry(self) -> None:
        """Nothing is reported home; TRL's constructor would."""

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(model, BasePolicy):
            with model.applied():
                return super()._get_per_token_logps_and_entropies(self.model, *args, **kwargs)
        return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)


def require_trainable(model: nn.Module) -> None:
    """Raise for a model of which nothing trains."""
    if any(parameter.requires_grad for parameter in model.parameters()):
        return
    raise UserError(
        f"nothing in this {type(model).__name__} trains",
        "an adapter loaded for inference is frozen with the base: trainable=False, or PEFT's from_pretrained",
        "model = stiefel.load(base, directory), or PeftModel.from_pretrained(base, directory, is_trainable=True)",
    )
