"""Where a model is, and its weights: the embedded nano, a local directory, or a hub id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import xxhash
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from torch import Tensor

from ..artifacts import read_json
from ..errors import UserError
from ..nano import NANO, NANO_PATH
from .chat_template import Option, bind_options
from .modalities import refuse_encoder_decoder, require_text_alone

PIECE = 1 << 18  # entries
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
WEIGHTS_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
SETTINGS_FILES = ["config.json", "generation_config.json", INDEX_FILE]
TOKENIZER_FILES = [
    *("tokenizer*", "vocab*", "merges.txt", "*.model", "added_tokens.json", "special_tokens_map.json", "*.jinja"),
]


def resolve_model(model: str, revision: str = "") -> Path:
    """The local directory of `nano`, of a directory, or of a hub id, of which its settings are downloaded here."""
    path = NANO_PATH if model == NANO else Path(model)
    if revision and path.is_dir():
        raise UserError(
            f"{model} has no revision {revision!r}", "only a hub id has revisions", "leave it out, or give a hub id"
        )
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UserError(
                f"{model} is not a model directory",
                "it holds no config.json",
                "give the directory that save_pretrained wrote, a hub id, or nano",
            )
        return path
    if path.exists() or path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise UserError(
            f"no model at {model}",
            "there is no such directory, and it has not the form of a hub id (owner/name)",
            "give an existing directory, a hub id, or nano",
        )
    return from_hub(model, revision, SETTINGS_FILES)


def model_files(model: str, revision: str = "") -> Path:
    """As `resolve_model`, with the safetensors files that transformers would read, and no others of a hub's."""
    path = resolve_model(model, revision)
    if model == NANO or Path(model).is_dir():
        return path
    index = path / INDEX_FILE
    shards = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else [WEIGHTS_FILE]
    found = from_hub(model, revision, shards)
    if not any((found / shard).is_file() for shard in shards):
        raise UserError(
            f"{model} holds no {shards[0]}",
            "its weights may be pickles (.bin, .pt), which can run code when they are read, so they never are",
            "convert them once with save_pretrained(safe_serialization=True), or give another revision",
        )
    return found


def tokenizer_files(model: str, revision: str = "") -> Path:
    """As `resolve_model`, with the tokenizer's files."""
    path = resolve_model(model, revision)
    return path if model == NANO or Path(model).is_dir() else from_hub(model, revision, TOKENIZER_FILES)


def from_hub(model: str, revision: str, files: list[str]) -> Path:
    """The local directory of a hub id with these files in it, downloaded where they are not cached."""
    try:
        return Path(snapshot_download(model, revision=revision or None, allow_patterns=files))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"no model {model}: not a directory here, and the hub did not give it",
            str(error).splitlines()[0],
            "check the name and the connection, give a local directory, or try nano",
        ) from error


def load_model(model: str, dtype: str = "float32", revision: str = "", attention: str = "") -> Any:
    """The causal language model in evaluation mode, from safetensors alone; dtype "auto" is the checkpoint's own.

    attention: one of transformers' implementations, its own choice where it is empty.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    path = model_files(model, revision)
    if not any(path.glob("*.safetensors")):
        raise UserError(
            f"{path} holds no safetensors weights",
            "pickled weights (.bin, .pt) can run code when they are read, so they never are",
            "convert them once with save_pretrained(safe_serialization=True)",
        )
    require_text_alone(path)
    kind = dtype if dtype == "auto" else DTYPES[dtype]
    try:
        refuse_encoder_decoder(AutoConfig.from_pretrained(path, trust_remote_code=False), path)
        loaded, found = AutoModelForCausalLM.from_pretrained(
            path, dtype=kind, use_safetensors=True, output_loading_info=True, attn_implementation=attention or None
        )
    except ImportError as error:
        raise UserError(
            f"{attention} is not installed here",
            str(error).strip().splitlines()[0],
            'install it, or attention = "sdpa"',
        ) from error
    except SafetensorError as error:
        raise UserError(f"{path} holds a broken safetensors file", str(error), "copy or download it again") from error
    except (OSError, ValueError, RuntimeError) as error:
        if attention and "attention" in str(error).lower():
            raise UserError(
                f"{path} cannot be loaded with {attention}", str(error).splitlines()[0], "leave attention out"
            ) from error
        raise UserError(
            f"{path} is not a causal language model that transformers can load",
            str(error).splitlines()[0],
            "check its config.json and that all weight files are there",
        ) from error
    missing = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
    if missing:
        raise UserError(
            f"{path}: the files do not hold {missing[0]}, nor {len(missing) - 1} others that config.json asks for",
            "the model would start from random numbers there",
            "check that all weight files are there and belong to this config.json",
        )
    return loaded.eval()


def load_tokenizer(model: str, revision: str = "", options: Mapping[str, Option] | None = None) -> Any:
    """The model's tokenizer, padding on the left as generation needs; `options` are settings of its chat template."""
    from transformers import AutoTokenizer

    path = tokenizer_files(model, revision)
    if not holds_tokenizer(path):
        raise UserError(
            f"{path} holds no tokenizer", "prompts cannot be turned into tokens", "save the model's tokenizer there too"
        )
    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise UserError(
            f"the tokenizer of {model} has neither a pad nor an end-of-sequence token",
            "prompts of different lengths could not be put into one batch",
            "set pad_token in its tokenizer_config.json",
        )
    bind_options(tokenizer, options or {}, model)
    return tokenizer


def holds_tokenizer(directory: Path) -> bool:
    """Whether a directory has a tokenizer's files."""
    return any(directory.glob("tokenizer*")) or any(directory.glob("vocab*"))


def fingerprint(W: Tensor) -> str:
    """A 128-bit digest (XXH3) of a matrix's shape and values, the same in every type that holds them exactly.

    A bfloat16 checkpoint has one digest whether it is loaded as bfloat16 or as float32. It tells bases apart; it is no
    protection against forgery. Cost: one pass over the bytes at memory speed.
    """
    W = W.detach().to("cpu").contiguous()
    pieces = torch.split(W.flatten(), PIECE)  # which stay in the processor's cache between the steps
    as_bfloat16 = W.dtype == torch.bfloat16 or all(is_bfloat16(piece.to(torch.float32)) for piece in pieces)
    dtype = torch.bfloat16 if as_bfloat16 else torch.float32
    digest = xxhash.xxh3_128(f"{tuple(W.shape)} {dtype} ".encode())
    for piece in pieces:
        digest.update(piece.to(dtype).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def is_bfloat16(piece: Tensor) -> bool:
    """True where every float32 is a bfloat16 followed by zeros."""
    return not bool((piece.view(torch.int32) & 0xFFFF).any())
