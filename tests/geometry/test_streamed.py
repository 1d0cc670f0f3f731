"""`inspect` holds one matrix at a time, and solves nothing that the cache of `init` has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stiefel import spectrum
from stiefel.geometry import inspect
from stiefel.prepare import prepare
from tests.prepare.test_memory import LARGEST, MB, synthetic

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
    """A PiSSA start of the synthetic base, moved by hand: ΔA = 1e-3·A₀ in the first matrix's factors and all others'."""
    from safetensors.torch import load_file, save_file

    prepare(str(base), "pissa", out, r=8)
    (out / "stiefel.json").unlink()  # its digests hold no longer; PEFT needs none
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
        base = synthetic(tmp_path / str(layers), layers)
        adapter = trained(base, tmp_path / f"{layers} adapter")
        command = [sys.executable, "-c", PROGRAM, str(adapter), str(base)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        before, peaks[layers] = map(int, done.stdout.split())
        assert peaks[layers] - before <= 3 * LARGEST + 300 * MB  # the bound of `init`
    # the three further layers hold 3 × 58 MB; the allocator may keep a matrix at one time and not at another
    assert abs(peaks[4] - peaks[1]) <= 2 * LARGEST


def test_the_leading_directions_come_from_the_cache_of_init(tmp_path, monkeypatch) -> None:
    base = synthetic(tmp_path / "base", 1)
    adapter = trained(base, tmp_path / "adapter")
    cold = inspect(adapter, str(base), rank=8, cache=False)

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("solved again")

    for name in ("top_triplets", "exact_svd"):
        monkeypatch.setattr(spectrum, name, never)
    warm = inspect(adapter, str(base), rank=8)
    for one, other in zip(cold.layers, warm.layers, strict=True):
        assert one == other
