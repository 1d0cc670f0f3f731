"""vLLM started in this process for a policy that trains in it."""

from __future__ import annotations

import os
from typing import Any

import torch
from peft import PeftModel
from torch import nn

from ..errors import UserError

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's max_lora_rank may be


def room_for_rank(rank: int, who: str) -> int:
    """The smallest of vLLM's ranks that holds one; raises UserError above the largest."""
    fits = next((most for most in RANKS if most >= rank), None)
    if fits is None:
        raise UserError(
            f"{who} has rank {rank}",
            f"vLLM serves ranks up to {RANKS[-1]}, and an anchored adapter counts twice",
            "a smaller rank, or the merged policy",
        )
    return fits


def base_dtype(model: nn.Module) -> torch.dtype:
    """The type of the frozen weights, in which an engine keeps the base."""
    bare: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    dtype: torch.dtype = bare.dtype
    return dtype


def lora_settings(rank: int | None, who: str) -> dict[str, Any]:
    """LLM's arguments for one adapter at a time beside the base; none without a rank."""
    if rank is None:
        return {}
    return {"enable_lora": True, "max_lora_rank": room_for_rank(rank, who), "max_loras": 1}


def platform_settings() -> dict[str, Any]:
    """LLM's arguments on this platform, and the environment that vLLM reads: on a CPU it compiles nothing."""
    from vllm.platforms import current_platform

    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine lives where the policy is
    if not current_platform.is_cpu():
        return {}
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # it would pin the trainer's threads to its cores
    return {"enforce_eager": True}
