"""The engine of a run's rollouts as what writes the answers to the questions that it is measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xxhash
from accelerate import PartialState
from torch import nn

from ..evaluation import Completion, Writer, read_completion, request
from ..model import end_ids
from ..tasks import Sampling
from ..training import GRPOTrainer, PolicyBridge, SFTTrainer
from .measurements import BEFORE, By


class RunEngine:
    """Completions by the engine that a trainer's rollouts come from: of the base, or of the policy that it was sent."""

    def __init__(
        self, bridge: PolicyBridge, tokenizer: Any, sampling: Sampling, stop: Sequence[str], ends: set[int]
    ) -> None:
        self.bridge, self.tokenizer, self.sampling, self.stop, self.ends = bridge, tokenizer, sampling, list(stop), ends

    def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Completion]:
        """All at once; each by its own seed, whatever else is asked for."""
        requests: list[Mapping[str, Any]] = [request(self.sampling, self.stop, self.ends, seed) for seed in seeds]
        assert self.bridge.llm is not None
        written = self.bridge.llm.complete(prompts, requests)
        return [
            read_completion(self.tokenizer, one.tokens, self.ends, self.stop, truncated=one.truncated)
            for one in written
        ]


def writer_of(trainer: GRPOTrainer, tokenizer: Any, turn_ends: Sequence[str], *, base: bool) -> Writer:
    """What writes by the trainer's engine: its base, before anything was sent, or the policy as it is now."""
    bridge = trainer.vllm_generation if base else trainer.let_it_play()
    ends = set(end_ids(tokenizer, trainer.eos_token_ids, turn_ends))
    return lambda sampling, stop: RunEngine(bridge, tokenizer, sampling, stop, ends)


def shares_of(mode: str, tensor_parallel: int, process: int, processes: int) -> tuple[tuple[int, int], bool]:
    """(The number of a process's share, how many there are), and whether it speaks for it.

    The processes of a tensor-parallel group write the same completions together; of a server the first alone writes.
    """
    if mode == "server":
        return (process, 1), process == 0
    group, place = divmod(process, tensor_parallel)
    return (group, processes // tensor_parallel), place == 0


def measured_by(
    trainer: GRPOTrainer | SFTTrainer, tokenizer: Any, turn_ends: Sequence[str], when: str, out: Path
) -> By:
    """By what a run that has a trainer is measured: its rollouts' engine, or the model itself.

    What is done of an evaluation is kept under `out`, by the policy's numbers, for whoever goes on with a killed run.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    place = out / f"{when.replace(' ', '-')}-{policy_digest(model)}"
    place.mkdir(parents=True, exist_ok=True)
    if isinstance(trainer, GRPOTrainer) and trainer.use_vllm:
        bridge = trainer.vllm_generation
        state = PartialState()
        shares, speaks = shares_of(bridge.mode, bridge.tensor_parallel_size, state.process_index, state.num_processes)
        return By(writer_of(trainer, tokenizer, turn_ends, base=when == BEFORE), shares, speaks, place)
    return By(journals=place)


def policy_digest(model: nn.Module) -> str:
    """Of every number that trains, whatever the order in which they stand."""
    digest = xxhash.xxh3_128()
    for name, parameter in sorted(model.named_parameters(), key=lambda named: named[0]):
        if parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
