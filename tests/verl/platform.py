"""A CPU as verl's platform, so that its real engine runs on gloo."""

from __future__ import annotations

import os
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from verl.plugin.platform import PlatformBase, set_platform


class Memory(ModuleType):
    """What verl asks of `torch.cuda` and a CPU has no more to say about."""

    current_device = staticmethod(lambda: torch.device("cpu"))
    empty_cache = synchronize = staticmethod(lambda *args: None)
    max_memory_allocated = max_memory_reserved = staticmethod(lambda *args: 0)
    memory_allocated = memory_reserved = staticmethod(lambda *args: 0)
    mem_get_info = staticmethod(lambda *args: (0, 0))
    get_rng_state, set_rng_state = staticmethod(torch.get_rng_state), staticmethod(torch.set_rng_state)
    is_available = staticmethod(lambda: False)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)


class CPU(PlatformBase):
    device_name = vendor_name = "cpu"
    device_module = Memory("cpu")

    def is_available(self) -> bool:
        return True

    def current_device(self) -> Any:
        return torch.device("cpu")

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None: ...

    def manual_seed_all(self, seed: int) -> None: ...

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CPU_VISIBLE_DEVICES"

    def nvtx_range(self, msg: str) -> Any:
        return nullcontext()

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        return "CPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> Any:
        return SimpleNamespace()


def on_cpu(rank: int = 0, processes: int = 1, port: int = 0) -> None:
    """This process as one of verl's, on gloo; before anything of verl's engines is imported."""
    set_platform(CPU())
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(processes), "LOCAL_RANK": str(rank)}
    store = torch.distributed.TCPStore("127.0.0.1", port, processes, is_master=rank == 0)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=processes)
