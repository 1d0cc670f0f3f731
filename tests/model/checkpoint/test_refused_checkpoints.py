"""Files that are missing, broken or of another kind are named, and nothing is read from them."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from stiefel import UserError
from stiefel.model.checkpoint import Checkpoint, refuse_config
from stiefel.model.skeleton import build_skeleton
from stiefel.model.targets import select_targets

NAME = "model.layers.1.mlp.up_proj.weight"
SINGLE = "model.safetensors"


def read_all(directory):
    skeleton = build_skeleton(directory)
    targets = select_targets(skeleton, "all-linear").targets
    checkpoint = Checkpoint(directory, skeleton)
    checkpoint.require(targets)
    for target in targets:
        checkpoint.read(target)


def refused(directory, *words):
    with pytest.raises(UserError) as error:
        read_all(directory)
    for word in words:
        assert word in str(error.value)


def edit(directory, change):
    """Change the tensors of a single file."""
    tensors = load_file(directory / SINGLE)
    change(tensors)
    save_file(tensors, directory / SINGLE, {"format": "pt"})


def edit_header(path, change):
    """Change the header and leave the tensors where they are."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = json.dumps(change(header) or header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def test_no_weights(saved):
    directory = saved()
    (directory / SINGLE).unlink()
    refused(directory, SINGLE, "no weights")


def test_pickles_only(saved):
    directory = saved()
    (directory / SINGLE).rename(directory / "pytorch_model.bin")
    refused(directory, "pytorch_model.bin is a pickle", "run code")


def test_quantised(saved):
    directory = saved()
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": {"quant_method": "fp8"}}))
    refused(directory, "quantised", "fp8")


def test_a_quantised_part_of_a_model(tmp_path):
    config = {"model_type": "gemma3", "text_config": {"quantization_config": {"quant_method": "awq"}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"quantised.*awq"):
        refuse_config(tmp_path)


def test_weights_under_another_file_name(saved):
    directory = saved()
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "transformers_weights": "other.safetensors"}))
    refused(directory, "other.safetensors", "stiefel.attach")


@pytest.mark.parametrize(
    ("dtype", "word"), [(torch.int8, "I8"), (torch.float8_e4m3fn, "F8_E4M3"), (torch.float64, "F64")]
)
def test_types_that_are_not_read(dtype, word, saved):
    directory = saved()
    edit(directory, lambda tensors: tensors.update({NAME: tensors[NAME].to(dtype)}))
    refused(directory, NAME, word)


def test_a_type_of_a_tensor_that_is_not_a_target_does_not_matter(saved):
    directory = saved()
    edit(directory, lambda tensors: tensors.update({"extra": torch.ones(3, dtype=torch.int64)}))
    read_all(directory)


def test_a_missing_tensor(saved):
    directory = saved()
    edit(directory, lambda tensors: tensors.pop(NAME))
    refused(directory, NAME, "random")


def test_a_shape_of_another_model(saved):
    directory = saved()
    edit(directory, lambda tensors: tensors.update({NAME: torch.zeros(48, 16)}))
    refused(directory, NAME, "(48, 16)", "(48, 32)")


def test_tensors_that_cannot_be_converted(saved):
    directory = saved("hrm")
    fused = "model.L_module.layers.0.attn.gqkv_proj.weight"
    edit(directory, lambda tensors: tensors.update({fused: torch.zeros(1, 32)}))  # one row is not cut in four
    refused(directory, fused, "conversion failed", "stiefel.attach")


HEADERS = {
    "empty": lambda data: b"",
    "shorter than a length": lambda data: data[:5],
    "header longer than the file": lambda data: (10**9).to_bytes(8, "little") + data[8:],
    "header length of sixteen exabytes": lambda data: b"\xff" * 8 + data[8:],
    "not JSON": lambda data: data[:8] + b"x" + data[9:],
    "not text": lambda data: data[:20] + b"\xff\xfe" + data[22:],
    "not an object": lambda data: (2).to_bytes(8, "little") + b"[]",
    "truncated": lambda data: data[:-100],
    "too long": lambda data: data + b"\0" * 100,
    "an HTML page": lambda data: b"<html><body>Not found</body></html>",
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_broken_file(case, saved):
    path = saved() / SINGLE
    path.write_bytes(HEADERS[case](path.read_bytes()))
    refused(path.parent, str(path), "broken safetensors file")


def moved(key, value):
    def change(header):
        header[NAME][key] = value

    return change


ENTRIES = {
    "end beyond the file": moved("data_offsets", [0, 10**12]),
    "end before start": moved("data_offsets", [6144, 0]),
    "negative start": moved("data_offsets", [-6144, 0]),
    "too few bytes": moved("data_offsets", [0, 6140]),
    "one offset": moved("data_offsets", [0]),
    "a word for an offset": moved("data_offsets", [0, "6144"]),
    "negative size": moved("shape", [-48, -32]),
    "a word for a shape": moved("shape", "48x32"),
    "a number for a type": moved("dtype", 32),
    "no place": lambda header: header[NAME].pop("data_offsets") and None,
}


@pytest.mark.parametrize("case", ENTRIES)
def test_a_broken_entry(case, saved):
    path = saved() / SINGLE
    edit_header(path, ENTRIES[case])
    refused(path.parent, str(path), NAME, "broken safetensors file")


def test_a_file_that_shrinks_after_its_header_was_read(saved):
    directory = saved()
    skeleton = build_skeleton(directory)
    targets = select_targets(skeleton, "all-linear").targets
    checkpoint = Checkpoint(directory, skeleton)
    data = (directory / SINGLE).read_bytes()
    (directory / SINGLE).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="ends before the end of"):
        [checkpoint.read(target) for target in targets]


@pytest.fixture
def sharded(saved):
    directory = saved(max_shard_size="20KB")
    index = directory / "model.safetensors.index.json"
    return directory, index, json.loads(index.read_text())


def test_a_missing_shard(sharded):
    directory, _, places = sharded
    shard = places["weight_map"][NAME]
    (directory / shard).unlink()
    refused(directory, str(directory / shard), "missing")


def test_a_truncated_shard(sharded):
    directory, _, places = sharded
    path = directory / places["weight_map"][NAME]
    path.write_bytes(path.read_bytes()[:-1])
    refused(directory, str(path), "broken safetensors file")


def test_a_shard_of_another_checkpoint(sharded):
    directory, _, places = sharded
    path = directory / places["weight_map"][NAME]
    save_file({"other": torch.zeros(2)}, path)
    refused(directory, str(path), "does not hold")


def test_an_index_that_leaves_a_tensor_out(sharded):
    directory, index, places = sharded
    shard = places["weight_map"].pop(NAME)
    index.write_text(json.dumps(places))
    read_all(directory)  # as transformers does, for the shard holds it
    tensors = load_file(directory / shard)
    del tensors[NAME]
    save_file(tensors, directory / shard)
    refused(directory, NAME)


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}'])
def test_an_index_that_is_none(content, sharded):
    directory, index, _ = sharded
    index.write_text(content)
    refused(directory, str(index), "not an index")


def test_an_index_that_is_not_json(sharded):
    directory, index, _ = sharded
    index.write_text("{")
    refused(directory, str(index), "not JSON")


@pytest.mark.parametrize("shard", ["../other.safetensors", "/etc/passwd", "..", ""])
def test_an_index_that_names_a_file_elsewhere(shard, sharded):
    directory, index, places = sharded
    index.write_text(json.dumps({"weight_map": {**places["weight_map"], NAME: shard}}))
    refused(directory, str(index))
