"""Memory is that of one matrix, whatever the number of layers."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from transformers import LlamaConfig

from stiefel.model.skeleton import build_skeleton
from stiefel.model.tensorfile import TensorFile

MB = 2**20
HIDDEN, WIDE = 1024, 4096  # up, gate and down: 16 MB in float32
LARGEST = HIDDEN * WIDE * 4

PROGRAM = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))

before = peak()
from stiefel.adapter import prepare
prepare(sys.argv[1], sys.argv[3], Path(sys.argv[2]), r=8, cache=False)
print(before, peak())
"""


def synthetic(directory, layers):
    """Random matrices, written one at a time."""
    LlamaConfig(
        vocab_size=8,
        hidden_size=HIDDEN,
        intermediate_size=WIDE,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=1,
    ).save_pretrained(directory)
    shapes = {name: tuple(tensor.shape) for name, tensor in build_skeleton(directory).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    with TensorFile(directory / "model.safetensors", shapes) as file:
        numbers = torch.randn(LARGEST // 4 + 1000, generator=generator)
        for place, (name, shape) in enumerate(shapes.items()):  # each matrix from another place of the same numbers
            file.write(name, numbers[place:][: math.prod(shape)].view(shape))
    return directory


def peak(directory, out, method):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), str(out), method],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    before, after = map(int, done.stdout.split())
    return before, after


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's count of resident pages in kilobytes")
@pytest.mark.parametrize("method", ["rlpo"])
def test_memory_does_not_grow_with_the_number_of_layers(method, tmp_path):
    peaks = {}
    for layers in (2, 8):
        directory = synthetic(tmp_path / str(layers), layers)
        before, peaks[layers] = peak(directory, tmp_path / f"{layers} out", method)
        # the imports of transformers and PEFT are most of the 300 MB
        assert peaks[layers] - before <= 3 * LARGEST + 300 * MB
    # the six further layers hold 6 × 58 MB; the allocator may keep a matrix at one time and not at another
    assert abs(peaks[8] - peaks[2]) <= 2 * LARGEST
