"""What is evaluated: a model, with an adapter or without; what it is known by, and how it is loaded."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xxhash
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open

from ..adapter import BASE, CONFIG_FILE, FACTORS_FILE, load, read_certificate
from ..artifacts import CERTIFICATE, read_json
from ..errors import UserError
from ..model import (
    INDEX_FILE,
    TOKENIZER_FILES,
    WEIGHTS_FILE,
    Option,
    let_turns_end,
    load_model,
    load_tokenizer,
    model_files,
    tokenizer_files,
)

PIECE = 1 << 24  # bytes read at once


@dataclass(frozen=True)
class Subject:
    """A model (hub id, directory or nano) and the directory of its adapter, if it has one."""

    model: str
    revision: str = ""
    dtype: str = "auto"
    adapter: Path | None = None
    turn_ends: tuple[str, ...] = ()  # further ones
    chat_template_options: Mapping[str, Option] = field(default_factory=dict)

    def tokenizer(self) -> Any:
        """The model's tokenizer with these settings of its chat template."""
        return load_tokenizer(self.model, self.revision, self.chat_template_options)


def check_adapter(subject: Subject) -> None:
    """Raise for an adapter that says of itself that it is another model's, before anything is loaded.

    Ours are certified: each weight of the base is compared when the adapter is loaded. A plain one holds the name of
    its base alone, which decides where both names are hub ids; where it does not, its layers have to fit.
    """
    directory = subject.adapter
    if directory is None:
        return
    if (directory / CERTIFICATE).is_file():
        read_certificate(directory)
        return
    config = read_json(directory / CONFIG_FILE)
    if not isinstance(config, dict):
        raise UserError(f"{directory / CONFIG_FILE} is no table", "PEFT writes one", "copy the adapter again")
    base = config.get("base_model_name_or_path")
    residual = directory / BASE
    if residual.is_dir() and Path(subject.model).resolve() != residual.resolve():
        raise another_base(directory, f"it belongs to the modified base beside it, {residual}", str(residual))
    named = isinstance(base, str) and base.count("/") == 1 and not Path(base).exists()
    if named and not Path(subject.model).exists() and str(base).lower() != subject.model.lower():
        raise another_base(directory, f"its {CONFIG_FILE} names {base}, not {subject.model}", str(base))


def another_base(directory: Path, why: str, base: str) -> UserError:
    """The error of an adapter for another model."""
    return UserError(f"{directory} was made for another base", why, f"give {base} as the MODEL")


def identity(subject: Subject) -> dict[str, Any]:
    """What tells this model and adapter from any other: digests of their files. Cost: reading them once."""
    weights = model_files(subject.model, subject.revision)
    index = weights / INDEX_FILE
    names = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else [WEIGHTS_FILE]
    settings = ["config.json", "generation_config.json"]
    vocabulary = tokenizer_files(subject.model, subject.revision)
    tokenizer = sorted({path for pattern in TOKENIZER_FILES for path in vocabulary.glob(pattern)})
    files = [weights / name for name in (*settings, *names)] + [path for path in tokenizer if path.is_file()]
    found: dict[str, Any] = {
        "model": {"name": subject.model, "revision": subject.revision, "fingerprint": files_digest(files)},
        "adapter": None,
    }
    if subject.adapter is not None:
        files = [
            path for path in subject.adapter.iterdir() if path.name == CONFIG_FILE or path.suffix == ".safetensors"
        ]
        found["adapter"] = {"path": str(subject.adapter), "fingerprint": files_digest(sorted(files))}
        if (subject.adapter / CERTIFICATE).is_file():
            found["adapter"]["method"] = read_certificate(subject.adapter).method
    if subject.turn_ends:
        found["turn_ends"] = list(subject.turn_ends)
    if subject.chat_template_options:
        found["chat_template_options"] = dict(subject.chat_template_options)
    return found


def files_digest(paths: Iterable[Path]) -> str:
    """A digest (XXH3) of files' names and contents; one that is missing counts as nothing."""
    digest = xxhash.xxh3_128()
    for path in paths:
        if not path.is_file():
            continue
        digest.update(f"{path.name} {path.stat().st_size} ".encode())
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    return digest.hexdigest()


def load_subject(subject: Subject, tokenizer: Any) -> Any:
    """The model with its adapter in place, on the GPU where there is one, in evaluation mode; raises UserError."""
    model = load_model(subject.model, subject.dtype, subject.revision)
    let_turns_end(model, tokenizer, subject.turn_ends)
    if subject.adapter is not None:
        if (subject.adapter / CERTIFICATE).is_file():
            model = load(model, subject.adapter, trainable=False)
        else:
            model = with_plain_adapter(model, subject.adapter)
    return model.to(device()).eval()


def device() -> torch.device:
    """Where models run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """What their numbers depend on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def with_plain_adapter(model: Any, directory: Path) -> Any:
    """The model with an adapter that PEFT saved; raises UserError where its layers are not this model's."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # they are refused below
            adapted = PeftModel.from_pretrained(model, str(directory))
    except SafetensorError as error:
        raise UserError(f"{directory} holds a broken safetensors file", str(error), "copy it again") from error
    except (RuntimeError, ValueError, KeyError, TypeError) as error:  # sizes, targets, unknown kinds and settings
        raise UserError(
            f"{directory} does not fit {type(model).__name__}: it was made for another base, or by another PEFT",
            (str(error).splitlines() or [type(error).__name__])[0][:300],
            "give the model that it was made for",
        ) from error
    require_all_loaded(adapted, directory)
    return adapted


def require_all_loaded(adapted: PeftModel, directory: Path) -> None:
    """Raise where PEFT left out layers that the model has not, or filled in layers that the file has not."""
    with safe_open(directory / FACTORS_FILE, "pt") as file:
        saved = set(file.keys())
    loaded = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    strange = sorted(loaded - saved) + sorted(name for name in saved - loaded if "lora_" in name)
    if strange:
        raise another_base(directory, f"{len(strange)} tensors do not fit, the first is {strange[0]}", "its own base")
