"""A run that was interrupted ends in the bits of one that was not."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset
from safetensors.torch import load_file, save_file

import stiefel
from stiefel.artifacts import read_jsonl
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.nano import NANO_PATH
from stiefel.recipe.recipe import Recipe, make_recipe
from stiefel.run.directory import finished
from stiefel.run.run import train
from stiefel.training.checkpoints import checkpoints_in, step_of
from stiefel.training.settings import grpo_config

from .kills import killed_run

CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}  # what differs between equal runs
SCRIPT = {
    "optim": {"rollouts": 8, "updates_per_rollout": 2, "lr": 3e-3},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
    "algorithm": {"beta": 0.01},
    "run": {"threads": 1},
}
RUN = {
    "optim": {"rollouts": 8, "lr": 1e-3, "schedule": "cosine"},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 32},
    "algorithm": {"dynamic_sampling": True, "max_gen_batches": 2, "beta": 0.01},
    "run": {"threads": 1, "kl_every": 2, "save_every": 2},
    "eval": {"tasks": ["nano-sort"], "limit": 10, "every": 3, "temperature": 1.0},
    "adapter": {"method": "pissa"},
}


def distinct_tokens(completions: list[str], **columns: Any) -> list[float]:
    return [len(set(completion)) / 8 for completion in completions]


def script(kind: type, out: Path, resume: Path | None = None, reward: Any = distinct_tokens, **kwargs: Any) -> Any:
    """Someone's own script: six prompts, shuffled, so that eight rollouts of two see them in three epochs."""
    torch.set_num_threads(1)
    recipe = make_recipe(SCRIPT)
    config = grpo_config(recipe, out)
    config.shuffle_dataset, config.save_strategy, config.save_steps = True, "steps", 1
    if kind is trl.GRPOTrainer:
        config.save_total_limit = None  # a test goes back to any
    trainer = kind(
        stiefel.attach(load_model("nano"), "lora", r=4, alpha=8),
        reward,
        config,
        Dataset.from_list([{"prompt": f"{n}+{n}?"} for n in range(11, 17)]),
        processing_class=load_tokenizer("nano"),
        **kwargs,
    )
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer


def weights(trainer: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class KeepAll(stiefel.GRPOTrainer):
    """Every checkpoint stays, so that a test can go back to any."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        place = Path(self.args.output_dir)
        newest = checkpoints_in(place)[-1]
        newest.rename(place / newest.name.replace("checkpoint", "kept"))


@pytest.fixture(scope="module")
def whole_script(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("script")
    trainer = script(KeepAll, out)
    return out, weights(trainer), trainer.state.log_history


# update 3 is in the middle of the second rollout, 4 between two, 7 and 8 in the second epoch, 13 in the third
def test_t6_trl_resumes_to_other_weights(tmp_path: Path) -> None:
    whole = script(trl.GRPOTrainer, tmp_path / "whole")
    for update in (3, 7, 8):
        resumed = script(trl.GRPOTrainer, tmp_path / str(update), tmp_path / "whole" / f"checkpoint-{update}")
        assert not equal(weights(whole), weights(resumed)), f"upstream mended it: {update}"


@pytest.mark.parametrize("update", [3, 4, 7, 8, 13, 16])
def test_t6_ours_goes_on_to_the_same_bits(update: int, whole_script: Any, tmp_path: Path) -> None:
    out, expected, history = whole_script
    resumed = script(stiefel.GRPOTrainer, tmp_path, out / f"kept-{update}")
    assert equal(weights(resumed), expected)
    logged = [{key: row[key] for key in row if "time" not in key} for row in resumed.state.log_history]
    before = [{key: row[key] for key in row if "time" not in key} for row in history]
    assert logged[:-1] == before[:-1]  # the last is the summary of the time it took


def two_kinds(completions: list[str], **columns: Any) -> list[float]:
    return [float(len(completion) % 2) for completion in completions]


def test_dynamic_sampling_goes_on_in_the_middle_of_a_rollout(tmp_path: Path) -> None:
    """Its replacements come from a cursor of their own, and what only fills a rollout stays out of the loss."""
    kwargs = {"max_gen_batches": 2, "reward": two_kinds}
    whole = script(KeepAll, tmp_path / "whole", **kwargs)
    fractions = [log["frac_reward_zero_std"] for log in whole.state.log_history if "frac_reward_zero_std" in log]
    assert whole.sampled_completions > 8 * 8  # some groups were replaced
    for update in (3, 8, 13):
        resumed = script(stiefel.GRPOTrainer, tmp_path / str(update), tmp_path / "whole" / f"kept-{update}", **kwargs)
        assert equal(weights(resumed), weights(whole)), (update, fractions)
        assert resumed.sampled_completions == whole.sampled_completions


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    script(stiefel.GRPOTrainer, tmp_path)
    assert [step_of(path) for path in checkpoints_in(tmp_path)] == [15, 16]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-15", "checkpoint-16"]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    out = tmp_path_factory.mktemp("whole") / "run"
    began = time.perf_counter()
    train(make_recipe(RUN), out)
    return out, time.perf_counter() - began


def same_run(one: Path, other: Path) -> None:
    for name in ("adapter", "best"):
        a, b = (load_file(run / name / "adapter_model.safetensors") for run in (one, other))
        assert equal(a, b), name
    rows = [
        [{key: row[key] for key in row.keys() - CLOCK} for row in read_jsonl(run / "metrics.jsonl")]
        for run in (one, other)
    ]
    assert rows[0] == rows[1]
    for name in ("samples.jsonl", "eval.json", "adapter/README.md", "best/README.md"):
        assert (one / name).read_text() == (other / name).read_text(), name


def test_killed_three_times_and_resumed_a_run_ends_in_the_same_bits(whole_run: Any, tmp_path: Path) -> None:
    whole, seconds = whole_run
    killed_run(make_recipe(RUN), tmp_path / "run", kills=3, seconds=0.4 * seconds)
    same_run(tmp_path / "run", whole)


def test_a_changed_recipe_is_refused_with_what_changed(whole_run: Any) -> None:
    whole, _ = whole_run
    changed = {**RUN, "optim": {"rollouts": 9, "lr": 2e-3, "schedule": "cosine"}}
    with pytest.raises(UserError, match=r"optim.lr was 0.001, is 0.002; optim.rollouts was 8, is 9"):
        train(make_recipe(changed), whole, resume=True)


def test_a_journal_that_lost_rows_is_named(whole_run: Any, tmp_path: Path) -> None:
    out = shutil.copytree(whole_run[0], tmp_path / "run")
    manifest = out / "manifest.json"
    manifest.write_text(manifest.read_text().replace("finished", "running"))
    (out / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="shorter than when the checkpoint was written"):
        train(make_recipe(RUN), out, resume=True)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("optimizer.pt", 0),
        ("optimizer.pt", 60),
        ("random.pt", 60),
        ("trained.safetensors", 60),
        ("buffer.safetensors", 0),
    ],
)
def test_a_checkpoint_that_broke_is_named_and_the_run_goes_on_without_it(
    name: str, size: int, whole_run: Any, tmp_path: Path
) -> None:
    out = shutil.copytree(whole_run[0], tmp_path / "run")
    manifest = out / "manifest.json"
    manifest.write_text(manifest.read_text().replace("finished", "running"))
    before, last = checkpoints_in(out / "checkpoints")
    shutil.rmtree(last)  # from which no update is left
    os.truncate(before / name, size)
    with pytest.raises(UserError, match=f"{before.name}/{name} cannot be read") as error:
        train(make_recipe(RUN), out, resume=True)
    assert f"remove {before}" in error.value.instead
    if name == "random.pt":
        shutil.rmtree(before)
        train(make_recipe(RUN), out, resume=True)
        same_run(out, whole_run[0])


def interrupted(recipe: Recipe, out: Path, step: int) -> None:
    """A run that ended at the row of that step, before its checkpoint."""

    def stop(row: dict[str, Any]) -> None:
        if row["step"] == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, out, on_row=stop)


def short(**task: Any) -> Recipe:
    return make_recipe({**RUN, "task": task, "eval": {}, "optim": {"rollouts": 4}, "run": {"save_every": 1}})


def test_data_that_changed_behind_the_same_recipe_are_refused_by_name(tmp_path: Path) -> None:
    rows = [{"prompt": f"{n}+{n}?", "answer": f">{2 * n}"} for n in range(11, 19)]
    data, out = tmp_path / "mine.jsonl", tmp_path / "run"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = short(data=str(data), reward="exact")
    interrupted(recipe, out, 3)
    rows[0]["answer"] = ">23"
    before = (out / "metrics.jsonl").read_text()
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"other rows than .*mine\.jsonl gives now"):
        train(recipe, out, resume=True)
    assert (out / "metrics.jsonl").read_text() == before
    rows[0]["answer"] = ">22"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train(recipe, out, resume=True)
    assert len(read_jsonl(out / "metrics.jsonl")) == 4


def test_a_model_that_changed_behind_the_same_recipe_is_refused_by_name(tmp_path: Path) -> None:
    model, out = shutil.copytree(NANO_PATH, tmp_path / "model"), tmp_path / "run"
    recipe = make_recipe({**short().model_dump(), "model": {"path": str(model)}})
    interrupted(recipe, out, 3)
    weights = load_file(model / "model.safetensors")
    name = next(name for name in weights if "q_proj" in name)
    save_file({**weights, name: weights[name] * 2}, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=f"other weights than .*{name.removesuffix('.weight')}"):
        train(recipe, out, resume=True)


def test_what_a_kill_left_half_written_does_not_stop_a_resume(tmp_path: Path) -> None:
    out = tmp_path / "run"
    interrupted(short(), out, 3)
    for place in (".adapter.x1", "checkpoints/.checkpoint-6.x2"):  # the names that writing and removing begin with
        (out / place).mkdir()
        (out / place / "part").write_text("half")
    (out / ".manifest.json.x3").write_text("{")
    train(short(), out, resume=True)
    assert finished(out)
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


def test_a_run_killed_as_its_best_adapter_was_moved_is_finished(whole_run: Any, tmp_path: Path) -> None:
    out = shutil.copytree(whole_run[0], tmp_path / "run")
    manifest = out / "manifest.json"
    manifest.write_text(manifest.read_text().replace("finished", "running"))
    (out / "evaluated").mkdir()  # the best has left it already
    train(make_recipe(RUN), out, resume=True)
    same_run(out, whole_run[0])
