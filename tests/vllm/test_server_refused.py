"""A server that cannot write a run's completions is refused before the run has a directory, by what it gives."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

import stiefel
from stiefel.engine import Server, find_server
from stiefel.engine.same_base import require_logprobs, tolerance
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.run import begun
from stiefel.run.run import train
from tests.vllm.server_recipes import recipe
from tests.vllm.servers import ALLOWED, for_training, serving


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[..., str]:
    """refusal(server, …): the error of such a run, which leaves nothing."""

    def found(*server: str, said: list[str] | None = None, **how: Any) -> str:
        out = tmp_path / "run"
        lines = [] if said is None else said
        with pytest.raises(UserError) as refused:
            train(recipe(*server, **how), out, progress=lines.append)
        assert not out.exists()
        return str(refused.value)

    return found


@pytest.fixture
def other(tmp_path: Path) -> Callable[[Callable[[Any], None], str], str]:
    """other(change, name): a directory of nano's after a change."""

    def made(change: Callable[[Any], None], name: str = "other") -> str:
        model = load_model("nano")
        with torch.no_grad():
            change(model)
        model.save_pretrained(tmp_path / name)
        load_tokenizer("nano").save_pretrained(tmp_path / name)
        return str(tmp_path / name)

    return made


def test_one_that_does_not_answer(refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stiefel.run.engines.SERVER_TIMEOUT", 3.0)
    monkeypatch.setattr(begun, "load_pair", lambda recipe: pytest.fail("a model was loaded"))
    said: list[str] = []
    words = refusal("http://127.0.0.1:9", said=said)
    assert "no vLLM server answers at http://127.0.0.1:9" in words
    assert "vllm serve nano --enable-lora" in words
    assert said == ["waiting for a vLLM server at http://127.0.0.1:9, 3 s at most"]
    assert "is no address of a server" in refusal("htp://127.0.0.1")


class Page(BaseHTTPRequestHandler):
    """Somebody else's server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>a wiki</html>")

    def log_message(self, *words: Any) -> None:
        """Nothing."""


@pytest.fixture
def wiki() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_one_that_is_no_vllm(refusal: Callable[..., str], wiki: str) -> None:
    words = refusal(wiki)
    assert "is no vLLM server" in words
    assert "a wiki" in words


def test_one_of_another_base_by_its_log_probabilities_and_both_names(
    policy_server: str, refusal: Callable[..., str], other: Callable[..., str]
) -> None:
    place = other(lambda model: [parameter.mul_(1.05) for parameter in model.parameters()])
    words = refusal(policy_server, place)
    assert f"serves another base than {place}" in words
    assert re.search(r"it serves \S*nano\S*, whose log-probabilities of \d+ tokens", words)


def test_one_that_tells_its_type_is_held_to_it_and_to_the_adapters_that_it_takes(
    refusal: Callable[..., str], other: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier checkpoint: a change of 1e-2 of the layers' own size, which could be rounding to bfloat16."""

    def few_updates(model: Any) -> None:
        generator = torch.Generator().manual_seed(0)
        for weight in (layer.mlp.down_proj.weight for layer in model.model.layers):
            change = torch.randn(weight.shape, generator=generator)
            weight.add_(change * (1e-2 * weight.norm() / change.norm()))

    monkeypatch.setenv("VLLM_SERVER_DEV_MODE", "1")
    monkeypatch.setitem(ALLOWED, "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "False")
    with serving(for_training()) as address:
        server = find_server(address, "nano", 5.0)
        assert (server.dtype, server.logprobs_mode) == (torch.float32, "processed_logprobs")
        words = refusal(address, other(few_updates))
        assert "another base" in words
        assert words.splitlines()[1].endswith("rounding makes 0.001")
        assert "this run's have rank 32, and it takes 16" in refusal(address, adapter={"rank": 16, "alpha": 16})
        words = refusal(address)
        assert "takes no adapters while it runs" in words
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in words


def test_the_same_base_under_another_name_is_taken_and_shown(
    policy_server: str, other: Callable[..., str], tmp_path: Path
) -> None:
    place, said = other(lambda model: None, "renamed"), []
    train(recipe(policy_server, place, rollouts=1, eval={"tasks": []}), tmp_path / "run", progress=said.append)
    (note,) = [line for line in said if line.startswith("note: ") and place in line]
    assert f"{place} is trained" in note
    (told,) = [line for line in said if "does not tell its type" in line]
    assert told.endswith("it is taken for float32, and its base compared as closely as that rounds")


def test_one_with_too_short_a_context_and_of_raw_log_probabilities(refusal: Callable[..., str], tmp_path: Path) -> None:
    """At temperature 1 raw ones are those of the policy; bfloat16 that it plays is seen by how far they are off."""
    with serving([*for_training("--max-model-len", "32", mode="raw_logprobs"), "--dtype", "bfloat16"]) as address:
        assert "takes 32 tokens of a prompt and its completion" in refusal(
            address, rollout={"max_completion_tokens": 48}
        )
        words = refusal(address, rollout={"max_completion_tokens": 8, "temperature": 0.7}, eval={"tasks": []})
        assert "runs with --logprobs-mode raw_logprobs" in words
        assert "--logprobs-mode processed_logprobs" in words
        said: list[str] = []
        usual = {"rollout": {"max_completion_tokens": 8}, "eval": {"tasks": []}}
        train(recipe(address, rollouts=2, **usual), tmp_path / "taken", progress=said.append)
        (told,) = [line for line in said if "does not tell its type" in line]
        assert told.endswith("it is taken for bfloat16, and its base compared as closely as that rounds")
        (row, *_) = [json.loads(line) for line in (tmp_path / "taken" / "syncs.jsonl").read_text().splitlines()]
        assert row["dtype"] == "bfloat16"


def test_a_temperature_is_taken_where_the_log_probabilities_are_processed(policy_server: str, tmp_path: Path) -> None:
    train(recipe(policy_server, rollouts=1, rollout={"temperature": 0.7}, eval={"tasks": []}), tmp_path / "run")


def test_one_that_gives_logits() -> None:
    """Told, or seen: a log-probability is at most 0."""
    told = Server("http://127.0.0.1:8000", "nano", "nano", None, None, "raw_logits")
    with pytest.raises(UserError, match="--logprobs-mode raw_logits"):
        require_logprobs(told, torch.tensor([-3.0]))
    seen = replace(told, logprobs_mode="")
    with pytest.raises(UserError, match="--logprobs-mode raw_logits or processed_logits"):
        require_logprobs(seen, torch.tensor([-3.0, 2.0]))
    require_logprobs(seen, torch.tensor([-3.0, 0.0]))


@pytest.mark.parametrize(
    ("method", "sync"), [("pissa", "merged"), ("rlpo+dora", "")], ids=["asked for", "for want of factors"]
)
def test_merged_weights_from_a_cpu(method: str, sync: str, policy_server: str, refusal: Callable[..., str]) -> None:
    words = refusal(policy_server, adapter={"method": method}, rollout={"sync": sync})
    assert "merged weights to a vLLM server from a CPU" in words
    assert "NCCL" in words
    assert 'rollout.sync = "factors"' in words


def test_a_script_is_refused_too(policy_server: str, other: Callable[..., str], tmp_path: Path) -> None:
    """Which has no recipe: the trainer asks the server itself, with its own first prompts."""
    from datasets import Dataset
    from trl import GRPOConfig

    place = other(lambda model: [parameter.mul_(1.05) for parameter in model.parameters()])
    server = {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": policy_server}
    args = GRPOConfig(str(tmp_path / "out"), **server, use_cpu=True, bf16=False, report_to=[])
    with pytest.raises(UserError, match="another base"):
        stiefel.GRPOTrainer(
            stiefel.attach(load_model(place), "lora", r=4),
            lambda completions, **columns: [0.0] * len(completions),
            args,
            Dataset.from_list([{"prompt": f"{n}+4=?"} for n in range(8)]),
            processing_class=load_tokenizer(place),
        )


def test_the_tolerance_is_of_the_coarser_type() -> None:
    """What is allowed grows with the unit roundoff and the square root of the layers, and is 1e-3 in float32."""
    assert tolerance(torch.float32, 32, 3.0) == pytest.approx(1e-3, rel=0.01)
    narrow, wide = tolerance(torch.bfloat16, 32, 3.0) - 1e-3, tolerance(torch.float16, 32, 3.0) - 1e-3
    assert narrow / wide == pytest.approx(8.0)
    assert (tolerance(torch.bfloat16, 128, 3.0) - 1e-3) / narrow == pytest.approx(2.0)
