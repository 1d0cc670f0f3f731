"""Whole runs on nano: what they leave, that they learn, repeat themselves and survive an interruption."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from stiefel import attach, save
from stiefel.artifacts import read_json, read_jsonl
from stiefel.cli import main
from stiefel.errors import UserError
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH
from stiefel.progress import run_progress
from stiefel.recipe.recipe import load_recipe, make_recipe
from stiefel.run.directory import finished, status
from stiefel.run.reaction import Diverged
from stiefel.run.run import train
from stiefel.training.settings import grpo_config

SHORT = {
    "optim": {"rollouts": 3, "lr": 1e-3},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 48},
    "run": {"threads": 1, "kl_every": 2},
    "eval": {"tasks": ["nano-sort"], "limit": 20, "temperature": 1.0, "top_p": 1.0},
}
EVERY_ROW = {
    "step",
    "learning_rate",
    "reward",
    "correct",
    "grad_norm",
    "entropy",
    "clip_fraction",
    "completion_length",
    "truncated_fraction",
    "zero_std_fraction",
    "kl_rollout",
    "tokens_per_second",
    "peak_memory_bytes",
    "seconds",
}
FEW = {"prompts": 1, "completions": 2, "max_completion_tokens": 4}  # where it is no matter what is written
CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}  # what differs between equal runs


def timeless(out: Path) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row.keys() - CLOCK} for row in read_jsonl(out / "metrics.jsonl")]


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("short") / "run"
    train(make_recipe(SHORT), out)
    return out


def test_a_run_leaves_what_the_design_names(short_run: Path) -> None:
    names = {path.name for path in short_run.iterdir()}
    assert {"recipe.toml", "manifest.json", "metrics.jsonl", "samples.jsonl", "eval.json", "adapter"} <= names
    assert finished(short_run)
    assert read_json(short_run / "manifest.json")["hardware"]["processor"].endswith(f", {os.cpu_count()} cores")
    assert load_recipe(short_run / "recipe.toml") == make_recipe(SHORT)
    assert read_json(short_run / "eval.json")["nano-sort"]["after"]["questions"] == 20
    samples = read_jsonl(short_run / "samples.jsonl")
    assert {(row["when"], row["question"]) for row in samples if not row["when"].startswith("training")} == {
        (w, q) for w in ("before", "after") for q in range(20)
    }


def test_its_adapter_says_how_it_was_trained_and_what_was_measured(short_run: Path) -> None:
    text = (short_run / "adapter" / "README.md").read_text()
    score = read_json(short_run / "eval.json")["nano-sort"]
    before, after, gain = (
        [f"{score[word][part]:{sign}.3f}" for part in ("mean", "low", "high")]
        for word, sign in (("before", ""), ("after", ""), ("difference", "+"))
    )
    row = "| ".join(f"{mean} [{low}, {high}] " for mean, low, high in (before, after, gain))
    assert f"| nano-sort | 20 | {row}|" in text
    assert "| rollouts | 3 of 4 prompts × 4 completions of at most 48 tokens, 2 updates each |" in text
    assert "| learning rate | 0.001, constant, weight decay 0.1 |" in text
    assert "rlpo on nano" in text
    for path in (short_run / "adapter").glob("*.*"):
        if path.suffix in (".md", ".json"):
            assert str(NANO_PATH.parent) not in path.read_text()
            assert str(short_run.parent) not in path.read_text()


def test_metrics_have_every_key_and_kl_where_it_is_due(short_run: Path) -> None:
    rows = read_jsonl(short_run / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert row.keys() >= EVERY_ROW
        assert row["kl_rollout"] > 0  # the second update sees a policy that the first has moved
        assert 0 <= row["reward"] == row["correct"] <= 1
    # every second rollout, the first and the last
    assert all({"kl_base", "kl_base_k1", "kl_step"} <= row.keys() for row in rows)
    assert rows[0]["kl_base"] == rows[0]["kl_base_k1"] == 0.0  # the start is the base
    assert rows[2]["kl_base"] > 0


def test_measuring_does_not_change_the_training(short_run: Path, tmp_path: Path) -> None:
    settings = {**SHORT, "run": {"threads": 1, "kl_every": 3}}
    train(make_recipe(settings), tmp_path / "run")
    kept = EVERY_ROW - CLOCK
    assert [{key: row[key] for key in kept} for row in timeless(tmp_path / "run")] == [
        {key: row[key] for key in kept} for row in timeless(short_run)
    ]
    rows = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert ["kl_base" in row for row in rows] == [True, False, True]


@pytest.mark.parametrize("name", ["grpo", "sft"])
def test_the_rate_of_every_group_is_logged(name: str, tmp_path: Path) -> None:
    adapter = {"method": "lora_plus", "options": {"ratio": 2.0}}
    tables: dict[str, Any] = {"adapter": adapter, "algorithm": {"name": name}, "run": {"threads": 1}}
    rollouts = {"optim": {"rollouts": 2, "lr": 1e-3, "schedule": "cosine"}, "rollout": FEW}
    updates = {"optim": {"lr": 1e-3, "schedule": "cosine"}, "task": {"train_rows": 16}}
    train(make_recipe({**tables, **(updates if name == "sft" else rollouts)}), tmp_path / "run")
    rows = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert [row["learning_rate"] for row in rows] == [1e-3, 0.5e-3]
    assert [row["learning_rate_B"] for row in rows] == [2e-3, 1e-3]


def test_a_rollout_without_a_readable_gold_has_no_reward(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "unreadable.jsonl"
    data.write_text('{"prompt": "1+2?", "answer": ""}\n')
    tables = {**SHORT, "task": {"data": str(data), "reward": "math"}, "rollout": FEW, "eval": {}}
    with run_progress(3) as (on_row, _):
        train(make_recipe(tables), tmp_path / "run", on_row=on_row)
    rows = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert [row["unreadable_fraction"] for row in rows] == [1.0] * 3
    assert not any("reward" in row or "correct" in row for row in rows)
    assert "reward none" in capsys.readouterr().err


def test_activations_computed_again_change_nothing(short_run: Path, tmp_path: Path) -> None:
    settings = {**SHORT, "optim": {**SHORT["optim"], "activation_checkpointing": True}}
    train(make_recipe(settings), tmp_path / "run")
    assert timeless(tmp_path / "run") == timeless(short_run)


def test_a_rate_of_zero_moves_nothing(tmp_path: Path) -> None:
    train(make_recipe({**SHORT, "optim": {"rollouts": 2, "lr": 0}, "adapter": {"method": "pissa"}}), tmp_path / "run")
    for row in read_jsonl(tmp_path / "run" / "metrics.jsonl"):
        assert row["kl_rollout"] == row["kl_base"] == row["kl_step"] == 0.0
    scores = read_json(tmp_path / "run" / "eval.json")["nano-sort"]
    assert scores["before"] == scores["after"]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_rate_changes_once_a_rollout(schedule: str, tmp_path: Path) -> None:
    optim = {"rollouts": 4, "lr": 1e-3, "schedule": schedule, "warmup_rollouts": 1}
    train(make_recipe({**SHORT, "optim": optim, "rollout": FEW, "eval": {}}), tmp_path / "run")
    rates = [row["learning_rate"] for row in read_jsonl(tmp_path / "run" / "metrics.jsonl")]
    rising = [0.5e-3, 1e-3]
    # cosine over the three rollouts after the warm-up: (1 + cos(π·i/3))/2 for i = 0, 1, 2
    assert rates == pytest.approx([*rising, 1e-3, 1e-3] if schedule == "constant" else [*rising, 0.75e-3, 0.25e-3])


def test_the_reward_rises(tmp_path: Path) -> None:
    tables = {"optim": {"rollouts": 30, "lr": 2e-3}, "rollout": {"completions": 4}, "run": {"threads": 1}}
    train(make_recipe({**tables, "adapter": {"method": "lora"}}), tmp_path / "run")
    rewards = [row["reward"] for row in read_jsonl(tmp_path / "run" / "metrics.jsonl")]
    # 80 prompts a window: even if the four completions of a prompt all agreed, the difference of two windows would
    # have a standard error of at most √(2·0.25/80) = 0.08; a rise of twice that is no accident
    assert sum(rewards[-10:]) / 10 > sum(rewards[:10]) / 10 + 0.16


def test_an_interrupted_run_says_so_and_resumes_to_the_same_weights(
    short_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    (tmp_path / "recipe.toml").write_text((short_run / "recipe.toml").read_text())
    command = ["train", str(tmp_path / "recipe.toml"), "--out", str(out)]
    interpreter = [sys.executable, "-m", "stiefel"]
    process = subprocess.Popen([*interpreter, *command], stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts)
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in error
    assert "Traceback" not in error
    assert not finished(out)

    def resumed(status: int, *changes: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*command, "--resume", *changes])
        assert ended.value.code == status
        return capsys.readouterr().err

    assert "another recipe" in resumed(2, "--set", "optim.lr=2e-3")
    resumed(0)
    assert timeless(out) == timeless(short_run)
    again, whole = (load_file(run / "adapter" / "adapter_model.safetensors") for run in (out, short_run))
    assert all(again[name].equal(whole[name]) for name in whole)
    assert "finished" in resumed(0)


def heed_interrupts() -> None:
    """A process started in the background ignores SIGINT; a person's terminal does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_trl_is_given_the_recipe(tmp_path: Path) -> None:
    """What a golden trace cannot see in six updates is asserted by name."""
    recipe = make_recipe({"algorithm": {"beta": 0.01, "entropy": 0.02}, "rollout": {"prompts": 4, "completions": 6}})
    config = grpo_config(recipe, tmp_path)
    expected = {
        "loss_type": "dapo",
        "epsilon": 0.2,
        "epsilon_high": 0.28,
        "delta": 10.0,
        "beta": 0.01,
        "entropy_coef": 0.02,
        "scale_rewards": "group",
        "num_generations": 6,
        "generation_batch_size": 24,
        "per_device_train_batch_size": 12,
        "gradient_accumulation_steps": 1,
        "steps_per_generation": 2,
        "num_iterations": 1,
        "max_steps": 120,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "max_completion_length": 64,
        "learning_rate": 3e-4,
        "weight_decay": 0.1,
        "max_grad_norm": 1.0,
        "use_bias_correction_kl": False,
        "mask_truncated_completions": False,
        "bf16": False,
    }
    assert {key: vars(config)[key] for key in expected} == expected


def test_a_run_that_diverges_is_noted_and_named(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Diverged, match="no probabilities"):
        train(make_recipe({**SHORT, "optim": {"rollouts": 6, "lr": 1e30}, "eval": {}}), out)
    assert status(out) == "diverged"
    said: list[str] = []
    recipe = make_recipe({**SHORT, "optim": {"rollouts": 6, "lr": 1e30}, "eval": {}})
    train(recipe, out, resume=True, progress=said.append)  # left as it is
    assert said == [f"{out} has ended: it diverged"]


def test_a_recipe_that_starts_from_a_directory_takes_its_settings_from_there(tmp_path: Path) -> None:
    recipe = make_recipe({"adapter": {"path": "adapters/mine"}})
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    assert load_recipe(tmp_path / "recipe.toml") == recipe  # the resolved form reads back
    with pytest.raises(UserError, match=r"adapter\.rank is set beside"):
        make_recipe({"adapter": {"path": "adapters/mine", "rank": 77}})


def test_an_adapter_of_another_base_or_with_too_few_updates_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    save(attach(load_model("nano"), "adalora", r=4), tmp_path / "adalora")
    adapter = {"path": str(tmp_path / "adalora")}
    short = make_recipe({"optim": {"rollouts": 1, "updates_per_rollout": 1}, "adapter": adapter})
    with pytest.raises(UserError, match="no step to cut its rank in: 1 optimizer steps"):
        train(short, tmp_path / "run")
    other = shutil.copytree(NANO_PATH, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if "q_proj" in name)
    save_file({**weights, name: weights[name] * 2}, other / "model.safetensors", {"format": "pt"})
    elsewhere = make_recipe({"model": {"path": str(other)}, "adapter": adapter})
    with pytest.raises(UserError, match=r"made for another base[\s\S]*q_proj"):
        train(elsewhere, tmp_path / "run")
    assert not (tmp_path / "run").exists()
