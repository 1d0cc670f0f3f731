"""TRL's bridge to vLLM with an engine, and words to it, of our own: the policy is sent as factors, or merged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from ..adapter import base_policy, own_weights
from ..engine import (
    Colocated,
    Sent,
    Served,
    Survival,
    Sync,
    base_dtype,
    largest_rank,
    lost,
    of_factors,
    of_weights,
    policy_factors,
    policy_weights,
    rank_served,
    require_same_base,
    served_dtype,
    start,
    write_factors,
)
from ..errors import UserError
from .imported_trl import VLLMGeneration, ensure_master_addr_port
from .served_client import SeededClient


class PolicyBridge(VLLMGeneration):  # type: ignore[misc]
    """What TRL's trainer generates with: prompts, sampling and processes are TRL's, the engine and the policy ours.

    `sync` "factors" sends the adapter as a LoRA under a new number at every sync, and the engine's base is never
    touched; "merged" sends every weight (`policy_weights`), layer by layer. Each completion is drawn by a seed of its
    own, of `seed`, `step()`, the call since that changed and its place, so that a run that goes on from a checkpoint
    draws what it would have drawn. `on_sync` is told what each sync sent.
    """

    llm: Colocated | Served | None  # None in the processes that have no server to talk to
    generation_kwargs: dict[str, Any]

    def __init__(
        self,
        model: nn.Module,
        *args: Any,
        sync: Sync,
        seed: int,
        step: Callable[[], str],
        place: Path,
        on_sync: Callable[[Sent], None],
        **settings: Any,
    ) -> None:
        self.sync, self.seed, self.step, self.place, self.on_sync = sync, seed, step, place, on_sync
        self._calls, self._step = 0, ""
        super().__init__(model, *args, **settings)

    @property
    def rank(self) -> int | None:
        """What the engine must have room for beside the base; None where it is sent whole weights."""
        if self.sync == "merged":
            return None
        assert isinstance(self.model, PeftModel)
        return largest_rank(self.model)

    def _init_vllm(self) -> None:
        sharding = self._dist
        if sharding.is_zero3 or sharding.fsdp_version == 1:
            raise UserError(
                "vLLM rollouts with DeepSpeed ZeRO-3 or FSDP1",
                "the adapter is read from layers that are whole, or that can be gathered one at a time",
                "FSDP2 (recipes/cluster/fsdp2.yaml), ZeRO-2, or DDP",
            )
        if self.enable_sleep_mode and self.sync == "factors":
            raise UserError(
                "vllm_enable_sleep_mode with factors",
                "it gives the base's weights up, and only the adapter is sent again",
                "leave it out, or sync='merged'",
            )
        self._llm_weights_sleeping = False  # TRL's mark
        self.llm = None
        if self.mode == "colocate":
            self.llm = self._colocated()
        elif self.accelerator.is_main_process:
            self.llm = self._served()
        self.accelerator.wait_for_everyone()

    def _colocated(self) -> Colocated:
        """As TRL starts it, with room for the adapter and the type of the policy's base."""
        if self.accelerator.num_processes % self.tensor_parallel_size:
            raise UserError(
                f"{self.accelerator.num_processes} processes with vLLM over {self.tensor_parallel_size} GPUs each",
                "each group of processes shares an engine",
                "a number of processes that rollout.vllm_tensor_parallel divides",
            )
        settings: dict[str, Any] = {}
        if self.rank is not None:
            settings |= {"enable_lora": True, "max_lora_rank": rank_served(self.rank), "max_loras": 1}
        if self.accelerator.num_processes > 1:
            settings |= self._among_processes()
        if is_in_4_bits(self.model):
            settings["quantization"] = "bitsandbytes"
        settings = {
            "model": self.model.name_or_path,
            "dtype": type_name(base_dtype(self.model)),
            "tensor_parallel_size": self.tensor_parallel_size,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "max_model_len": self.max_model_length,
            "max_num_seqs": self.max_num_seqs,
            "max_num_batched_tokens": 4096,
            "enable_sleep_mode": self.enable_sleep_mode,
            "model_impl": self.model_impl,
            "seed": self.seed % 2**32,
            "logprobs_mode": "processed_logprobs",  # of the distribution that is sampled, which the trainer scores too
            "generation_config": "vllm",  # the model's advice for chats is no part of the policy
            "trust_remote_code": self.trust_remote_code,
            **settings,
        }
        return Colocated(start(settings), base_dtype(self.model))

    def _among_processes(self) -> dict[str, Any]:
        """What vLLM reads of a launch with several processes, and TRL's groups of them."""
        accelerator, size = self.accelerator, self.tensor_parallel_size
        if size > 1:
            groups = [list(range(first, first + size)) for first in range(0, accelerator.num_processes, size)]
            self.tp_group, _ = torch.distributed.new_subgroups_by_enumeration(groups)  # type: ignore[no-untyped-call]
        os.environ["RANK"] = str(accelerator.process_index)
        os.environ["LOCAL_RANK"] = str(accelerator.local_process_index)
        os.environ["WORLD_SIZE"] = str(accelerator.num_processes)
        ensure_master_addr_port()
        return {"distributed_executor_backend": "external_launcher"}

    def _served(self) -> Served:
        """The server, once it answers and has shown that its base is the policy's."""
        from requests.exceptions import RequestException

        url = self.server_base_url or f"http://{self.server_host}:{self.server_port}"
        try:
            client = SeededClient(base_url=url, group_port=self.group_port, connection_timeout=self.server_timeout)
        except RequestException as error:
            raise UserError(
                f"no vLLM server answers at {url}",
                f"it was asked for {self.server_timeout:.0f} s",
                f"start it: vllm serve {self.model.name_or_path}; or name another, rollout.vllm_server",
            ) from error
        self.vllm_client = client
        own, theirs = base_dtype(self.model), served_dtype(client)
        with base_policy(self.model):
            exact = own == theirs == torch.float32
            require_same_base(client, self.model, str(self.model.name_or_path), exact=exact)
        if self.sync == "merged":
            client.init_communicator(device=self.accelerator.device)
        engine = Served(client, theirs or own, self.place)
        client.seed_of = engine.seed_of
        return engine

    # The policy, as the engine is given it

    def sync_weights(self) -> None:
        """Send the policy as it is now; every process takes part, and whoever has an engine says what it was sent."""
        sent = self._send_factors() if self.sync == "factors" else self._send_merged()
        if sent is not None:
            self.on_sync(sent)

    def _send_factors(self) -> Sent | None:
        assert isinstance(self.model, PeftModel)
        layers, found = [], {}
        for trained in policy_factors(self.model):
            if self.llm is None:
                continue
            sent = trained.to(self.llm.dtype)
            layers.append(sent)
            found[trained.name] = of_factors(trained, sent)
        if self.llm is None:
            return None
        self.llm.play(lambda out: write_factors(layers, str(self.model.name_or_path), out))
        return Sent("factors", type_name(self.llm.dtype), sum(layer.nbytes for layer in layers), found)

    def _send_merged(self) -> Sent | None:
        self._merged: dict[str, Survival] = {}
        self._nbytes = 0
        if isinstance(self.llm, Colocated):
            if self.enable_sleep_mode:  # its weights were given up, and their memory with them
                self.llm.wake_up(tags=["weights"])
                self._llm_weights_sleeping = False
            try:
                self.llm.load(self._iter_named_params())
            except self.llm.failures as error:
                raise lost(error) from error
        else:
            super().sync_weights()
        for weight in own_weights(self.model):  # whose type is the trainer's own: it plays the same numbers
            self._merged[weight.name] = of_weights(weight.base, weight.values, weight.values)
        return None if self.llm is None else Sent("merged", type_name(self.llm.dtype), self._nbytes, self._merged)

    def _iter_named_params(self) -> Iterator[tuple[str, Tensor]]:
        """`policy_weights` under the names that vLLM's loader expects; PEFT's and TRL's merge would change the base."""
        played = base_dtype(self.model) if self.llm is None else self.llm.dtype

        def witness(name: str, base: Tensor, trained: Tensor, sent: Tensor) -> None:
            self._merged[name] = of_weights(base, trained, sent.to(played))

        self._nbytes = 0  # TRL walks once more, to tell a server what comes
        for name, tensor in policy_weights(self.model, witness):
            self._nbytes += tensor.nbytes
            yield self._fix_param_name_to_vllm(name), tensor

    def close(self) -> None:
        """Give up what the engine holds for this run: its adapter, and in this process its memory."""
        if self.llm is not None:
            self.llm.close()

    # Completions

    def generate(
        self,
        prompts: list[list[int]],
        images: list[list[Any] | None] | None,
        num_generations: int,
        profiler: Any = None,
    ) -> Any:
        """As TRL's; raises EngineLost where the engine fails."""
        step = self.step()
        self._calls = self._calls + 1 if step == self._step else 0
        self._step = step
        if self.llm is None:
            return super().generate(prompts, images, num_generations, profiler)
        group = self.accelerator.process_index // self.tensor_parallel_size if self.mode == "colocate" else 0
        self.llm.draw_by(f"{self.seed}:{step}:{self._calls}:{group}")
        try:
            return super().generate(prompts, images, num_generations, profiler)
        except self.llm.failures as error:
            raise lost(error) from error


def is_in_4_bits(model: Any) -> bool:
    """Whether bitsandbytes quantized the base when it was loaded, as the engine must do too."""
    quantized = model.config.to_dict().get("quantization_config") or {}
    return quantized.get("quant_method") == "bitsandbytes" and bool(quantized.get("load_in_4bit"))


def type_name(dtype: torch.dtype) -> str:
    """`bfloat16`."""
    return str(dtype).removeprefix("torch.")
