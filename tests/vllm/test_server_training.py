"""Rollouts by a vLLM server: it is sent adapters while it runs, and is refused where it is another base, or none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from stiefel.engine import serve_command
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from tests.vllm.servers import serving

ROOT = Path(__file__).parents[2]
ADAPTERS = ["--enable-lora", "--max-lora-rank", "16", "--max-loras", "2", "--logprobs-mode", "processed_logprobs"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    import shlex

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True")
        with serving([*shlex.split(serve_command("nano")), *ADAPTERS]) as address:
            yield address


def recipe(server: str, model: str = "nano", **adapter: Any) -> Any:
    return make_recipe(
        {
            "model": {"path": model},
            "adapter": {"method": "pissa", "rank": 4, "alpha": 8, **adapter},
            "rollout": {
                **{"engine": "vllm", "vllm_mode": "server", "vllm_server": server},
                **{"prompts": 4, "completions": 4, "max_completion_tokens": 16},
            },
            "optim": {"rollouts": 3, "updates_per_rollout": 2, "lr": 1e-3},
            "run": {"threads": 1, "save_every": 0, "kl_every": 1},
            "eval": {"tasks": ["nano-sort"], "limit": 6},
        }
    )


def test_the_server_plays_the_policy_that_is_trained_and_is_left_as_it_was(server: str, tmp_path: Path) -> None:
    import requests

    before = requests.get(f"{server}/v1/models", timeout=30).json()["data"]
    train(recipe(server), tmp_path / "run")
    found = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(row["engine_mismatch"] < 1e-4 for row in found)
    assert found[-1]["kl_base"] > 1e-3, "an adapter that was left out would show"
    after = requests.get(f"{server}/v1/models", timeout=30).json()["data"]
    assert [each["id"] for each in after] == [each["id"] for each in before], "adapters were left in the server"
    assert not list((tmp_path / "run").rglob(".stiefel-*")), "and their files beside the run"


def test_each_completion_is_drawn_by_a_seed_of_its_own(server: str) -> None:
    """Asked for several of one prompt at once, vLLM gives every prompt the same seeds."""
    from stiefel.training.imported_trl import VLLMClient
    from stiefel.training.served_client import SeededClient

    prompt = load_tokenizer("nano")("3+4*2=?")["input_ids"]
    drawn = {"temperature": 1.0, "max_tokens": 12, "logprobs": 0}
    theirs = VLLMClient(server).generate([prompt, prompt], n=6, generation_kwargs={"seed": 3}, **drawn)
    assert theirs["completion_ids"][:6] == theirs["completion_ids"][6:], "upstream mended it"
    client = SeededClient(server)
    client.seed_of = lambda place: 100 + place
    ours = client.generate([prompt, prompt], n=6, **drawn)
    assert ours["completion_ids"][:6] != ours["completion_ids"][6:]
    assert ours["completion_ids"] == client.generate([prompt, prompt], n=6, **drawn)["completion_ids"]
    assert [len(each) for each in ours["logprobs"]] == [len(each) for each in ours["completion_ids"]]
    assert ours["prompt_ids"] == [prompt, prompt]


def test_a_server_of_another_base_is_refused_by_what_it_gives(server: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    model = load_model("nano")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.05)
    model.save_pretrained(other)
    load_tokenizer("nano").save_pretrained(other)
    with pytest.raises(UserError, match="another base"):
        train(recipe(server, str(other)), tmp_path / "run")


def test_a_rank_above_the_servers_is_refused_in_its_own_words(server: str, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"(?s)refused the adapter.*rank 32 is greater than max_lora_rank 16.*--max-lora-rank"
    ):
        train(recipe(server, rank=16, alpha=16), tmp_path / "run")


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stiefel.training.settings.SERVER_TIMEOUT", 1.0)
    with pytest.raises(UserError, match=r"no vLLM server answers at http://127\.0\.0\.1:9"):
        train(recipe("http://127.0.0.1:9"), tmp_path / "run")


def test_two_processes_that_share_a_base_send_it_their_policy(server: str, tmp_path: Path) -> None:
    """By FSDP2: both take part in asking whether it is the same base, and the first one asks."""
    (tmp_path / "recipe.toml").write_text(recipe(server).to_toml())
    how = ("--config_file", str(ROOT / "recipes" / "cluster" / "fsdp2.yaml"), "--num_processes=2")
    words = ("--main_process_port=0", "-m", "stiefel", "train", str(tmp_path / "recipe.toml"))
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *how, *words, "--out", str(tmp_path / "run")],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(found) == 3
    assert all(row["engine_mismatch"] < 1e-4 for row in found)
    assert all(row["sync_survival"] > 0.999 for row in found[1:])
