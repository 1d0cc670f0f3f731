"""Checkpoints from which a run goes on to the same bits: written whole, after any update."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from accelerate.utils import DistributedType, gather_object
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from ..adapter import certify_saved, save
from ..artifacts import ADAPTER, STATE, read_json, whole_directory, write_json
from ..errors import UserError
from .sharding import ShardingTrainer

TRAINER_STATE = "trainer_state.json"
WEIGHTS, BUFFER = "trained.safetensors", "buffer.safetensors"
OPTIMIZER, RANDOM = "optimizer.pt", "random.pt"
PREFIX = "checkpoint-"
REPLICATED = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


class ExactCheckpoints(ShardingTrainer):
    """Saves and restores everything that the next update depends on; `journals` are files that grow during the run.

    A checkpoint holds the trained parameters, the optimizer, the schedule, every process's random states, what else a
    trainer keeps (`method_state`, `loop_state`, `buffered`), and how long each journal was, so that whoever resumes can
    cut it back (`journal_sizes`, `cut_back`). Its `adapter/` is the policy at that update, as `save` writes it.
    `args.save_total_limit` says how many are kept. Under DeepSpeed they are the Trainer's own, without that promise.
    """

    def __init__(self, *args: Any, journals: list[Path] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._journals = journals or []

    @property
    def _replicated(self) -> bool:
        return self.accelerator.distributed_type in REPLICATED

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # of a checkpoint of the last update: there is none more
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    # What is kept beside the parameters

    def method_state(self) -> dict[str, Tensor]:
        """Tensors that the method's own schedule goes on from; none for most."""
        return {}

    def load_method_state(self, state: dict[str, Tensor]) -> None:
        """The reverse of `method_state`."""
        assert not state

    def loop_state(self) -> dict[str, Any]:
        """What else the training loop goes on from, as JSON."""
        return {}

    def load_loop_state(self, state: dict[str, Any]) -> None:
        """The reverse of `loop_state`."""

    def buffered(self) -> dict[str, Tensor]:
        """Tensors of this process's work that is half done."""
        return {}

    def load_buffered(self, tensors: dict[str, Tensor]) -> None:
        """The reverse of `buffered`."""

    # Writing

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """What `save_model` writes: PEFT's files, certified, so that they are an adapter directory of ours.

        Of a method that trains the model's own weights it is the whole model, as the Trainer saves it.
        """
        super()._save(output_dir, state_dict)
        model = self.accelerator.unwrap_model(self.model)
        if self.args.should_save and self._replicated and isinstance(model, PeftModel):
            certify_saved(model, Path(output_dir or self.args.output_dir))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not self._replicated:
            super()._save_checkpoint(model, trial)
            return
        place = Path(self._get_output_dir(trial=trial)) / f"{PREFIX}{int(self.state.global_step)}"
        randoms = gather_object([random_states()])
        buffers = gather_object([self.buffered()])
        if self.accelerator.is_main_process:
            with whole_directory(place) as building:
                save(self.accelerator.unwrap_model(self.model), building / ADAPTER)
                save_file({**self._trained(), **prefixed("method", self.method_state())}, building / WEIGHTS)
                save_file(prefixed_each(buffers), building / BUFFER)
                states = {"optimizer": self.optimizer.state_dict(), "schedule": self.lr_scheduler.state_dict()}
                save_states(states, building / OPTIMIZER)
                save_states(randoms, building / RANDOM)
                self.state.save_to_json(str(building / TRAINER_STATE))
                sizes = {path.name: path.stat().st_size if path.is_file() else 0 for path in self._journals}
                state = {"processes": len(randoms), "journals": sizes, **self.loop_state()}
                write_json(building / STATE, state)
            kept = self.args.save_total_limit
            for old in checkpoints_in(place.parent)[:-kept] if kept else []:
                (old / STATE).unlink()  # first: without it the rest is no checkpoint, if a kill leaves it behind
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def _trained(self) -> dict[str, Tensor]:
        model = self.accelerator.unwrap_model(self.model)
        return {
            f"trained.{name}": parameter.detach().cpu().contiguous()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    # Reading: three moments at which the Trainer asks

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        place = Path(resume_from_checkpoint)
        if not (place / STATE).is_file():
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        state = read_json(place / STATE)
        processes = self.accelerator.num_processes
        if state["processes"] != processes:
            raise UserError(
                f"{place} was written by {state['processes']} processes, and this run has {processes}",
                "each has random states of its own",
                f"resume with {state['processes']} processes",
            )
        saved, buffer = load_tensors(place / WEIGHTS), load_tensors(place / BUFFER)
        parameters = dict(self.accelerator.unwrap_model(self.model).named_parameters())
        with torch.no_grad():
            for name, value in unprefixed("trained", saved).items():
                parameters[name].copy_(value)
        self.load_method_state(unprefixed("method", saved))
        self.load_loop_state(state)
        self.load_buffered(unprefixed(str(self.accelerator.process_index), buffer))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not (Path(checkpoint) / STATE).is_file():
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        states = load_states(Path(checkpoint) / OPTIMIZER)
        self.optimizer.load_state_dict(states["optimizer"])
        schedule = self.lr_scheduler
        schedule.load_state_dict(states["schedule"])
        if isinstance(schedule, LambdaLR):  # the rate of the next update, which may have been halved since
            for group, rate, factor in zip(
                self.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
            ):
                group["lr"] = rate * factor(schedule.last_epoch)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None or not (Path(checkpoint) / STATE).is_file():
            super()._load_rng_state(checkpoint)
            return
        states = load_states(Path(checkpoint) / RANDOM)
        set_random_states(states[self.accelerator.process_index])


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors; raises UserError for a file that broke after it had been written."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise broken_checkpoint(path, str(error)) from error


def save_states(states: Any, path: Path) -> None:
    """The reverse of `load_states`; through a file of Python's, whose errors say what went wrong, as torch's do not."""
    with path.open("wb") as file:
        torch.save(states, file)


def load_states(path: Path) -> Any:
    """A checkpoint's states; raises UserError for a file that was cut off after it had been written."""
    if not is_zipfile(path):  # as torch.save writes
        raise broken_checkpoint(path, "it is not whole")
    return torch.load(path, map_location="cpu", weights_only=True)


def broken_checkpoint(path: Path, why: str) -> UserError:
    """The error of a checkpoint from which nothing goes on."""
    return UserError(
        f"{path} cannot be read",
        why,
        f"restore it, or remove {path.parent}: the run goes on from the checkpoint before, or begins again",
    )


def checkpoints_in(directory: Path) -> list[Path]:
    """The whole checkpoints in a directory, oldest first."""
    found = [path for path in directory.glob(f"{PREFIX}*") if (path / STATE).is_file()]
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The update after which a checkpoint was written."""
    return int(checkpoint.name.removeprefix(PREFIX))


def journal_sizes(checkpoint: Path) -> dict[str, int]:
    """How long each journal was when the checkpoint was written, by its name."""
    sizes: dict[str, int] = read_json(checkpoint / STATE)["journals"]
    return sizes


def cut_back(path: Path, size: int) -> None:
    """Shorten a journal to what it held when the checkpoint was written."""
    if not path.is_file():
        if not size:
            return
        path.touch()
    if path.stat().st_size < size:
        raise UserError(
            f"{path} is shorter than when the checkpoint was written",
            "rows that the run had written are missing",
            "restore the run directory from a copy, or begin again with --force",
        )
    with path.open("r+b") as file:
        file.truncate(size)


def random_states() -> dict[str, Any]:
    """Every generator that a process draws from, in types that `torch.load(weights_only=True)` takes."""
    kind, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), int(place), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """The reverse of `random_states`."""
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal), gauss_next))
    kind, keys, place, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), place, has_gauss, gauss))
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names under a prefix."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def prefixed_each(per_process: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Every process's tensors under its number."""
    return {name: value for index, own in enumerate(per_process) for name, value in prefixed(str(index), own).items()}


def unprefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under a prefix, by the rest of their names."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
