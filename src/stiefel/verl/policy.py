"""The model that verl trains: its base with the adapter of a directory, as `stiefel.load` makes it, or a residual one.

An anchored directory trains ΔA and ΔB around frozen anchors, where verl's own loader would train all 2r factors of the
LoRA that the directory looks like. Every process loads it, before anything is sharded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from peft import PeftModel
from torch import nn

from ..adapter import ADAPTER, CONFIG_FILE, load, load_hollow, lora_layers
from ..artifacts import CERTIFICATE, read_json
from ..engine import require_factors
from ..errors import UserError
from .residual import is_residual, load_residual

T = TypeVar("T")


def require_adapter(model_config: Any, strategy: str) -> None:
    """Raise for settings with which verl would ignore the directory, draw a LoRA of its own, or lose the anchors."""
    path, rank = model_config.lora_adapter_path, model_config.lora_rank
    if path is None and rank > 0:
        raise UserError(
            f"model.lora_rank = {rank} without model.lora_adapter_path",
            "verl would draw a LoRA of its own, in the base's type",
            "name the directory that `stiefel init` wrote, or leave the plug-in out",
        )
    if path is None:
        return
    if strategy != "fsdp2":
        raise UserError(
            f"actor.strategy = {strategy} with a Stiefel adapter",
            "FSDP1 flattens a block's parameters into one, in which frozen anchors and trained changes have no place",
            "actor_rollout_ref.actor.strategy=fsdp2",
        )
    config = read_config(Path(path))
    for key, given, saved in (
        ("lora_rank", rank, config["r"]),
        ("lora_alpha", model_config.lora_alpha, config["lora_alpha"]),
    ):
        if given != saved:
            raise UserError(
                f"model.{key} = {given}, and the adapter in {path} says {saved}",
                "verl ignores an adapter whose rank is 0, and sizes the rollout's engine by these keys",
                f"actor_rollout_ref.model.{key}={saved}",
            )


def read_config(directory: Path) -> dict[str, Any]:
    """adapter_config.json, of a directory in which verl's and PEFT's loaders would find what they need."""
    if not (directory / CONFIG_FILE).is_file():
        raise UserError(
            f"model.lora_adapter_path = {directory} is no adapter",
            f"there is no {CONFIG_FILE} in it",
            "the directory that `stiefel init` wrote",
        )
    config = read_json(directory / CONFIG_FILE)
    if config.get("init_lora_weights") is not True:
        raise UserError(
            f"{directory / CONFIG_FILE} says init_lora_weights = {config.get('init_lora_weights')!r}",
            "PEFT would compute the start anew when it is loaded, and change the base's weights under it",
            "make the adapter with `stiefel init`, whose settings say true",
        )
    assert isinstance(config, dict)
    return config


def load_policy(base: Any, directory: Path, dropout: float) -> PeftModel:
    """The base with the adapter, ready to train; what an engine that serves LoRA cannot be given is refused."""
    if (directory / CERTIFICATE).is_file():
        hollow = any(parameter.is_meta for parameter in base.parameters())
        policy: Any = load_hollow(base, directory) if hollow else load(base, directory)
    elif is_residual(directory):
        policy = load_residual(base, directory)
    else:
        raise UserError(
            f"{directory} is neither certified nor a residual adapter of ours",
            "what its reference policy is, and whether it starts there, is not known",
            "make it with `stiefel init`",
        )
    require_factors(policy)
    assert isinstance(policy, PeftModel)
    set_dropout(policy, dropout)
    return policy


def set_dropout(policy: PeftModel, p: float) -> None:
    """The dropout that was asked for, whatever the directory's settings say."""
    policy.peft_config[ADAPTER].lora_dropout = p
    for _, layer in lora_layers(policy):
        layer.lora_dropout[ADAPTER] = nn.Dropout(p) if p else nn.Identity()


def of_all_processes(make: Callable[[], T]) -> T:
    """What each process makes; where one fails with a user's mistake, all raise it, and none waits for the others."""
    made, mistake = None, None
    try:
        made = make()
    except UserError as error:
        mistake = error
    found: list[UserError | None] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, mistake)
    for each in found:
        if each is not None:
            raise each
    assert made is not None
    return made
