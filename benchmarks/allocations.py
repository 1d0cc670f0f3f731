"""The peak of the memory that tensors take, to the byte: resident memory also counts what libraries load and keep."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.profiler import ProfilerActivity, profile


def tensor_peak(model: nn.Module, work: Callable[[], object]) -> int:
    """Bytes of a model's tensors, and of all that are allocated during `work` where these are most; on the CPU.

    Of a model that FSDP2 divides, this process's.
    """
    static = sum(held(tensor).nbytes for tensor in (*model.parameters(), *model.buffers()))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return static + most


def held(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
