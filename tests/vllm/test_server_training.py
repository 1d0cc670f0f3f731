"""Rollouts by a vLLM server: it is sent adapters while it runs, and is left as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stiefel.errors import UserError
from stiefel.model.weights import load_tokenizer
from stiefel.run.run import train
from tests.vllm.server_recipes import recipe, rows

ROOT = Path(__file__).parents[2]


def test_the_server_plays_the_policy_that_is_trained_and_is_left_as_it_was(policy_server: str, tmp_path: Path) -> None:
    import requests

    before = requests.get(f"{policy_server}/v1/models", timeout=30).json()["data"]
    train(recipe(policy_server), tmp_path / "run")
    found = rows(tmp_path / "run")
    assert all(row["engine_mismatch"] < 1e-4 for row in found)
    assert found[-1]["kl_base"] > 1e-3, "an adapter that was left out would show"
    after = requests.get(f"{policy_server}/v1/models", timeout=30).json()["data"]
    assert [each["id"] for each in after] == [each["id"] for each in before], "adapters were left in the server"
    assert not list((tmp_path / "run").rglob(".stiefel-*")), "and their files beside the run"


def test_each_completion_is_drawn_by_a_seed_of_its_own(policy_server: str) -> None:
    """Asked for several of one prompt at once, vLLM gives every prompt the same seeds."""
    from stiefel.training.imported_trl import VLLMClient
    from stiefel.training.served_client import SeededClient

    prompt = load_tokenizer("nano")("3+4*2=?")["input_ids"]
    drawn = {"temperature": 1.0, "max_tokens": 12, "logprobs": 0}
    theirs = VLLMClient(policy_server).generate([prompt, prompt], n=6, generation_kwargs={"seed": 3}, **drawn)
    assert theirs["completion_ids"][:6] == theirs["completion_ids"][6:], "upstream mended it"
    client = SeededClient(policy_server)
    client.seed_of = lambda place: 100 + place
    ours = client.generate([prompt, prompt], n=6, **drawn)
    assert ours["completion_ids"][:6] != ours["completion_ids"][6:]
    assert ours["completion_ids"] == client.generate([prompt, prompt], n=6, **drawn)["completion_ids"]
    assert [len(each) for each in ours["logprobs"]] == [len(each) for each in ours["completion_ids"]]
    assert ours["prompt_ids"] == [prompt, prompt]


def test_what_a_server_answers_in_a_completions_place_is_one_error_in_its_own_words(policy_server: str) -> None:
    """As after a restart, which forgets the adapter: TRL raises a bare Exception."""
    from stiefel.engine import EngineLost
    from stiefel.training.imported_trl import VLLMClient
    from stiefel.training.served_client import SeededClient

    prompt = load_tokenizer("nano")("3+4*2=?")["input_ids"]
    theirs = VLLMClient(policy_server)
    theirs.model = "stiefel-forgotten-3"
    with pytest.raises(Exception, match="Request failed: 404") as bare:
        theirs.generate([prompt])
    assert type(bare.value) is Exception, "upstream mended it"
    client = SeededClient(policy_server)
    client.model, client.seed_of = "stiefel-forgotten-3", lambda place: place
    assert client.generate([prompt], n=4)["completion_ids"] == [], "TRL hands it to processes that wait"
    failure = client.take_failure()
    assert isinstance(failure, EngineLost)
    assert f"{policy_server} refused a request" in failure.what
    assert "status 404" in failure.what
    assert failure.why == "The model `stiefel-forgotten-3` does not exist."
    assert "--resume" in failure.instead
    assert client.take_failure() is None


def test_a_rank_above_the_servers_is_refused_in_its_own_words(policy_server: str, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"(?s)refused the adapter.*rank 32 is greater than max_lora_rank 16.*--max-lora-rank"
    ):
        train(recipe(policy_server, adapter={"rank": 16, "alpha": 16}), tmp_path / "run")


def test_two_processes_that_share_a_base_send_it_their_policy(policy_server: str, tmp_path: Path) -> None:
    """By FSDP2: both take part in asking whether it is the same base, and the first one asks."""
    (tmp_path / "recipe.toml").write_text(recipe(policy_server).to_toml())
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
