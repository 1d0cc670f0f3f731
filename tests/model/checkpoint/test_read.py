"""What is read from the files is what transformers loads from them, bit for bit, whatever the files call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig

from stiefel.model.checkpoint import Checkpoint
from stiefel.model.skeleton import build_skeleton
from stiefel.model.targets import select_targets
from stiefel.model.tensorfile import TensorFile

from .conftest import CONFIGS, TARGETS, built

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def check(directory, dtype, target_modules="all-linear"):
    skeleton = build_skeleton(directory)
    targets = select_targets(skeleton, target_modules).targets
    checkpoint = Checkpoint(directory, skeleton)
    checkpoint.require(targets)
    loaded = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype)
    for target in targets:
        W, weight = checkpoint.read(target), loaded.get_parameter(target.parameter)
        assert W.shape == target.shape
        assert W.dtype == dtype
        assert torch.equal(W.T if target.conv1d else W, weight), target.name


@pytest.mark.parametrize("family", CONFIGS)
def test_one_file(family, saved):
    check(saved(family), torch.float32, TARGETS.get(family, "all-linear"))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "hrm"])
def test_shards_in_every_type(family, dtype, saved):
    directory = saved(family, dtype, max_shard_size="10KB")
    assert len(list(directory.glob("*.safetensors"))) > 2
    check(directory, dtype, TARGETS.get(family, "all-linear"))


def keys(directory: Path) -> set[str]:
    return {key for path in directory.glob("*.safetensors") for key in load_file(path)}


def test_the_files_of_these_tests_do_not_have_the_models_names(saved):
    assert "model.layers.0.block_sparse_moe.experts.0.w1.weight" in keys(saved("mixtral"))
    assert "model.layers.0.mlp.experts.3.up_proj.weight" in keys(saved("qwen3-moe"))
    assert "model.L_module.layers.0.attn.gqkv_proj.weight" in keys(saved("hrm"))


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_files_saved_from_the_bare_model(family, tmp_path):
    model = built(family, torch.float32)
    model.base_model.save_pretrained(tmp_path)
    assert not any(key.startswith(model.base_model_prefix) for key in keys(tmp_path))
    check(tmp_path, torch.float32, TARGETS.get(family, "all-linear"))


def test_files_with_a_prefix_too_many_and_tensors_that_the_model_lacks(saved, tmp_path):
    """GPT-2's own repository has the bare names and the buffers of old versions."""
    directory = saved("gpt2")
    tensors = {
        key.removeprefix("transformer."): value for key, value in load_file(directory / "model.safetensors").items()
    }
    save_file({**tensors, "h.0.attn.bias": torch.ones(1, 1, 8, 8)}, directory / "model.safetensors", {"format": "pt"})
    check(directory, torch.float32)


def test_the_single_file_goes_before_the_index(saved):
    """As in transformers, so that both forms of `init` see the same weights."""
    directory = saved("llama")
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "none.safetensors"}}))
    check(directory, torch.float32)


def test_an_untied_head_by_name(saved):
    check(saved("llama"), torch.float32, ["lm_head"])


MEMORY = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from stiefel.model import Checkpoint, build_skeleton, select_targets

def kilobytes(word):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(word)))

directory = Path(sys.argv[1])
skeleton = build_skeleton(directory)
targets = select_targets(skeleton, ["gate_proj", "up_proj", "down_proj"]).targets
checkpoint = Checkpoint(directory, skeleton)
checkpoint.require(targets)
before = kilobytes("VmRSS:")  # the peak so far may be higher, from the imports
Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
assert kilobytes("VmHWM:") < before + 1024
total = sum(int(checkpoint.read(target).view(torch.int32)[-1, -1] == number) for number, target in enumerate(targets))
assert total == len(targets) == 12
print(1024 * (kilobytes("VmHWM:") - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's count of resident pages")
def test_memory_is_that_of_a_matrix_and_not_of_the_model(tmp_path):
    """Twelve matrices of 8 MB, one after another, raise the peak by less than two of them."""
    config = LlamaConfig(
        vocab_size=8, hidden_size=1024, intermediate_size=2048, num_hidden_layers=4, num_attention_heads=1, head_dim=8
    )
    config.save_pretrained(tmp_path)
    skeleton = build_skeleton(tmp_path)
    shapes = {name: tuple(tensor.shape) for name, tensor in skeleton.state_dict().items()}
    numbers = {
        target.parameter: number
        for number, target in enumerate(select_targets(skeleton, ["gate_proj", "up_proj", "down_proj"]).targets)
    }
    with TensorFile(tmp_path / "model.safetensors", shapes) as file:
        for name, shape in shapes.items():
            file.write(name, torch.full(shape, numbers.get(name, 0), dtype=torch.int32).view(torch.float32))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout.splitlines()[-1]) < 2 * 1024 * 2048 * 4
