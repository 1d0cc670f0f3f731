"""`inspect` holds one matrix at a time, and solves nothing that the cache of `init` has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import stiefel.spectrum.triplets as spectrum
from benchmarks.synthetic import shapes, write_checkpoint
from stiefel.adapter.streamed import prepare
from stiefel.geometry import inspect

MB = 2**20
WIDTH = 0.5  # of Qwen2.5-1.5B
LARGEST = max(m * n for m, n in shapes("1.5B", WIDTH).values()) * 4

PROGRAM = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))

before = peak()
from stiefel.geometry import inspect
inspect(sys.argv[1], sys.argv[2], cache=False)
print(before, peak())
"""


def trained(base: Path, out: Path) -> Path:
    """A PiSSA start moved by hand to A = 1.001·A₀, without its certificate, whose digests hold no longer."""
    prepare(str(base), "pissa", out, r=8)
    (out / "stiefel.json").unlink()
    tensors = load_file(out / "adapter_model.safetensors")
    for name, tensor in tensors.items():
        if "lora_A" in name:
            tensor[8:] = 1e-3 * tensor[:8]
    save_file(tensors, out / "adapter_model.safetensors", {"format": "pt"})
    return out


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's count of resident pages in kilobytes")
def test_memory_does_not_grow_with_the_number_of_layers(tmp_path) -> None:
    peaks = {}
    for layers in (1, 4):
        write_checkpoint(tmp_path / str(layers), "1.5B", layers, WIDTH)
        adapter = trained(tmp_path / str(layers), tmp_path / f"{layers} adapter")
        command = [sys.executable, "-c", PROGRAM, str(adapter), str(tmp_path / str(layers))]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        before, peaks[layers] = map(int, done.stdout.split())
        assert peaks[layers] - before <= 3 * LARGEST + 300 * MB  # the bound of `init`
    # the three further layers hold 12 matrices of LARGEST; the allocator may keep one at one time and not at another
    assert abs(peaks[4] - peaks[1]) <= 2 * LARGEST


def test_the_leading_directions_come_from_the_cache_of_init(tmp_path, monkeypatch) -> None:
    write_checkpoint(tmp_path / "base", "1.5B", 1, WIDTH)
    adapter = trained(tmp_path / "base", tmp_path / "adapter")
    cold = inspect(adapter, str(tmp_path / "base"), rank=8, cache=False)

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("solved again")

    for name in ("top_triplets", "exact_svd"):
        monkeypatch.setattr(spectrum, name, never)
    warm = inspect(adapter, str(tmp_path / "base"), rank=8)
    assert cold.layers == warm.layers
