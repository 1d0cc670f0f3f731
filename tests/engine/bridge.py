"""TRL's own bridge to vLLM, with a second model where vLLM would be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from trl.generation.vllm_generation import VLLMGeneration


class Engine:
    """Stands where vLLM does: a base model of its own, which takes weights by name as vLLM's loader does."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.received = model, []
        self.state = model.state_dict()

    def load_weights(self, weights: Any) -> None:
        for name, tensor in weights:
            assert tensor.shape == self.state[name].shape
            assert tensor.dtype == self.state[name].dtype
            self.state[name].copy_(tensor)
            self.received.append(name)

    def reset_prefix_cache(self) -> None:
        """Nothing is cached."""


class Bridge(VLLMGeneration):
    """TRL's own bridge in colocate mode, but for the engine."""

    def __init__(self, model: nn.Module, engine: Engine) -> None:
        self._engine = engine
        super().__init__(model, Accelerator(cpu=True), None)

    def _init_vllm(self) -> None:
        runner = SimpleNamespace(model_runner=SimpleNamespace(model=self._engine))
        executor = SimpleNamespace(model_executor=SimpleNamespace(driver_worker=runner))
        self.llm = SimpleNamespace(llm_engine=executor, reset_prefix_cache=self._engine.reset_prefix_cache)


def moved(model: nn.Module) -> nn.Module:
    """Every trained number changed, as training would, so that a part that is left out shows."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator).to(parameter))
    return model


def bits(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in (*model.named_parameters(), *model.named_buffers())}
