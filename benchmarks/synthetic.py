"""Checkpoints with a real model's shapes and heavy-tailed random spectra, written a matrix at a time."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

DECAY = 0.6  # column j is scaled by j^-DECAY before it is mixed: σ₁/σ_n ≈ n^DECAY
VOCABULARY = 1024  # the embedding is not a target; a small one keeps the files to what is measured

QWEN25 = {
    "1.5B": {"hidden_size": 1536, "intermediate_size": 8960, "heads": 12, "key_value_heads": 2, "layers": 28},
    "7B": {"hidden_size": 3584, "intermediate_size": 18944, "heads": 28, "key_value_heads": 4, "layers": 28},
}


def heavy_tailed(m: int, n: int, seed: int) -> Tensor:
    """W (m, n) = G diag(j^-DECAY) D in float32: G Gaussian, D the orthonormal DCT, so that no axis is special."""
    from scipy import fft  # here: a machine with a GPU may have none, and makes the other spectra

    generator = torch.Generator().manual_seed(seed)
    G = torch.randn(m, n, generator=generator) / m**0.5
    G *= torch.arange(1, n + 1, dtype=torch.float32) ** -DECAY
    return torch.from_numpy(fft.dct(G.numpy(), norm="ortho", axis=1, overwrite_x=True))


def power_law(m: int, n: int, seed: int) -> Tensor:
    """W (m, n) = 0.02·G + Σ_{j≤64} 30·j^−0.7·u_j v_jᵀ in float32: a slow power law above a floor of noise."""
    generator = torch.Generator().manual_seed(seed)
    U, V = (torch.linalg.qr(torch.randn(size, 64, generator=generator))[0] for size in (m, n))
    sigma = 30 * torch.arange(1, 65, dtype=torch.float32) ** -0.7
    return 0.02 * torch.randn(m, n, generator=generator) + (U * sigma) @ V.T


SPECTRA = {"tail": heavy_tailed, "power": power_law}


def shapes(size: str, width: float = 1.0) -> dict[str, tuple[int, int]]:
    """(out, in) of a layer's linear modules; `width` scales the hidden and intermediate sizes."""
    config = QWEN25[size]
    hidden, intermediate = int(config["hidden_size"] * width), int(config["intermediate_size"] * width)
    head = config["hidden_size"] // config["heads"]
    key_value = config["key_value_heads"] * head
    query = hidden // head * head
    return {
        "self_attn.q_proj": (query, hidden),
        "self_attn.k_proj": (key_value, hidden),
        "self_attn.v_proj": (key_value, hidden),
        "self_attn.o_proj": (hidden, query),
        "mlp.gate_proj": (intermediate, hidden),
        "mlp.up_proj": (intermediate, hidden),
        "mlp.down_proj": (hidden, intermediate),
    }


def write_checkpoint(directory: Path, size: str, layers: int, width: float = 1.0, spectrum: str = "tail") -> None:
    """A Qwen2 checkpoint of `layers` layers in bfloat16, one shard a layer; `spectrum` is one of SPECTRA."""
    directory.mkdir(parents=True)
    config = QWEN25[size]
    matrices = shapes(size, width)
    hidden, intermediate = matrices["self_attn.q_proj"][1], matrices["mlp.gate_proj"][0]
    head = config["hidden_size"] // config["heads"]
    settings = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": matrices["self_attn.q_proj"][0] // head,
        "num_key_value_heads": config["key_value_heads"],
        "head_dim": head,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }
    (directory / "config.json").write_text(json.dumps(settings))
    index = {}
    for layer in range(layers):
        shard = f"model-{layer:05d}.safetensors"
        tensors = {}
        for number, (name, (m, n)) in enumerate(matrices.items()):
            tensors[f"model.layers.{layer}.{name}.weight"] = SPECTRA[spectrum](m, n, 100 * layer + number).bfloat16()
        for name in ("q_proj", "k_proj", "v_proj"):
            tensors[f"model.layers.{layer}.self_attn.{name}.bias"] = torch.zeros(
                matrices[f"self_attn.{name}"][0], dtype=torch.bfloat16
            )
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{name}.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
        if layer == 0:
            tensors["model.embed_tokens.weight"] = torch.zeros(VOCABULARY, hidden, dtype=torch.bfloat16)
            tensors["model.norm.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
        save_file(tensors, directory / shard, metadata={"format": "pt"})
        index.update(dict.fromkeys(tensors, shard))
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
