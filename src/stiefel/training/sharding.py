"""FSDP2 for adapters: the frozen base is divided among the processes, and what trains stays whole in each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import DistributedType, patch_environment
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from transformers import Trainer

from ..errors import UserError
from .processes import launched, sharded_launch


class ShardingTrainer(Trainer):  # type: ignore[misc]
    """Where the launch asks for FSDP2, divides the model's base (`shard_base`) and averages the adapter's gradients.

    accelerate would divide the adapter's factors too, and put other parameters in the place of those that an optimizer,
    a checkpoint and a saved adapter know; to it and to transformers this is a model that looks after its own placement.
    All else is as under DDP. Raises UserError for a model without an adapter, and where accelerate shards regardless.
    """

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        self._sharded = sharded_launch() and launched().num_processes > 1
        if self._sharded:
            shard_base(model)
        with patch_environment(ACCELERATE_USE_FSDP="false"):
            super().__init__(model, *args, **kwargs)
        if self.accelerator.distributed_type == DistributedType.FSDP:
            raise UserError(
                "FSDP by args.fsdp or by an Accelerator that was made before the trainer",
                "accelerate would divide the adapter with the base, and its optimizer and checkpoints know it whole",
                "leave both out: accelerate launch --config_file recipes/cluster/fsdp2.yaml",
            )

    def _move_model_to_device(self, model: Any, device: torch.device) -> None:
        if not self._sharded:  # or each part has a place already
            super()._move_model_to_device(model, device)

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        if self.accelerator.num_processes > 1 and self.accelerator.distributed_type != DistributedType.DEEPSPEED:
            begin_alike(self.model, trained=self._sharded)
        self.is_distributed_loading_by_transformers = self._sharded  # what transformers calls a model of that kind
        try:
            return super()._prepare_for_training(*args, **kwargs)
        finally:
            self.is_distributed_loading_by_transformers = False

    def _sync_replicated_trainable_parameters(self, model: Any) -> None:
        """Nothing: `training_step` averages; transformers would do it in a way that gloo has not."""

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """The Trainer's, then the mean of the gradients over the processes, as DDP takes it."""
        loss: Tensor = super().training_step(*args, **kwargs)
        if self._sharded and self.accelerator.sync_gradients:
            average([p.grad for p in self.model.parameters() if p.requires_grad and p.grad is not None])
        return loss


def shard_base(model: Any) -> None:
    """Divide the frozen base of an adapted model among the processes of the launch: a decoder layer at a time.

    A layer's weights are gathered for its forward pass and again for its backward pass, what lies outside of the layers
    (embedding, head, last norm) for the whole pass. Adapters stay whole. Memory of each process, of a base of M bytes
    with N processes: M/N, one layer, and what lies outside. Raises UserError for a model that trains its own weights,
    is quantized, or does not name its layers.
    """
    require_adapter(model)
    state = PartialState()
    mesh = init_device_mesh(state.device.type, (state.num_processes,))
    whole = set(adapter_tensors(model))
    for tensor in whole:
        tensor.data = tensor.data.to(state.device)
    kept = {tensor for tensor in whole if isinstance(tensor, nn.Parameter)}
    for unit in [*decoder_layers(model), model]:
        # always given up again: a process that saves alone gives them up too, and must not be the only one
        fully_shard(unit, mesh=mesh, reshard_after_forward=True, ignored_params=kept)
    register_fsdp_forward_method(model, "generate")
    base = model.get_base_model()
    base._is_fsdp_managed_module = False  # by which its generate would wait for the other processes at every token


def require_adapter(model: Any) -> None:
    """Raise where FSDP2 cannot divide a frozen base, and leave an adapter whole."""
    if not isinstance(model, PeftModel):
        raise not_divided()
    if not all(parameter.is_floating_point() for parameter in model.parameters()):
        raise UserError(
            "FSDP2 for a quantized base",
            "its integers are packed, and cannot be divided by rows",
            "a base in bfloat16, or recipes/cluster/ddp.yaml, where the quantized one fits on one GPU",
        )


def not_divided() -> UserError:
    """The error of a method that has no adapter."""
    return UserError(
        "FSDP2 for a method that trains the model's own weights",
        "its optimizer's float32 copies and its base know the weights themselves, which FSDP2 divides",
        "an adapter; or recipes/cluster/ddp.yaml, where the model fits on one GPU with gradients and copies",
    )


def decoder_layers(model: PeftModel) -> list[nn.Module]:
    """The layers that a model says must not be split, the largest parts that repeat."""
    base = model.get_base_model()
    names = set(base._no_split_modules or ())
    found = [module for module in base.modules() if type(module).__name__ in names]
    if not found:
        raise UserError(
            f"FSDP2 for {type(base).__name__}",
            "it does not name its decoder layers (_no_split_modules), so that the whole would be gathered at once",
            "recipes/cluster/ddp.yaml, where the model fits on one GPU",
        )
    return found


def adapter_tensors(model: nn.Module) -> list[Tensor]:
    """What trains, and every other tensor of an adapter (anchors, frozen factors), in the model's order."""
    found: dict[int, Tensor] = {id(p): p for p in model.parameters() if p.requires_grad}
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            base = layer.get_base_layer()
            own = {id(tensor) for tensor in (*base.parameters(), *base.buffers())}
            found |= {id(t): t for t in (*layer.parameters(), *layer.buffers()) if id(t) not in own}
    return list(found.values())


@torch.no_grad()
def begin_alike(model: nn.Module, *, trained: bool) -> None:
    """Give every process the first one's anchors and frozen factors, and with `trained` what trains, as DDP does.

    Machines of different kinds solve the same W to different last bits.
    """
    for tensor in adapter_tensors(model):
        if trained or not isinstance(tensor, nn.Parameter):
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, src=0)
            tensor.detach().copy_(sent)


@torch.no_grad()
def average(gradients: list[Tensor]) -> None:
    """Put their means over the processes in their places: one sum over the network for each type."""
    size = dist.get_world_size()
    for _, group in groupby(sorted(gradients, key=lambda gradient: str(gradient.dtype)), key=lambda g: g.dtype):
        parts = list(group)
        flat = torch.cat([part.flatten() for part in parts]).div_(size)
        dist.all_reduce(flat)
        for part, mean in zip(parts, torch.split(flat, [part.numel() for part in parts]), strict=True):
            part.copy_(mean.view_as(part))


def is_sharded(model: nn.Module) -> bool:
    """Whether `shard_base` has divided it."""
    return isinstance(model, FSDPModule)


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """A block in which every process holds all weights, so that each generates as long as it needs; for any model.

    Every process must enter it; inside, nothing is sent. Memory: the base whole, beside the process's share of it.
    """
    units = [module for module in model.modules() if isinstance(module, FSDPModule)] if is_sharded(model) else []
    try:
        for unit in units:
            unit.set_reshard_after_forward(False, recurse=False)
            unit.unshard()
        yield
    finally:
        for unit in units:
            unit.reshard()
            unit.set_reshard_after_forward(True, recurse=False)
