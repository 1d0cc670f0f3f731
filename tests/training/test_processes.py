"""Two processes on the CPU (gloo, DDP) do what one does, and leave one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import stiefel
from stiefel.artifacts import read_json, read_jsonl
from stiefel.cli import guarded
from stiefel.errors import SaidElsewhere, UserError
from stiefel.model.weights import load_model
from stiefel.nano.tokenizer import build_tokenizer
from stiefel.recipe.recipe import load_recipe, make_recipe
from stiefel.run.directory import finished
from stiefel.run.run import train
from stiefel.training.processes import for_processes, launched
from stiefel.training.settings import grpo_config

from .two_processes import RATE, RUN, given_updates

ROOT = Path(__file__).parents[2]
LAUNCH = ("--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no")
NORMS = ("loss", "grad_norm", "entropy")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two")
    program = ("--main_process_port=0", "-m", "tests.training.two_processes", str(out))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(stiefel.__file__).parents[1])]),
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "accelerate.commands.launch", *LAUNCH, *program]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one")
    assert given_updates(out)["processes"] == 1
    return out


def logs(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "logs.json").read_text())
    return found


def test_ddp_is_told_what_adapters_need(two: Path) -> None:
    facts = read_json(two / "facts.json")
    assert (facts["processes"], facts["ddp"]) == (2, True)
    assert facts["settings"] == [False, False]


def test_sharded_weights_are_emitted_and_saved_as_whole_ones(two: Path) -> None:
    assert read_json(two / "facts.json")["sharded"]


def test_a_policy_that_is_lost_in_one_process_is_noticed_in_both(two: Path) -> None:
    """Stopping alone, the one would leave the other waiting for its completions."""
    assert read_json(two / "facts.json")["lost"] == [True, True]


def test_what_is_refused_in_one_process_is_raised_in_both_and_said_once(two: Path) -> None:
    assert read_json(two / "facts.json")["refused"] == ["SaidElsewhere: a server", "UserError: a server"]


def test_an_error_that_another_process_says_is_no_line_here(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise SaidElsewhere("a server", "it is gone", "start it")

    assert guarded(fails) == 2
    assert capfd.readouterr().err == ""


def test_two_processes_make_the_updates_of_one(one: Path, two: Path) -> None:
    """On the same completions. Padding and the order of sums differ, in float64, whose errors are nothing beside this:

    Qwen3 computes its norms and its softmax in float32 whatever the model's type. A token's term passes 4 layers of 4
    norms and a softmax, and a last norm: 21 roundings of at most 2⁻²⁴ forward, and as many backward. The errors of
    different tokens add no worse than the terms themselves, whose sum is the gradient.
    """
    alone, together = load_file(one / "trained.safetensors"), load_file(two / "given" / "trained.safetensors")
    assert alone.keys() == together.keys()
    relative = 2 * 21 * 2.0**-24
    norm = sum(row["learning_rate"] * row["grad_norm"] for row in logs(one))  # how far the updates went, summed
    distance = sum(float((alone[name] - together[name]).norm()) ** 2 for name in alone) ** 0.5
    assert logs(one)[0]["learning_rate"] == RATE
    assert norm > 0.01
    assert distance <= relative * norm
    for first, second in zip(logs(one), logs(two / "given"), strict=True):
        assert [first[key] for key in NORMS] == pytest.approx(
            [second[key] for key in NORMS], rel=1e-6
        )  # logged in float32


def test_a_run_in_two_processes_is_written_once(two: Path) -> None:
    run = two / "run"
    assert finished(run)
    assert load_recipe(run / "recipe.toml") == make_recipe(RUN)
    rows = read_jsonl(run / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[0]["kl_base"] == 0.0  # the start is the base on every process
    samples = read_jsonl(run / "samples.jsonl")
    assert [(row["when"], row["question"]) for row in samples if not row["when"].startswith("training")] == [
        (when, question) for when in ("before", "after") for question in range(3)
    ]
    for row in rows:  # both wrote of every group: those of a prompt stand together
        kept = [one for one in samples if one["when"] == f"training {row['step']}"]
        places = [(group, sample) for group in range(int(row["sampled_groups"])) for sample in range(4)]
        assert [(one["question"], one["sample"]) for one in kept] == places
        for group in range(int(row["sampled_groups"])):
            assert len({one["prompt"] for one in kept if one["question"] == group}) == 1
    stiefel.load(load_model("nano"), run / "adapter")


def test_dynamic_sampling_takes_the_same_decisions_in_both(two: Path) -> None:
    """Both saw every group of every batch: 4 a batch, no group without a difference in the end."""
    for row in read_jsonl(two / "run" / "metrics.jsonl"):
        assert row["sampled_groups"] % 4 == 0
        assert row["sampled_groups"] == 12 or row["zero_std_fraction"] == 0


def test_processes_that_accelerate_does_not_join_are_refused(monkeypatch, make_model, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="ACCELERATE_USE_CPU"):
        launched()
    monkeypatch.setenv("WORLD_SIZE", "1")
    args = grpo_config(make_recipe({}), tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="ACCELERATE_USE_CPU"):
        stiefel.GRPOTrainer(
            stiefel.attach(make_model(), "lora", r=4),
            lambda completions, **columns: [0.0] * len(completions),
            args,
            processing_class=build_tokenizer(),
        )


@pytest.mark.parametrize(
    ("variable", "value"), [("ACCELERATE_USE_FSDP", "true"), ("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")]
)
def test_sharding_is_refused_before_anything_is_written(variable, value, monkeypatch, tmp_path):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=r"ddp\.yaml"):
        train(make_recipe(RUN), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_a_user_says_of_ddp_stands(tmp_path):
    args = grpo_config(make_recipe({}), tmp_path)
    args.ddp_find_unused_parameters = True
    settled = for_processes(args)
    assert (settled.ddp_find_unused_parameters, settled.ddp_broadcast_buffers) == (True, False)
    assert args.ddp_broadcast_buffers is None  # theirs is not touched
