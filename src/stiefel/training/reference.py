"""The reference policy of every method: the trained model with its change taken away."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trl
from datasets import Dataset
from peft import PeftModel
from torch import Tensor, nn
from trl import GRPOConfig

from ..adapter import certificate_of
from ..errors import UserError

RewardFunction = Callable[..., list[float]]


class BasePolicy:
    """Makes a model its own base for the length of a `with` block.

    An adapter is switched off, which leaves the checkpoint's weights bit for bit. Where the weights themselves train,
    a copy of them is kept and put in their place: memory of the trained weights once more, and no second model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._kept: dict[str, Tensor] = {}
        if not isinstance(model, PeftModel):
            self._kept = {
                name: parameter.detach().clone() for name, parameter in model.named_parameters() if trains(parameter)
            }

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The base, without gradients in mind: only under `torch.no_grad`."""
        if isinstance(self._model, PeftModel):
            with self._model.disable_adapter():
                yield
            return
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, parameter in self._model.named_parameters():
            if name in self._kept:
                parameter.data, self._kept[name] = self._kept[name], parameter.data


def trains(parameter: nn.Parameter) -> bool:
    """True for a parameter that the optimizer moves."""
    return bool(parameter.requires_grad)


class ReferenceTrainer(trl.GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer with an exact reference and nothing reported home.

    TRL's constructor would copy an adapter (so that the reference is the start of the factors, computed again) or load
    full weights again from where they once came from. It is shown beta = 0, and given `BasePolicy` in place of a
    reference model afterwards.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: RewardFunction | list[RewardFunction],
        args: GRPOConfig,
        train_dataset: Dataset | None = None,
        *,
        needs_base: bool = False,
        **kwargs: Any,
    ) -> None:
        if "peft_config" in kwargs:
            raise UserError(
                "GRPOTrainer was given a peft_config",
                "TRL would wrap the model itself, with starts that change the base and so the reference",
                "attach the adapter first: model = stiefel.attach(model, method, ...)",
            )
        if args.beta or needs_base:
            certificate_of(model)  # that taking the change away gives the base is true of ours, not of all
        self.base_policy = BasePolicy(model) if args.beta or needs_base else None
        shown = copy.copy(args)
        shown.beta = 0.0
        super().__init__(model, reward_funcs, shown, train_dataset, **kwargs)
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
