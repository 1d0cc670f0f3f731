"""TRL's trainer and its bridge to vLLM, imported once: with them comes vLLM, where it is installed.

It speaks on stderr when it is imported, and sets variables that every child would inherit; both are put right.
"""

from __future__ import annotations

from contextlib import nullcontext
from importlib.util import find_spec

from ..engine import at_home

with at_home() if find_spec("vllm") else nullcontext():
    from trl.generation.vllm_client import VLLMClient
    from trl.generation.vllm_generation import VLLMGeneration
    from trl.trainer.grpo_trainer import GRPOTrainer as TRLTrainer
    from trl.trainer.utils import ensure_master_addr_port

__all__ = ["TRLTrainer", "VLLMClient", "VLLMGeneration", "ensure_master_addr_port"]
