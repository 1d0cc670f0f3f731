"""Which adapters vLLM can be given beside a model, as the plain LoRA that it serves, and why others not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..adapter import CONFIG_FILE, FACTORS_FILE, export, factor_names, read_certificate
from ..artifacts import CERTIFICATE, read_json
from ..errors import UserError
from ..model import build_skeleton
from .same_class import require_same_class

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's max_lora_rank may be
# settings of PEFT's LoRA that vLLM does not read: it would serve another policy, most of them without a word
UNREAD = (
    *("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "lora_bias", "trainable_token_indices"),
    *("target_parameters", "layer_replication", "alora_invocation_tokens", "use_qalora", "use_bdlora"),
    *("arrow_config", "kasa_config", "monteclora_config", "megatron_config"),
)
VLLM_READS = "vLLM reads of an adapter the factors A and B of linear layers, one rank and one alpha"
MERGED_BY_PEFT = "--engine hf, or merge it (PEFT's merge_and_unload) and give the merged model"


def servable(adapter: Path, model: str, revision: str, directory: Path, scratch: Path) -> Path:
    """The directory of a LoRA that vLLM serves as this adapter, in `scratch` if it has to be written.

    One of ours is compared with every weight of the base that it stands on, and an anchored one is the LoRA of rank 2r
    that it is saved as; a plain one's factors must be those of layers of the model. directory: where the model's files
    are. Raises UserError for other kinds, by name. Memory: one matrix.
    """
    merged = f"stiefel export {adapter} --base {model} --as merged --out MERGED, and MERGED as the model"
    ours = (adapter / CERTIFICATE).is_file()
    if ours:
        certificate = read_certificate(adapter)
        if certificate.composition.start is None or certificate.composition.has("dora"):
            raise UserError(
                f"{adapter} cannot be served beside a model: it is no LoRA but {certificate.method}",
                "vLLM adds factors A and B to a weight, and nothing else",
                merged,
            )
    config = read_json(adapter / CONFIG_FILE)
    reason = unservable(config)
    if reason:
        raise UserError(
            f"{adapter} cannot be served beside a model: {reason}", VLLM_READS, merged if ours else MERGED_BY_PEFT
        )
    skeleton = build_skeleton(directory)
    require_same_class(skeleton, directory, "--engine hf")
    if ours:
        export(adapter, model, "lora", scratch / "lora", revision=revision)
        return scratch / "lora"
    require_fit(adapter, int(config["r"]), skeleton)
    return adapter


def unservable(config: Mapping[str, Any]) -> str:
    """What in an adapter_config.json vLLM would refuse or leave out, or nothing."""
    if config.get("peft_type") != "LORA":
        return f"it is no LoRA but {config.get('peft_type')}"
    unread = [f"{name} = {config[name]!r}" for name in UNREAD if config.get(name)]
    if config.get("bias", "none") != "none":
        unread.append(f"bias = {config['bias']!r}")
    if not unread and config["r"] > RANKS[-1]:
        return f"it has rank {config['r']}, and vLLM serves ranks up to {RANKS[-1]}"
    return f"it has {unread[0]}" if unread else ""


def rank_served(rank: int) -> int:
    """The smallest `max_lora_rank` of vLLM's for a rank; raises UserError for one above the largest."""
    if rank > RANKS[-1]:
        raise UserError(
            f"factors of rank {rank} for vLLM",
            f"it serves ranks up to {RANKS[-1]}, and an anchored adapter counts twice",
            'a smaller rank, or merged weights (rollout.sync = "merged", `stiefel export --as merged`)',
        )
    return next(most for most in RANKS if most >= rank)


def require_fit(adapter: Path, rank: int, skeleton: PreTrainedModel) -> None:
    """Raise unless every tensor of a plain LoRA is a factor of one of the model's linear layers, and none is missing.

    vLLM passes over a layer that the model has not. Reads the file's header alone.
    """
    head = skeleton.get_output_embeddings()
    wanted: dict[str, tuple[int, ...]] = {}
    for name, module in skeleton.named_modules():
        if isinstance(module, nn.Linear | Conv1D) and module is not head:
            shape = tuple(module.weight.shape)
            out, into = shape if isinstance(module, nn.Linear) else shape[::-1]
            wanted |= dict(zip(factor_names(name), ((rank, into), (out, rank)), strict=True))
    try:
        with safe_open(adapter / FACTORS_FILE, "pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{adapter} holds a broken safetensors file", str(error), "copy it again") from error
    strange = sorted(name for name, shape in found.items() if wanted.get(name) != shape)
    if strange:
        raise UserError(
            f"{adapter} does not fit {type(skeleton).__name__} beside vLLM: {strange[0]} {found[strange[0]]}",
            "it was made for another base, or stands on what is no linear layer inside the model",
            "give the model that it was made for, or --engine hf",
        )
    halves = sorted(name for name in found if other_half(name) not in found)
    if halves or not found:
        raise UserError(
            f"{adapter} lacks {other_half(halves[0]) if halves else 'its factors'}",
            "an update is the product of A and B",
            "copy it again",
        )


def other_half(name: str) -> str:
    """The name of B for that of A, and the other way round."""
    here, there = ("lora_A", "lora_B") if ".lora_A." in name else ("lora_B", "lora_A")
    return name.replace(f".{here}.", f".{there}.")
