"""A server on this machine alone, from its first answer to the end of its group of processes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from stiefel.engine import serve_command

MINUTES = 3
LORA = ["--enable-lora", "--max-lora-rank", "16", "--max-loras", "2"]
# its cores are others' too, and nothing is asked of a hub
ALLOWED = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
SHARED = {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """The address at which a command serves, on a free port; the group that it began is ended by its id."""
    with running(command) as (address, _):
        yield address


@contextmanager
def running(command: list[str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The same, with its process, for who wants to kill it (`kill_group`)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [*command, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(words, env={**os.environ, **SHARED, **ALLOWED}, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process)
        yield address, process
    finally:
        end_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the server and to the engine that it began."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


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
    """End the server, and then every process of its group that has outlived it."""
    with suppress(subprocess.TimeoutExpired):
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


def ask(address: str, body: dict[str, Any]) -> list[str]:
    """The texts of /v1/completions."""
    request = urllib.request.Request(
        f"{address}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return [choice["text"] for choice in json.load(answer)["choices"]]


def for_training(*more: str, model: str = "nano", mode: str = "processed_logprobs") -> list[str]:
    """The command of a server that takes adapters while it runs, which its environment must allow too (`ALLOWED`)."""
    return [*shlex.split(serve_command(model)), *LORA, "--logprobs-mode", mode, *more]
