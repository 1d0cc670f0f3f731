"""verl's own metrics file, of rollouts by its own engine and functions, becomes a run that stands beside one of TRL."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from verl import DataProto
from verl.trainer.ppo.metric_utils import compute_data_metrics, compute_throughout_metrics
from verl.utils import tensordict_utils as tu
from verl.utils.metric import reduce_metrics
from verl.utils.profiler import DistProfiler
from verl.utils.py_functional import rename_dict
from verl.utils.tracking import Tracking
from verl.workers.engine_workers import TrainingWorker

import stiefel
from stiefel.artifacts import read_json, read_jsonl
from stiefel.errors import UserError
from stiefel.recipe.recipe import make_recipe
from stiefel.verl import import_run
from stiefel.verl.metrics import metric_row, metric_rows

from .engines import RESPONSE, ROWS, dapo, log_probs, make_engine, rollout

MAIN = Path(__file__).parents[2] / ".venv" / "bin" / "python"
SECONDS = 2.5
RECIPE = {
    "adapter": {"method": "pissa", "rank": 4, "alpha": 8},
    "optim": {"rollouts": 2, "updates_per_rollout": 1},
    "rollout": {"prompts": 2, "completions": 4, "max_prompt_tokens": 16, "max_completion_tokens": RESPONSE},
    "run": {"kl_every": 1, "threads": 1},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a launch after two rollouts, each by another start of the script."""
    place = tmp_path_factory.mktemp("launched")
    recipe = make_recipe(RECIPE)
    (place / "recipe.toml").write_text(recipe.to_toml())
    stiefel.prepare("nano", "pissa", place / "adapter", r=4, alpha=8)
    (place / "verl.json").write_text(json.dumps({"recipe": str(place / "recipe.toml"), "weight_decay_on": "delta"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STIEFEL_VERL", str(place / "verl.json"))
        engine = make_engine(place / "adapter", total_training_steps=2)
        for step in (1, 2):
            patch.setenv("VERL_FILE_LOGGER_PATH", str(place / f"metrics-{step}.jsonl"))
            logger = Tracking("stiefel", "pissa", ["file"])
            dict(engine.get_per_tensor_param(base_sync_done=True)[0])
            data = rollout(step)
            log_probs(engine, data)
            logger.log({"val-core/nano/acc/mean@1": 0.5}, step=step - 1)
            logger.log(metrics_of(engine, data), step=step)
            logger.finish()
        steps = place / "checkpoints"
        engine.save_checkpoint(str(steps / "global_step_2" / "actor"), global_step=2)
        (steps / "latest_checkpointed_iteration.txt").write_text("2")
    return place


def metrics_of(engine: Any, data: Any) -> dict[str, Any]:
    """What verl's trainer logs of a step, by its own worker and functions."""
    worker = object.__new__(TrainingWorker)  # its constructor asks ray for a place among others
    worker.engine, worker.engine_config, worker.model_config = engine, engine.engine_config, engine.model_config
    worker.device_name, worker.flops_counter, worker.loss_fn = "cpu", None, dapo()
    worker.profiler = DistProfiler(rank=0, config=None)
    given = data.clone()
    tu.assign_non_tensor(given, mini_batch_size=ROWS)
    metrics = tu.get(worker.train_mini_batch(given), "metrics")
    mask = data["response_mask"]
    scores = torch.arange(ROWS)[:, None] / ROWS * mask / mask.sum(1, keepdim=True)
    batch = DataProto.from_dict(
        tensors={
            "token_level_scores": scores,
            "token_level_rewards": scores,
            "advantages": data["advantages"],
            "returns": data["advantages"],
            "prompts": data["prompts"],
            "responses": data["responses"],
            "attention_mask": data["attention_mask"],
            "response_mask": mask,
        },
        meta_info={"global_token_num": data["attention_mask"].sum(1).tolist()},
    )
    return {
        **reduce_metrics(rename_dict(metrics, "actor/")),
        **compute_data_metrics(batch, use_critic=False),
        **compute_throughout_metrics(batch, {"step": SECONDS}, n_gpus=1),
    }


def test_a_row_has_our_names_and_units(home: Path, tmp_path: Path):
    assert import_run(home, tmp_path / "run") == 2
    rows = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2]
    for row in rows:
        mask = rollout(row["step"])["response_mask"]
        assert row["reward"] == pytest.approx(float((torch.arange(ROWS) / ROWS).mean()), rel=1e-6)
        assert row["completion_length"] == pytest.approx(float(mask.sum(1).mean()))
        assert row["truncated_fraction"] == pytest.approx(float((mask.sum(1) == RESPONSE).double().mean()))
        assert row["seconds"] == SECONDS
        assert row["tokens_per_second"] == pytest.approx(float(mask.sum()) / SECONDS)
        assert row["peak_memory_bytes"] == 0  # of a GPU's, of which there is none
        assert row["grad_norm"] > 0
        assert 0 <= row["clip_fraction"] <= 1
        assert "correct" not in row  # verl tells only the score
        assert "not_finite" not in row
    assert rows[0]["kl_base"] == 0.0 < rows[1]["kl_base"]
    assert "sync_survival" not in rows[0]
    assert rows[1]["sync_survival"] == pytest.approx(1, abs=5e-3)
    assert "learning_rate" not in rows[0]  # verl tells it after the schedule's step
    assert rows[1]["learning_rate"] == 1e-3
    assert [row["step"] for row in read_jsonl(tmp_path / "run" / "syncs.jsonl")] == [1, 2]
    manifest = read_json(tmp_path / "run" / "manifest.json")
    assert (manifest["status"], manifest["trained_by"], manifest["versions"]["verl"]) == ("finished", "verl", "0.9.1")


def test_what_is_not_finite_is_named_and_a_longest_below_the_limit_was_not_cut_off():
    data = {
        "critic/score/mean": 0.5,
        "actor/grad_norm": None,
        "response_length/max": 4,
        "response_length/clip_ratio": 1,
    }
    assert metric_row(3, data, None, 5) == {
        "step": 3,
        "reward": 0.5,
        "truncated_fraction": 0.0,
        "not_finite": ["grad_norm"],
    }


def test_a_step_that_was_done_again_counts_once(tmp_path: Path):
    for number, score in ((1, 0.25), (2, 0.75)):
        row = {"step": 1, "data": {"critic/score/mean": score, "actor/lr": 0.1}}
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(row) + "\n")
    files = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    assert metric_rows(files, 5) == [{"step": 1, "reward": 0.75}]


def test_what_is_no_launch_or_has_done_nothing_is_refused(tmp_path: Path, home: Path):
    with pytest.raises(UserError, match="is no launch"):
        import_run(tmp_path, tmp_path / "run")
    for name in ("recipe.toml", "verl.json"):
        (tmp_path / name).write_bytes((home / name).read_bytes())
    with pytest.raises(UserError, match="has done no rollout yet"):
        import_run(tmp_path, tmp_path / "run")
    (tmp_path / "metrics-1.jsonl").write_text('{"reward": 1}\n')
    with pytest.raises(UserError, match=r"metrics-1\.jsonl line 1 is no metrics of verl"):
        import_run(tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not MAIN.is_file(), reason="needs the main environment beside verl's")
def test_the_report_stands_it_beside_a_run_of_trl(home: Path, tmp_path: Path):
    def run(*words: str) -> str:
        command = [str(MAIN), "-m", "stiefel", *words]
        alone = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
        done = subprocess.run(command, check=True, cwd=tmp_path, env=alone, capture_output=True, text=True)
        return done.stdout

    both = tmp_path / "both" / "runs"
    run("import", "verl", str(home), "--out", str(both / "verl"))
    run("train", str(home / "recipe.toml"), "--out", str(both / "trl"))
    page = Path(run("report", str(both.parent)).strip().splitlines()[0]).read_text()
    table = read_json(both.parent / "table.json")
    assert {row["variant"] for row in table} == {"by trl", "by verl"}
    assert {row["method"] for row in table} == {"pissa"}
    assert "pissa (by verl)" in page
    assert "pissa (by trl)" in page
    assert run("verify", str(both / "verl"), "--base", "nano").startswith(str(both / "verl"))
    assert json.loads(run("inspect", str(both / "verl"), "--base", "nano", "--json"))
