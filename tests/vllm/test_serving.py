"""The commands of docs/serving.md and of `stiefel export` serve what transformers would write."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stiefel.evaluation.subject import Subject
from tests.vllm.subjects import GREEDY, by_transformers, prompts

MINUTES = 3


@pytest.fixture(scope="module")
def exported(adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The adapters in the form that engines read."""
    return {name: tmp_path_factory.mktemp("exported") / "adapter" for name in ("rlpo", "pissa")}


@pytest.fixture(scope="module")
def command(adapters: dict[str, Path], exported: dict[str, Path]) -> list[str]:
    """What the export of the anchored one, whose rank is the higher, names next."""
    for name, out in exported.items():
        words = ["export", str(adapters[name]), "--base", "nano", "--as", "lora", "--out", str(out)]
        ran = subprocess.run([sys.executable, "-m", "stiefel", *words], capture_output=True, text=True, check=True)
    return shlex.split(ran.stderr.splitlines()[-1].removeprefix("next: "))


@pytest.fixture(scope="module")
def server(command: list[str], exported: dict[str, Path]) -> Iterator[str]:
    """That command on a free port of this machine, with the other adapter beside; its group is ended by its id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(Path(sys.executable).parent / command[0]), *command[1:], f"plain={exported['rlpo']}"]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    environment = {
        **os.environ,
        "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    process = subprocess.Popen(words, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process)
        yield address
    finally:
        end_group(process)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers; a server that ends, or takes longer than some minutes, is a failure."""
    deadline = time.monotonic() + 60 * MINUTES
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.3)
        else:
            return
    pytest.fail(f"no answer within {MINUTES} minutes")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End the server and every process that it began."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
            process.wait(30)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break


def answers(address: str, model: str) -> list[str]:
    """The greedy texts of a model of the server's to all prompts."""
    body = {"model": model, "prompt": prompts(), "temperature": 0, "max_tokens": GREEDY.max_tokens}
    request = urllib.request.Request(
        f"{address}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return [choice["text"] for choice in json.load(answer)["choices"]]


@pytest.mark.parametrize(("model", "method"), [("adapter", "pissa"), ("plain", "rlpo")])
def test_an_adapter_is_served_beside_its_base(model: str, method: str, server: str, adapters: dict[str, Path]) -> None:
    wanted = [each.text for each in by_transformers(Subject("nano", adapter=adapters[method]))]
    assert answers(server, model) == wanted


def test_the_base_is_served_as_it_is(server: str, command: list[str]) -> None:
    assert answers(server, command[command.index("--model") + 1]) == [
        each.text for each in by_transformers(Subject("nano"))
    ]
