"""Two gloo processes on a CPU whose rollouts vLLM writes, by one server and by an engine in each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import stiefel
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from tests.vllm.server_recipes import BY_BATCH, CLOCK, recipe, rows

ROOT = Path(__file__).parents[2]
LAUNCH = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"),
    *("--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0", "-m"),
]
pytestmark = pytest.mark.timeout(600)  # two processes start, each with what it imports, beside a server
RATE = 1e-3
SECONDS = 60  # by then an error of one process has ended both


@contextmanager
def launched(wanted: Any, out: Path, *program: str) -> Iterator[subprocess.Popen[bytes]]:
    """`stiefel train` in two processes, which speak into a file (`told`)."""
    place = out.parent / f"{out.name}.toml"
    place.write_text(wanted.to_toml())
    environment = {
        **os.environ,
        **{"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        **{"PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(stiefel.__file__).parents[1])])},
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    words = [*LAUNCH, *(program or ("stiefel",)), "train", str(place), "--out", str(out)]
    with place.with_suffix(".stderr").open("wb") as spoken:
        child = subprocess.Popen(words, env=environment, cwd=ROOT, stdout=spoken, stderr=spoken)
        try:
            yield child
        finally:
            child.terminate()  # its launcher ends the others
            child.wait(60)


def told(out: Path) -> str:
    """What the two said."""
    return out.with_suffix(".stderr").read_text()


def errors(out: Path) -> list[str]:
    """The first lines of our errors; the launcher adds a page of its own."""
    return [line for line in told(out).splitlines() if line.startswith("error: ")]


def test_two_trainers_at_one_server_make_the_run_of_one(policy_server: str, tmp_path: Path) -> None:
    """The server draws each completion by its place in the whole rollout, so that they are the same ones.

    What differs is the order of sums: of float32, whose unit roundoff is 2⁻²⁴, at 12 roundings in each of 4 layers,
    forward and backward, in each of two updates. Adam divides a gradient by its own size, so that an element whose
    gradient is a part √ε of the others' has a step that is off by √ε of itself, and fewer than √ε of them are smaller.
    """
    wanted = recipe(policy_server, rollouts=2, optim={"rollouts": 2, "updates_per_rollout": 1, "lr": RATE})
    train(wanted, tmp_path / "one")
    with launched(wanted, tmp_path / "two") as child:
        assert child.wait(240) == 0, told(tmp_path / "two")
    one, two = tmp_path / "one", tmp_path / "two"
    assert (two / "samples.jsonl").read_bytes() == (one / "samples.jsonl").read_bytes()
    epsilon = 2 * 2 * 12 * 4 * 2.0**-24
    assert len(rows(two)) == 2
    for alone, together in zip(rows(one), rows(two), strict=True):
        assert alone.keys() == together.keys()
        for key in alone.keys() - CLOCK - BY_BATCH:
            assert together[key] == pytest.approx(alone[key], rel=epsilon, abs=1e-9), key
    weights = [load_file(run / "adapter" / "adapter_model.safetensors") for run in (one, two)]
    squares = sum(float((weights[0][name] - weights[1][name]).square().sum()) for name in weights[0])
    steps = 2 * RATE * sum(tensor.numel() for tensor in weights[0].values()) ** 0.5
    assert squares**0.5 < epsilon**0.5 * steps


def test_what_the_server_refuses_the_first_process_ends_both_with_one_message(
    policy_server: str, tmp_path: Path
) -> None:
    """The one process asks the server, and the other waits for what it would get."""
    out, failed = tmp_path / "run", 0.0
    with launched(recipe(policy_server, rollouts=200), out, "tests.vllm.one_of_two", "forgets") as child:
        while child.poll() is None:
            if (out / "metrics.jsonl").is_file():
                failed = failed or time.monotonic()
                assert time.monotonic() - failed < SECONDS
            time.sleep(0.01)
    assert child.returncode != 0
    (error,) = errors(out)
    assert "refused a request in the middle of a rollout, with status 404" in error
    assert "The model `stiefel-forgotten` does not exist." in told(out)


def colocated(**tables: Any) -> Any:
    base: dict[str, dict[str, Any]] = {
        "adapter": {"method": "pissa", "rank": 4, "alpha": 8},
        "rollout": {"engine": "vllm", "prompts": 4, "completions": 4, "max_completion_tokens": 16},
        "optim": {"rollouts": 2, "updates_per_rollout": 1, "lr": 1e-3},
        "run": {"threads": 1, "kl_every": 1},
        "eval": {"tasks": ["nano-sort"], "limit": 6},
    }
    return make_recipe({name: {**table, **tables.get(name, {})} for name, table in base.items()})


def test_an_engine_in_each_of_two_processes_plays_the_policy(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with launched(colocated(), out) as child:
        assert child.wait(240) == 0, told(out)
    assert len(rows(out)) == 2
    assert all(row["engine_mismatch"] < 1e-4 for row in rows(out))
    assert len([row for row in rows(out, "samples.jsonl") if row["when"] == "after"]) == 6


def test_an_engine_that_fails_in_one_process_ends_both_with_one_message(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with launched(colocated(), out, "tests.vllm.one_of_two", "breaks") as child:
        assert child.wait(200) != 0
    (error,) = errors(out)
    assert error.endswith("the engine failed in the middle of a rollout: RuntimeError: out of memory")
    assert len(rows(out)) == 1


def test_an_engine_that_does_not_start_in_one_process_ends_both_with_one_message(tmp_path: Path) -> None:
    program = ("tests.vllm.one_of_two", "VLLM_CPU_KVCACHE_SPACE=100000")
    with launched(colocated(), tmp_path / "run", *program) as child:
        assert child.wait(200) != 0
    (error,) = errors(tmp_path / "run")
    assert "vLLM does not start on" in error
