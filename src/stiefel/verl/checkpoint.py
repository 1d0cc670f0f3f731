"""A checkpoint of verl → the adapter that it holds, certified: its shards put together around the start beside them.

verl's own merger rounds factors to bfloat16, and of a residual base it writes the residual.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch._weights_only_unpickler import UnpicklingError  # type: ignore[attr-defined]
from torch.distributed.tensor import DTensor, Shard

from ..adapter import (
    ANCHORS_FILE,
    BASE,
    CONFIG_FILE,
    FACTORS_FILE,
    Certificate,
    expected_files,
    factor_names,
    read_certificate,
    write_card,
)
from ..artifacts import CERTIFICATE, file_digest, read_json, whole_directory, write_json
from ..errors import UserError
from .resumed import LATEST
from .start import START

SHARD = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")
FACTOR = re.compile(r"base_model\.model\.(?P<layer>.+)\.lora_(?P<side>[AB])\.default\.weight")


def verl_checkpoint(path: Path) -> Path | None:
    """The directory of a checkpoint's shards: itself, its `actor/`, or the last one of a run; None for other paths."""
    latest = path / LATEST
    if latest.is_file():
        path = path / f"global_step_{latest.read_text().strip()}"
    for place in (path, path / "actor"):
        if place.is_dir() and any(SHARD.fullmatch(file.name) for file in place.iterdir()):
            return place
    return None


def adapter_of(checkpoint: Path, out: Path) -> None:
    """Write the adapter directory of a checkpoint: the start's settings and anchors, and the factors as trained.

    Raises UserError where a process's shard is missing or broken, where the checkpoint was not written with the
    plug-in, and where its frozen parts are not those of the start beside it. Nothing in the shards is run: they are
    read as tensors only. Memory: the factors; a shard's other tensors stay on disk.
    """
    start = checkpoint / START
    certificate = start_of(checkpoint)
    expected = {key for layer in certificate.layers for key in factor_names(layer.name)}
    factors = factors_of(checkpoint)
    if factors.keys() != expected:
        raise another(checkpoint, f"{min(factors.keys() ^ expected)} is in one of them and not in the other")
    anchors = load_file(start / ANCHORS_FILE) if certificate.anchored else {}
    for layer in certificate.layers:
        A, B = (factors[key] for key in factor_names(layer.name))
        given = factor_shapes(certificate, layer.shape)
        if (tuple(A.shape), tuple(B.shape)) != given:
            raise another(checkpoint, f"{layer.name} has factors {tuple(A.shape)} and {tuple(B.shape)}, not {given}")
        if certificate.anchored and not around(A, B, anchors[f"{layer.name}.A"], anchors[f"{layer.name}.B"]):
            raise another(checkpoint, f"the frozen part of {layer.name} differs from A₀ or B₀")
    with whole_directory(out) as building:
        save_file(factors, building / FACTORS_FILE, metadata={"format": "pt"})
        for name in (CONFIG_FILE, *((ANCHORS_FILE,) if certificate.anchored else ())):
            shutil.copyfile(start / name, building / name)
        files = {name: file_digest(building / name) for name in sorted(expected_files(certificate))}
        write_card(building, certificate, read_json(building / CONFIG_FILE)["base_model_name_or_path"] or "")
        write_json(building / CERTIFICATE, replace(certificate, files=files).to_json())


def start_of(checkpoint: Path) -> Certificate:
    """The certificate of the adapter that the run started from."""
    start = checkpoint / START
    if not start.is_dir():
        raise UserError(
            f"{checkpoint} has no {START}/",
            "it was not written with stiefel.verl.plugin, so that what its factors stand around is not known",
            "train with actor_rollout_ref.model.external_lib=stiefel.verl.plugin, as `stiefel launch verl` does",
        )
    if not (start / CERTIFICATE).is_file():
        raise UserError(
            f"{checkpoint} is of a residual adapter",
            f"its factors stand on the modified {BASE}/ beside that adapter, and not on the model",
            "train from the anchored directory, which plays the same policies",
        )
    return read_certificate(start)


def around(A: Tensor, B: Tensor, A0: Tensor, B0: Tensor) -> bool:
    """Whether [A₀ + ΔA; ΔA] and [ΔB, B₀] are made around these anchors."""
    r = len(A0)
    return torch.equal(A[:r], A0 + A[r:]) and torch.equal(B[:, r:], B0)


def factor_shapes(certificate: Certificate, shape: tuple[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of A and B of a layer (out, in)."""
    assert certificate.rank is not None
    width = certificate.width * certificate.rank
    return (width, shape[1]), (shape[0], width)


def another(checkpoint: Path, why: str) -> UserError:
    """The error of shards that do not belong to the start beside them."""
    return UserError(
        f"{checkpoint}: the shards are of another adapter than its {START}/",
        why,
        "give the checkpoint as verl wrote it, with nothing copied into it from another run",
    )


def factors_of(checkpoint: Path) -> dict[str, Tensor]:
    """Every factor of a checkpoint, whole, under the names that PEFT and serving engines read."""
    found = {}
    for name, tensor in tensors_of(checkpoint, lambda name: ".lora_" in name):
        match = FACTOR.fullmatch(name)
        if match is None:
            raise another(checkpoint, f"{name} is no factor of a LoRA")
        A, B = factor_names(match["layer"])
        found[A if match["side"] == "A" else B] = tensor
    return found


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """Every weight of a checkpoint of full fine-tuning; of one with an adapter nothing, as the base is not in it."""
    found = dict(tensors_of(checkpoint, lambda name: True))
    return {} if any(".lora_" in name for name in found) else found


def tensors_of(checkpoint: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Tensor]]:
    """(name, whole tensor in float32) of a model's state; raises UserError where a process's part is missing."""
    shards = [state_of(path) for path in shard_paths(checkpoint)]
    for name in filter(wanted, shards[0]):
        missing = [rank for rank, shard in enumerate(shards) if name not in shard]
        if missing:
            raise another(checkpoint, f"{name} is not in the shard of process {missing[0]}")
        yield name, put_together(name, [shard[name] for shard in shards])


def shard_paths(checkpoint: Path) -> list[Path]:
    """One file a process; raises UserError where one is missing, or where several runs' lie side by side."""
    names = [match for match in map(SHARD.fullmatch, sorted(file.name for file in checkpoint.iterdir())) if match]
    sizes = {int(match[1]) for match in names}
    if len(sizes) != 1:
        raise UserError(
            f"{checkpoint} holds shards of runs with {' and '.join(map(str, sorted(sizes)))} processes",
            "which of them belong together is not known",
            "remove the older ones",
        )
    (processes,) = sizes
    paths = [checkpoint / f"model_world_size_{processes}_rank_{rank}.pt" for rank in range(processes)]
    for path in paths:
        if not path.is_file():
            raise UserError(
                f"{path} is missing",
                f"the checkpoint was written by {processes} processes, each of which has a part of every factor",
                "copy the files of all processes into one directory, or give an earlier checkpoint",
            )
    return paths


def state_of(path: Path) -> Mapping[str, Any]:
    """One process's shard, tensors or parts of them that stay on disk until asked; no code in a file is ever run."""
    try:
        state = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read", str(error).splitlines()[0][:200], "copy it again, or give an earlier checkpoint"
        ) from error
    if not isinstance(state, Mapping):
        raise UserError(f"{path} is no shard of a model", f"it holds a {type(state).__name__}", "give a checkpoint")
    return state


def put_together(name: str, parts: list[Any]) -> Tensor:
    """The whole tensor of every process's part."""
    first = parts[0]
    assert isinstance(first, Tensor)
    if not isinstance(first, DTensor):
        return first.to(torch.float32).contiguous()
    ranks = first.device_mesh.mesh
    split = [placement for placement in first.placements if isinstance(placement, Shard)]
    assert len(split) <= 1, name
    row = ranks.reshape(-1, ranks.shape[-1])[0] if split else ranks.flatten()[:1]  # of replicas the first
    local = [parts[int(rank)].to_local().detach() for rank in row]
    tensor = torch.cat(local, dim=split[0].dim) if split else local[0]
    assert tensor.shape == first.shape, name
    return tensor.to(torch.float32).contiguous()
