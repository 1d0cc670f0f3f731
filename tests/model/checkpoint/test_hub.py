"""A hub id: the real client against a hub on this machine's loopback that notes what is asked of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from stiefel.adapter.streamed import prepare

COMMIT = "0" * 40
OTHERS = ["pytorch_model.bin", "original/consolidated.safetensors", "modeling_own.py", "README.md", "tokenizer.json"]


class Hub(ThreadingHTTPServer):
    """Serves one repository, owner/name, from a directory."""

    def __init__(self, files: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.fetched = files, set[str]()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""

    def answer(self, body: bytes, headers: dict[str, str], send: bool) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if send:
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET(send=False)

    def do_GET(self, send: bool = True) -> None:
        if self.path.startswith("/api/models/owner/name"):
            names = sorted(str(path.relative_to(self.server.files)) for path in self.server.files.rglob("*.*"))
            entries = [
                {"type": "file", "path": name, "size": (self.server.files / name).stat().st_size, "oid": name}
                for name in names
            ]
            listing: Any = {"id": "owner/name", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            listing = entries if "/tree/" in self.path else listing
            self.answer(json.dumps(listing).encode(), {"Content-Type": "application/json"}, send)
            return
        name = self.path.partition(f"/owner/name/resolve/{COMMIT}/")[2]
        if not name:
            self.send_error(404)
            return
        body = (self.server.files / name).read_bytes()
        if send:
            self.server.fetched.add(name)
        etag = hashlib.sha256(body).hexdigest()
        self.answer(body, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, send)


@pytest.fixture
def hub(tmp_path: Path, make_model: Any) -> Iterator[Hub]:
    files = tmp_path / "repository"
    make_model().save_pretrained(files, max_shard_size="20KB")
    for name in OTHERS:
        (files / name).parent.mkdir(exist_ok=True)
        (files / name).write_bytes(b"not for init")
    server = Hub(files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_init_fetches_the_settings_and_the_weights_and_nothing_else(hub: Hub, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "home"),
        "STIEFEL_CACHE": str(tmp_path / "cache"),
    }
    command = [
        sys.executable,
        "-m",
        "stiefel",
        "init",
        "owner/name",
        "--method",
        "pissa",
        "--rank",
        "4",
        "--alpha",
        "8",
    ]
    done = subprocess.run([*command, "--out", str(tmp_path / "a")], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shards = {path.name for path in hub.files.glob("*.safetensors")}
    assert len(shards) > 1
    assert hub.fetched == shards | {"config.json", "generation_config.json", "model.safetensors.index.json"}
    local = tmp_path / "b"
    prepare(str(hub.files), "pissa", local, r=4, alpha=8, cache=False)
    one, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("a", "b"))
    assert all(one[name].equal(other[name]) for name in other)

    hub.fetched.clear()
    again = subprocess.run([*command, "--out", str(tmp_path / "c")], env=environment, capture_output=True, text=True)
    assert again.returncode == 0
    assert hub.fetched == set()  # all of it is in the hub's own cache
