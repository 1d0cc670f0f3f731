"""verl's FSDP engine with a Stiefel adapter in it: what trains, what the reference is, what is sent and what is saved.

Only verl's own seams are overridden; everything else, the loss and the loop included, is verl's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch.distributed.fsdp import FSDPModule
from verl.utils import tensordict_utils as tu
from verl.utils.fs import copy_to_local
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from ..adapter import anchored_factors
from ..artifacts import SYNCS
from ..training import append_sync
from .divergence import Divergence
from .given import read_given
from .optimizer import make_verl_optimizer
from .policy import load_policy, of_all_processes, require_adapter
from .residual import at_start, started_factors
from .resumed import keep_trained, require_trained
from .sent import sent_factors, sent_merged
from .shards import built_by_changes, shown_as_shards
from .start import keep_start, require_start
from .without_trl import without_trl


class StiefelEngine(FSDPEngineWithLMHead):  # type: ignore[misc]
    """verl's engine for a policy with an adapter of ours; without one it is verl's own."""

    def __init__(self, model_config: Any, engine_config: Any, *more: Any, **settings: Any) -> None:
        require_adapter(model_config, engine_config.strategy)
        self.given = read_given()
        self.adapter: Path | None = None  # the directory of the start, once it is loaded
        self._shows_base = False
        self._measured: dict[str, float] = {}  # for the metrics of the next update
        super().__init__(model_config, engine_config, *more, **settings)

    # What trains

    def _build_module(self) -> Any:
        with without_trl():
            return super()._build_module()

    def _build_lora_module(self, module: Any) -> Any:
        """The adapter as `stiefel.load` makes it, in place of verl's LoRA."""
        module.enable_input_require_grads()  # as verl does, for gradient checkpointing
        directory = Path(copy_to_local(self.model_config.lora_adapter_path, use_shm=self.model_config.use_shm))
        self.adapter = directory
        return of_all_processes(lambda: load_policy(module, directory, self.given))

    def _build_fsdp_module(self, module: Any) -> Any:
        factors = anchored_factors(module)
        with built_by_changes(factors):
            module = super()._build_fsdp_module(module)
        shown_as_shards(factors)
        return module

    def _build_optimizer(self, module: Any) -> Any:
        if self.adapter is None:
            return super()._build_optimizer(module)
        return make_verl_optimizer(module, self.optimizer_config, self.given.weight_decay_on)

    # The reference

    def disable_adapter(self) -> AbstractContextManager[None]:
        """The base's policy: the adapter switched off, of a residual one its start."""
        return self._base()

    @contextmanager
    def _base(self) -> Iterator[None]:
        started = started_factors(self.module)
        self._shows_base = True
        try:
            with at_start(started) if started else super().disable_adapter():
                yield
        finally:
            self._shows_base = False

    # What is measured

    @property
    def rollout(self) -> int:
        """The current rollout, from 1: verl steps the schedule after the last update of each, and saves it."""
        return int(self.lr_scheduler.last_epoch) + 1

    def infer_batch(self, data: Any, loss_function: Any = None) -> Any:
        """As verl's; where it scores a rollout under the policy that drew it, the KL to the base is measured too."""
        output = super().infer_batch(data, loss_function)
        if loss_function is not None or self._shows_base or not self._kl_is_due():
            return output
        tu.assign_non_tensor(data, calculate_entropy=False)
        with self.disable_adapter():
            base = super().infer_batch(data)
        divergence = Divergence(self.get_data_parallel_group())
        policy, reference = (each["model_output"]["log_probs"] for each in (output, base))
        self._measured |= divergence.from_base(policy, reference, data)
        return output

    def _kl_is_due(self) -> bool:
        every = self.given.kl_every
        if self.adapter is None or every == 0 or self.lr_scheduler is None:
            return False
        return self.rollout in (1, self.optimizer_config.total_training_steps) or self.rollout % every == 0

    def train_batch(self, data: Any, loss_function: Any) -> Any:
        """As verl's; what was measured of the rollout goes into the metrics of its first update."""
        outputs = super().train_batch(data, loss_function)
        outputs["metrics"] |= {name: [value] for name, value in self._measured.items()}
        self._measured = {}
        return outputs

    # What is sent

    def get_per_tensor_param(self, layered_summon: bool = False, base_sync_done: bool = False, **more: Any) -> Any:
        """The payload of a sync: A and B of every layer, anchored [A₀ + ΔA; ΔA] and [ΔB, B₀], with PEFT's settings."""
        if self.adapter is None or self.model_config.lora.get("merge", False):
            return super().get_per_tensor_param(layered_summon, base_sync_done, **more)
        # FSDP2 gathers one factor at a time as it is, so that a layered summon saves nothing
        tensors, config = super().get_per_tensor_param(False, base_sync_done, **more)
        if not base_sync_done:
            return tensors, config
        payload = dict(tensors)
        self._tell(sent_factors(payload, self.module, self.given.rollout_dtype))
        return payload.items(), config

    def _merged_lora_per_tensor_param(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every weight of the policy, merged beside the base and never in it, as verl's merge would be."""
        if self.adapter is None:
            yield from super()._merged_lora_per_tensor_param()
            return
        for module in self.module.modules():
            if isinstance(module, FSDPModule):
                module.reshard()  # what a forward pass has left gathered is rounded to its type
        sent = yield from sent_merged(self.module, self.model_config.hf_config.model_type, self.given.rollout_dtype)
        self._tell(sent)
        if self._is_offload_param:
            self.to("cpu", model=True, optimizer=False, grad=False)

    def _tell(self, sent: Any) -> None:
        """Keep what was sent for the metrics and, in the first process, in syncs.jsonl."""
        self._measured |= sent.figures
        if self.given.run and self.rank == 0:
            append_sync(Path(self.given.run) / SYNCS, self.rollout, sent.row)

    # What is saved

    def save_checkpoint(self, local_path: str, *more: Any, **settings: Any) -> None:
        """The shards as verl writes them, and beside them the start and what they were trained with."""
        super().save_checkpoint(local_path, *more, **settings)
        if local_path is None:
            return
        if self.rank == 0:
            if self.adapter is not None:
                keep_start(self.adapter, Path(local_path))
            keep_trained(Path(local_path), self.given.settings, torch.distributed.get_world_size())
        torch.distributed.barrier()

    def load_checkpoint(self, local_path: str, *more: Any, **settings: Any) -> None:
        """A checkpoint of this run; raises UserError for one of another adapter, other settings or other processes."""
        if local_path is not None:
            if self.adapter is not None:
                require_start(self.adapter, Path(local_path))
            require_trained(Path(local_path), self.given.settings, torch.distributed.get_world_size())
        super().load_checkpoint(local_path, *more, **settings)
