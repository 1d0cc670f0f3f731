"""AdaLoRA's part of training: the schedule, the term in the loss, and the cut of the rank after every step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.adalora import AdaLoraModel, RankAllocator
from torch import Tensor, nn

from ..adapter import ADAPTER, certificate_of, lora_layers
from ..errors import UserError

PATTERN_KEY = "stiefel_rank_pattern"  # where a model keeps which triplets are left
PATTERN, IMPORTANCE, UNCERTAINTY = "rank_pattern.", "exp_avg_ipt.", "exp_avg_unc."


def is_adalora(model: nn.Module) -> bool:
    """True for a model that `attach` or `load` gave AdaLoRA."""
    return isinstance(model, PeftModel) and certificate_of(model).composition.has("adalora")


def plan_budget(model: PeftModel, total_steps: int) -> None:
    """Set the schedule of a run of so many optimizer steps: ranks fall from step tinit·T to (1 − tfinal)·T.

    At the last of these the average rank is the budget, the rank that `attach` was given. Raises UserError where the
    steps leave no room for it. Call it before training, and again before a run goes on.
    """
    start, end = schedule(certificate_of(model).options, total_steps)
    config = model.peft_config[ADAPTER]
    config.total_step, config.tinit, config.tfinal = total_steps, start, end


def schedule(options: Mapping[str, Any], total_steps: int) -> tuple[int, int]:
    """The step after which ranks fall, and the steps left when they have; raises UserError where there is no room."""
    start, end = (math.floor(float(options[name]) * total_steps) for name in ("tinit", "tfinal"))
    if total_steps < 2 or start >= total_steps - end - 1:
        raise UserError(
            f"AdaLoRA has no step to cut its rank in: {total_steps} optimizer steps, tinit {options['tinit']}, "
            f"tfinal {options['tfinal']}",
            "it weighs its triplets in one step at least and cuts them in a later one",
            "more optimizer steps, at least 2, or smaller shares tinit and tfinal",
        )
    return start, end


def orthogonality(model: PeftModel) -> Tensor:
    """γ·mean over A and B of ‖AAᵀ − I‖_F, ‖BᵀB − I‖_F: the term to add to a loss that is made of the logits.

    PEFT adds it by itself where the model is given labels and returns its own loss, and nowhere else. Source:
    arXiv:2303.10512, Eq. 4, as PEFT weighs it.
    """
    terms = []
    for _, module in lora_layers(model):
        for gram in (
            module.lora_A[ADAPTER] @ module.lora_A[ADAPTER].T,
            module.lora_B[ADAPTER].T @ module.lora_B[ADAPTER],
        ):
            terms.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
    return float(model.peft_config[ADAPTER].orth_reg_weight) * torch.stack(terms).mean()


def allocate(model: PeftModel, global_step: int) -> None:
    """Weigh the triplets and cut the least important ones; after optimizer step `global_step`, from 1.

    To be called before the gradients are cleared. Raises UserError where no schedule was planned.
    """
    config, tuner = model.peft_config[ADAPTER], tuner_of(model)
    if config.total_step < 2:
        raise UserError(
            "AdaLoRA's schedule is not planned", "its ranks fall over the whole run", "plan_budget(model, total_steps)"
        )
    # PEFT keeps the pattern in the settings, and saves an adapter cut by it, from which a run could not go on
    config.rank_pattern = vars(model).get(PATTERN_KEY)
    tuner.update_and_allocate(global_step)
    vars(model)[PATTERN_KEY], config.rank_pattern = config.rank_pattern, None


def ranks(model: PeftModel) -> dict[str, int]:
    """How many triplets of every layer are not zero."""
    return {name: int(module.lora_E[ADAPTER].count_nonzero()) for name, module in lora_layers(model)}


def training_state(model: PeftModel) -> dict[str, Tensor]:
    """What the allocation goes on from, beside the adapter: importance, its uncertainty, and the triplets left."""
    allocator = allocator_of(model)
    pattern: dict[str, list[bool]] = vars(model).get(PATTERN_KEY) or {}
    return {
        **{IMPORTANCE + name: value.clone() for name, value in allocator.exp_avg_ipt.items()},
        **{UNCERTAINTY + name: value.clone() for name, value in allocator.exp_avg_unc.items()},
        **{PATTERN + name: torch.tensor(left) for name, left in pattern.items()},
    }


def load_training_state(model: PeftModel, state: dict[str, Tensor]) -> None:
    """Put back what `training_state` gave."""
    allocator = allocator_of(model)

    def of(prefix: str) -> dict[str, Tensor]:
        device = model.device
        return {name.removeprefix(prefix): t.to(device) for name, t in state.items() if name.startswith(prefix)}

    allocator.exp_avg_ipt, allocator.exp_avg_unc = of(IMPORTANCE), of(UNCERTAINTY)
    allocator.ipt = {name: torch.zeros_like(value) for name, value in allocator.exp_avg_ipt.items()}
    pattern = {name: left.tolist() for name, left in of(PATTERN).items()}
    vars(model)[PATTERN_KEY] = pattern or None


def tuner_of(model: PeftModel) -> AdaLoraModel:
    """PEFT's AdaLoRA."""
    tuner: Any = model.base_model
    assert isinstance(tuner, AdaLoraModel)
    return tuner


def allocator_of(model: PeftModel) -> RankAllocator:
    """PEFT's allocator; it is there where the adapter trains."""
    return tuner_of(model).rankallocator
