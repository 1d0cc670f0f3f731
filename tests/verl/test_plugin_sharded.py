"""verl's engine in two processes, which have half of every weight each: as one process, bit for bit where it can be."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import stiefel
from stiefel.adapter import verify
from stiefel.errors import UserError
from stiefel.model import load_model
from stiefel.verl.checkpoint import adapter_of

from .engines import log_probs, make_engine, nano, rollout, update

LONGEST = 384  # terms of the longest sum that an entry of a gradient is made of: nano's MLP


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Nano with a head of its own: of such models verl gives the second process no weights at all."""
    place = tmp_path_factory.mktemp("untied")
    model = load_model("nano", "float32")
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.model.embed_tokens.weight.detach().clone())
    model.save_pretrained(place)
    for path in Path(nano()).glob("*token*"):
        shutil.copyfile(path, place / path.name)
    return str(place)


def both(base: str, adapter: Path, out: Path, size: int = -1) -> list[int]:
    """Run the two processes, which share weights in groups of a size; their exit statuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "tests.verl.one_of_two"]
    place = Path(__file__).parents[2]
    with (out / "log-0.txt").open("w") as first, (out / "log-1.txt").open("w") as second:
        started = []
        for rank, log in enumerate((first, second)):
            arguments = [*words, str(rank), str(port), base, str(adapter), str(out), str(size)]
            started.append(subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT, cwd=place, env=os.environ))
        return [process.wait(timeout=240) for process in started]


@pytest.fixture(scope="module", params=["pissa", "rlpo tied"])
def ran(
    request: pytest.FixtureRequest, untied: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], Path, str, Path]:
    """(what each process found, the place of it, the base, the adapter)."""
    out = tmp_path_factory.mktemp("two")
    method, _, tied = request.param.partition(" ")
    base = nano() if tied else untied
    stiefel.prepare(base, method, out / "adapter", r=4, alpha=8)
    assert both(base, out / "adapter", out) == [0, 0], (out / "log-0.txt").read_text() + (out / "log-1.txt").read_text()
    return [torch.load(out / f"found-{rank}.pt", weights_only=True) for rank in range(2)], out, base, out / "adapter"


def test_the_start_and_the_reference_are_the_base(ran: Any):
    found, _, base, _ = ran
    with torch.no_grad():
        expected = log_probs(make_engine(None, base), rollout())
    for each in ("start", "start_base", "base"):
        assert torch.equal(torch.cat([process[each] for process in found]), expected), each


def test_both_hold_half_and_send_the_same(ran: Any):
    (first, second), _, _, _ = ran
    assert first["parts"].keys() == second["parts"].keys()
    whole = {name: tensor.shape for name, tensor in first["payload"].items()}
    for name, shape in first["parts"].items():
        assert shape[0] + second["parts"][name][0] == whole[name.replace(".default", "")][0]
        assert shape[0] == second["parts"][name][0]
    for name, tensor in first["payload"].items():
        assert torch.equal(tensor, second["payload"][name])


def test_an_update_is_the_one_of_a_single_process(ran: Any):
    (first, second), _, base, adapter = ran
    settings: Any = {"override_optimizer_config": {"eps": 1.0}, "weight_decay": 0.1, "lr": 0.1}
    engine = make_engine(adapter, base, **settings)
    before = {name: tensor.clone() for name, tensor in engine.get_per_tensor_param(base_sync_done=True)[0]}
    log_probs(engine, rollout())  # measures the KL, as the two did
    norm = update(engine, rollout())["grad_norm"]
    after = dict(engine.get_per_tensor_param(base_sync_done=True)[0])
    bound = LONGEST * torch.finfo(torch.float32).eps
    moved = torch.cat([(after[name] - before[name]).flatten() for name in after])
    # AdamW's g/(|g| + 1) changes by no more than g does, so that the updates differ by what the gradients do
    differ = torch.cat([(after[name] - first["payload"][name]).flatten() for name in after])
    assert moved.norm() > 0
    assert differ.norm() <= bound * moved.norm()
    assert first["metrics"]["grad_norm"] == pytest.approx(norm, rel=bound)
    assert first["metrics"]["kl_base"] == second["metrics"]["kl_base"] == [0.0]


def test_a_checkpoint_goes_on_bit_for_bit_and_exports_what_was_sent(ran: Any, tmp_path: Path):
    (first, _), out, base, _ = ran
    assert all(torch.equal(first["went on"][name], first["resumed"][name]) for name in first["payload"])
    assert not all(torch.equal(first["went on"][name], first["payload"][name]) for name in first["payload"])
    adapter_of(out / "actor", tmp_path / "out")
    exported = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert exported.keys() == first["payload"].keys()
    assert all(torch.equal(exported[name], first["payload"][name]) for name in exported)
    assert all(check.holds for check in verify(tmp_path / "out", base))
    shutil.copytree(out / "actor", tmp_path / "actor")
    (tmp_path / "actor" / "model_world_size_2_rank_1.pt").unlink()
    with pytest.raises(UserError, match=r"model_world_size_2_rank_1\.pt is missing"):
        adapter_of(tmp_path / "actor", tmp_path / "none")


def test_processes_that_each_have_everything_are_one_process_too(untied: str, tmp_path: Path):
    """`fsdp_size = 1`, as several machines are used: the shards are of one group, the other holds copies."""
    stiefel.prepare(untied, "pissa", tmp_path / "adapter", r=4, alpha=8)
    assert both(untied, tmp_path / "adapter", tmp_path, 1) == [0, 0], (tmp_path / "log-0.txt").read_text()
    first, second = (torch.load(tmp_path / f"found-{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(first["payload"][name], second["payload"][name]) for name in first["payload"])
    assert all(torch.equal(first["went on"][name], first["resumed"][name]) for name in first["payload"])
    adapter_of(tmp_path / "actor", tmp_path / "out")
    exported = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert all(torch.equal(exported[name], first["payload"][name]) for name in first["payload"])


def test_a_mistake_that_one_process_sees_stops_both(untied: str, tmp_path: Path):
    """Only the first process has weights to hold against the certificate."""
    stiefel.prepare("nano", "pissa", tmp_path / "adapter", r=4, alpha=8)
    other = load_model(untied, "float32")
    with torch.no_grad():
        other.model.layers[0].mlp.up_proj.weight[0, 0] += 1
    other.save_pretrained(tmp_path / "other")
    for path in Path(nano()).glob("*token*"):
        shutil.copyfile(path, tmp_path / "other" / path.name)
    assert both(str(tmp_path / "other"), tmp_path / "adapter", tmp_path) == [3, 3]
    for rank in range(2):
        assert "made for another base" in (tmp_path / f"error-{rank}.txt").read_text()
