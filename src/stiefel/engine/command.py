"""The command that serves a model, or an adapter beside its base, as it stands on this machine."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

from ..adapter import CONFIG_FILE
from ..artifacts import read_json
from ..model import model_files
from .dtype import own_dtype
from .servable import rank_served

# or it compiles C++, and takes most of the memory
ON_CPU = ("--enforce-eager", "--kv-cache-memory-bytes", "1G")
SERVE = ("vllm", "serve")
# the CPU build's `vllm` asks for the version of a package named vllm, and is named otherwise
SERVE_ON_CPU = ("-m", "vllm.entrypoints.openai.api_server", "--model")


def serve_command(model: str, adapter: Path | None = None, revision: str = "") -> str:
    """What serves a hub id, a directory or nano, with the rank that a LoRA beside it needs, in its own type.

    Where no GPU is, with what vLLM's CPU build must be told.
    """
    directory = model_files(model, revision)
    here = Path(model).is_dir() or model.count("/") != 1
    gpu = torch.cuda.is_available()
    python = sys.executable if find_spec("vllm") is not None else "python"
    words = [*(SERVE if gpu else (python, *SERVE_ON_CPU)), str(directory) if here else model]
    if revision:
        words += ["--revision", revision]
    if own_dtype(directory) == "float32":
        words += ["--dtype", "float32"]  # vLLM's "auto" would round it
    if not gpu:
        words += ON_CPU
    if adapter is not None:
        most = rank_served(read_json(adapter / CONFIG_FILE)["r"])
        words += ["--enable-lora", "--max-lora-rank", str(most), "--lora-modules", f"adapter={adapter}"]
    return shlex.join(words)
