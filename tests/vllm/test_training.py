"""Rollouts by a real vLLM in the trainer's process: it plays the policy that was trained, and a killed run goes on."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stiefel.engine import Colocated
from stiefel.engine.playing import EngineLost
from stiefel.errors import UserError
from stiefel.evaluation.plan import Room
from stiefel.recipe.recipe import make_recipe
from stiefel.run import attempt
from stiefel.run.measurements import By
from stiefel.run.run import train
from stiefel.tasks import Sampling

CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}  # what differs between equal runs
ROOT = Path(__file__).parents[2]
SAME = 1e-4  # nats: the same policy in float32, by other kernels


def recipe(method: str = "pissa", **rollout: Any) -> Any:
    return make_recipe(
        {
            "adapter": {"method": method, **({"rank": 4, "alpha": 8} if method not in ("full", "ln_tuning") else {})},
            "rollout": {"engine": "vllm", "prompts": 4, "completions": 4, "max_completion_tokens": 16, **rollout},
            "algorithm": {"dynamic_sampling": True, "max_gen_batches": 2},
            "optim": {"rollouts": 4, "updates_per_rollout": 2, "lr": 1e-3},
            "run": {"threads": 1, "save_every": 1, "kl_every": 1},
            "eval": {"tasks": ["nano-sort"], "limit": 6, "every": 2, "samples": 2},
        }
    )


def rows(run: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def without_clock(run: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in rows(run)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("engine") / "run"
    train(recipe(), out)
    return out


def test_the_engine_plays_the_policy_that_is_trained_at_every_rollout(run: Path) -> None:
    found = rows(run)
    assert len(found) == 4
    assert all(row["engine_mismatch"] < SAME for row in found)
    assert found[-1]["kl_base"] > 1e-3, "an adapter that was left out would show"
    assert "sync_survival" not in found[0], "nothing has moved"
    assert all((row["sync_survival"], row["sync_error"]) == (1.0, 0.0) for row in found[1:])  # float32 is sent whole


def test_what_was_sent_is_written_layer_by_layer(run: Path) -> None:
    syncs = rows(run, "syncs.jsonl")
    assert [row["step"] for row in syncs] == [1, 2, 3, 4], "one a rollout"
    assert {row["sync"] for row in syncs} == {"factors"}
    assert syncs[0]["all"] is None
    assert len(syncs[-1]["layers"]) == 28


def test_the_runs_evaluations_are_the_engines_and_hold_pass_at_k(run: Path) -> None:
    scores = json.loads((run / "eval.json").read_text())["nano-sort"]
    assert list(scores["during"]) == ["rollout 2"]
    assert list(scores["pass_at"]) == ["1", "2"]
    assert not (run / "measured").exists()


def test_the_run_is_measured_by_its_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, found = attempt.measured_by, {}

    def measured_by(trainer: Any, tokenizer: Any, ends: Any, when: str, out: Path) -> By:
        by = real(trainer, tokenizer, ends, when, out)
        assert by.writer is not None
        sampling = Sampling(samples=1, temperature=1.0, top_p=1.0, top_k=0, max_tokens=4, seed=0)
        found[when] = (by, type(by.writer(sampling, ()).bridge.llm))
        return by

    monkeypatch.setattr(attempt, "measured_by", measured_by)
    train(recipe(), tmp_path / "run")
    assert list(found) == ["before", "rollout 2", "after"]
    assert {engine for _, engine in found.values()} == {Colocated}
    assert {(by.shares, by.speaks) for by, _ in found.values()} == {((0, 1), True)}
    assert len({by.journals for by, _ in found.values()}) == 3, "each policy keeps what is done of it apart"


SCRIPT = """
import sys
from pathlib import Path
from tests.vllm.test_training import recipe
from stiefel.run.run import train
train(recipe(), Path(sys.argv[1]), resume=True)
"""


@pytest.mark.parametrize("finished", [1, 2], ids=["before a measurement", "after one"])
def test_a_killed_run_ends_as_one_that_was_not(finished: int, run: Path, tmp_path: Path) -> None:
    """SIGKILL once so many rollouts are written, wherever the process is by then."""
    out = tmp_path / "run"
    words = [sys.executable, "-c", SCRIPT, str(out)]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    metrics = out / "metrics.jsonl"
    while not metrics.is_file() or len(metrics.read_bytes().splitlines()) < finished:
        assert child.poll() is None
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    train(recipe(), out, resume=True)
    assert same(out, run)


def same(out: Path, run: Path) -> bool:
    assert without_clock(out) == without_clock(run)
    for name in ("samples.jsonl", "syncs.jsonl", "eval.json"):
        assert (out / name).read_bytes() == (run / name).read_bytes(), name
    for path in (run / "adapter").glob("*.safetensors"):
        assert (out / "adapter" / path.name).read_bytes() == path.read_bytes()
    return True


def test_a_measurement_of_the_base_that_is_killed_goes_on(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import stiefel.evaluation.run as evaluation

    monkeypatch.setattr(evaluation, "AT_ONCE", Room(sequences=4, tokens=0, whole=True))
    real, asked = evaluation.sample_batch, []

    def interrupted(*args: Any) -> Any:
        asked.append(args[3])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(evaluation, "sample_batch", interrupted)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), out)
    train(recipe(), out, resume=True)
    assert asked[2] == asked[3], "the third batch, and none of the two before it"
    before = [[row for row in rows(place, "samples.jsonl") if row["when"] == "before"] for place in (out, run)]
    assert len(before[0]) == 12
    assert before[0] == before[1]


def test_runs_of_one_process_give_their_engines_memory_back(tmp_path: Path) -> None:
    grown = []
    for number in range(4):
        train(recipe(), tmp_path / str(number))
        gc.collect()
        grown.append(resident_bytes())
    assert grown[-1] - grown[1] < 2**29, "the keys and values of an engine are a gigabyte"


def resident_bytes() -> int:
    words = Path("/proc/self/statm").read_text().split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("method", ["pissa", "rlpo+dora", "full"])
def test_a_merged_policy_is_played_too_its_tied_head_included(method: str, tmp_path: Path) -> None:
    """vLLM's CPU build packs the head by itself, and reloading the embedding that it is tied to leaves it as it was."""
    train(recipe(method, sync="merged" if method == "pissa" else ""), tmp_path / "run")
    assert {row["sync"] for row in rows(tmp_path / "run", "syncs.jsonl")} == {"merged"}
    assert all(row["engine_mismatch"] < SAME for row in rows(tmp_path / "run"))


def test_an_engine_that_does_not_start_names_the_recipes_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "100000")
    with pytest.raises(UserError, match="vLLM does not start on") as refused:
        train(recipe(), tmp_path / "run")
    assert 'rollout.engine = "hf"' in refused.value.instead
    assert "--engine" not in refused.value.instead


def test_factors_of_an_adapter_that_has_none_are_refused_before_anything_is_sampled(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rlpo\+dora"):
        train(recipe("rlpo+dora", sync="factors"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_bfloat16_keeps_nearly_all_of_an_update_that_is_sent_as_factors(tmp_path: Path) -> None:
    wanted = recipe()
    wanted = wanted.model_copy(update={"model": wanted.model.model_copy(update={"dtype": "bfloat16"})})
    train(wanted, tmp_path / "run")
    found = rows(tmp_path / "run")
    assert all(0.995 < row["sync_survival"] < 1.005 and 0 < row["sync_error"] < 0.01 for row in found[1:])
    assert all(row["engine_mismatch"] < 0.05 for row in found)


def test_an_engine_that_dies_in_a_rollout_ends_the_run_which_goes_on_from_its_checkpoint(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real, calls = tmp_path / "run", Colocated.generate, []

    def failing(self: Colocated, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(rows(out) if (out / "metrics.jsonl").is_file() else []) == 2:
            raise RuntimeError("out of memory")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Colocated, "generate", failing)
    with pytest.raises(EngineLost, match="out of memory") as lost:
        train(recipe(), out)
    assert "--resume" in str(lost.value)
    monkeypatch.undo()
    train(recipe(), out, resume=True)
    assert same(out, run)
