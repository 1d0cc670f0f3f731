"""Two processes on the CPU (gloo; DDP, FSDP2) do what one does, and leave one run."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import stiefel
from stiefel.artifacts import read_json, read_jsonl
from stiefel.cli import guarded, main
from stiefel.errors import SaidElsewhere, UserError
from stiefel.model.weights import load_model
from stiefel.nano.tokenizer import build_tokenizer
from stiefel.recipe.recipe import load_recipe, make_recipe
from stiefel.run.directory import finished
from stiefel.run.run import train
from stiefel.training.cap import AT_MOST, TRIES
from stiefel.training.processes import for_processes, launched
from stiefel.training.settings import grpo_config
from stiefel.training.sharding import shard_base

from .two_processes import CAP, RATE, RUN, RUNS, given_updates

ROOT = Path(__file__).parents[2]
FSDP2 = f"--config_file={ROOT / 'recipes' / 'cluster' / 'fsdp2.yaml'}"
NORMS = ("loss", "grad_norm", "entropy")
ASKED = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
ANEW = {"seconds", "tokens_per_second", "peak_memory_bytes"}  # what a clock and an allocator say


def started(out: Path, *how: str) -> subprocess.Popen[str]:
    """One launcher, and what it launches."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(stiefel.__file__).parents[1])]),
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    program = ("--num_processes=2", "-m", "tests.training.two_processes", str(out))
    command = [sys.executable, "-m", "accelerate.commands.launch", *how, *program]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def done(launchers: list[subprocess.Popen[str]]) -> None:
    """Wait until all have ended well."""
    try:
        for launcher in launchers:
            _, said = launcher.communicate(timeout=240)
            assert launcher.returncode == 0, said[-4000:]
    finally:
        for launcher in launchers:
            launcher.kill()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As two machines are launched, with a process each, that work by DDP and then by FSDP2."""
    out = tmp_path_factory.mktemp("both")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    machines = (FSDP2, "--num_machines=2", "--main_process_ip=127.0.0.1", f"--main_process_port={port}")
    done([started(out, *machines, f"--machine_rank={rank}") for rank in (0, 1)])
    return out


@pytest.fixture(scope="module")
def two(both: Path) -> Path:
    return both / "two"


@pytest.fixture(scope="module")
def divided(both: Path) -> Path:
    return both / "divided"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one")
    assert given_updates(out)["processes"] == 1
    given_updates(out / "capped", CAP)
    return out


def logs(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "logs.json").read_text())
    return found


def test_ddp_is_told_what_adapters_need(two: Path) -> None:
    facts = read_json(two / "facts.json")
    assert (facts["processes"], facts["ddp"]) == (2, True)
    assert facts["settings"] == [False, False]


def test_fsdp2_leaves_each_process_its_share_of_the_base(two: Path, divided: Path) -> None:
    """Of 2 processes half, but for the rows of vectors and matrices that do not divide, given up after every pass."""
    facts = read_json(divided / "facts.json")
    assert (facts["processes"], facts["ddp"]) == (2, False)
    assert 0.49 < facts["share"] < 0.51
    assert read_json(two / "facts.json")["share"] == 1


def test_fsdp2_takes_the_memory_that_is_foreseen(divided: Path) -> None:
    """Where nothing is fetched ahead, as on a CPU, two layers less; a third in part where one process is late."""
    facts = read_json(divided / "facts.json")
    assert facts["needed"] - 3 * facts["layer"] < facts["peak"] <= facts["needed"]


def test_fsdp2_gives_the_bits_of_ddp(two: Path, divided: Path) -> None:
    """Updates, whole runs and measurements: both multiply the same whole matrices and sum the same two gradients.

    Decay of whole factors, LoRA-FA's projection and DoRA's norms, autocast, checkpointed layers, gradients of several
    pieces, supervised norms, evaluations between rollouts, geometry, what is saved and what an engine is sent.
    """
    for place in ("given/trained.safetensors", "given/saved/adapter_model.safetensors"):
        assert (two / place).read_bytes() == (divided / place).read_bytes()
    assert read_json(two / "facts.json")["sent"] == read_json(divided / "facts.json")["sent"]
    for name in RUNS:
        same_run(two / name, divided / name)
        stiefel.load(load_model("nano", make_recipe(RUNS[name]).model.dtype), divided / name / "adapter")


def test_a_run_that_was_killed_under_fsdp2_goes_on_to_the_same_bits(divided: Path) -> None:
    same_run(divided / "run", divided / "killed")


def same_run(first: Path, second: Path) -> None:
    """The same files, with the same numbers and texts in them."""
    names = {path.relative_to(first) for path in first.rglob("*") if path.is_file()}
    assert names == {path.relative_to(second) for path in second.rglob("*") if path.is_file()}
    assert {Path("adapter/adapter_model.safetensors"), Path("metrics.jsonl"), Path("samples.jsonl")} <= names
    for name in names:
        if name.name in ("metrics.jsonl", "geometry.jsonl"):
            rows = [
                [{key: value for key, value in row.items() if key not in ANEW} for row in read_jsonl(run / name)]
                for run in (first, second)
            ]
            assert rows[0] == rows[1]
        elif name.suffix in (".jsonl", ".safetensors") or name.name == "eval.json":
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


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


@pytest.mark.parametrize("launched", ["two", "divided"])
def test_two_processes_make_the_updates_of_one(one: Path, launched: str, request: pytest.FixtureRequest) -> None:
    """On the same completions. Padding and the order of sums differ, in float64, whose errors are nothing beside this:

    Qwen3 computes its norms and its softmax in float32 whatever the model's type. A token's term passes 4 layers of 4
    norms and a softmax, and a last norm: 21 roundings of at most 2⁻²⁴ forward, and as many backward. The errors of
    different tokens add no worse than the terms themselves, whose sum is the gradient.
    """
    two: Path = request.getfixturevalue(launched)
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


@pytest.mark.parametrize("launched", ["two", "divided"])
def test_processes_measure_a_step_together_and_shorten_it_alike(
    one: Path, launched: str, request: pytest.FixtureRequest
) -> None:
    """Each holds half of the tokens: one that went by its own half would end elsewhere than the other.

    A log-probability near −10 errs by 2⁻²⁴·21·10 ≈ 1.3e-5 (see above), and a KL of 1e-5 is made of differences of
    about √2e-5 = 4.5e-3: its terms, their squares, err by 2·1.3e-5/4.5e-3, below a hundredth.
    """
    two: Path = request.getfixturevalue(launched)
    first, second = read_json(two / "facts.json")["capped"]
    assert first == second
    alone, together = logs(one / "capped"), logs(two / "capped")
    assert max(row["kl_update"] for row in together) <= AT_MOST * CAP
    assert max(row["step_scale"] for row in together) < 1
    assert all(2 <= row["cap_passes"] <= TRIES + 1 for row in together)
    for key in ("kl_update", "step_scale"):
        assert [row[key] for row in together] == pytest.approx([row[key] for row in alone], rel=0.01)


def test_a_run_in_two_processes_is_written_once(two: Path) -> None:
    run = two / "run"
    assert finished(run)
    assert load_recipe(run / "recipe.toml") == make_recipe(RUN)
    rows = read_jsonl(run / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[0]["kl_base"] == 0.0  # the start is the base on every process
    samples = read_jsonl(run / "samples.jsonl")
    assert [(row["when"], row["question"]) for row in samples if not row["when"].startswith("training")] == [
        (when, question) for when in ("before", "rollout 1", "after") for question in range(3)
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
    ("settings", "says"),
    [
        ({"ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, "fsdp2.yaml"),
        ({"ACCELERATE_USE_FSDP": "true"}, "FSDP1"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "fsdp_version: 2"),
        ({**ASKED, "FSDP_OFFLOAD_PARAMS": "true"}, "fsdp_offload_params"),
        ({**ASKED, "FSDP_ACTIVATION_CHECKPOINTING": "true"}, "optim.activation_checkpointing"),
        ({**ASKED, "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, "the same adapter"),
        ({**ASKED, "FSDP_RESHARD_AFTER_FORWARD": "false"}, "ddp.yaml"),
    ],
)
def test_other_ways_to_shard_are_refused_before_anything_is_written(settings, says, monkeypatch, tmp_path):
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=re.escape(says)):
        train(make_recipe(RUN), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["full", "sparse"])
def test_a_method_without_an_adapter_is_refused_under_fsdp2(method, monkeypatch, tmp_path, make_model):
    for variable, value in ASKED.items():
        monkeypatch.setenv(variable, value)
    recipe = make_recipe({"adapter": {"method": method}})
    with pytest.raises(UserError, match="own weights"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="own weights"):
        shard_base(stiefel.attach(make_model(), method))


def test_what_a_user_says_of_ddp_stands(tmp_path):
    args = grpo_config(make_recipe({}), tmp_path)
    args.ddp_find_unused_parameters = True
    settled = for_processes(args)
    assert (settled.ddp_find_unused_parameters, settled.ddp_broadcast_buffers) == (True, False)
    assert args.ddp_broadcast_buffers is None  # theirs is not touched


ENDING = """
import atexit, sys
from accelerate import PartialState
from stiefel.cli.ending import end
class Late:
    def __del__(self):
        print("taken apart")
late = Late()
PartialState(cpu=True)
atexit.register(print, "last words")
print("said", end="; ")
end(3)
"""


def test_a_process_of_a_launch_ends_without_taking_its_interpreter_apart() -> None:
    """In which gloo's threads abort it now and then; what is registered for the exit is done, and all is said."""
    environment = {**os.environ, "WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "ACCELERATE_USE_CPU": "true"}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    ended = subprocess.run([sys.executable, "-c", ENDING], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (3, "said; last words\n"), ended.stderr


def test_a_command_ends_its_process_so_in_a_launch_and_not_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    monkeypatch.setattr("stiefel.cli.ending.end", ends.append)
    for size in ("1", "2"):
        monkeypatch.setenv("WORLD_SIZE", size)
        with pytest.raises(SystemExit):
            main(["methods", "--no-such-option"])
    assert ends == [2]
