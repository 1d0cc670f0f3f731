"""A hub on this machine's loopback that serves data sets from directories, for the real client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves root/owner/name as the data set owner/name, at one commit, and notes which files were fetched."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.fetched = root, set[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""

    def answer(self, body: bytes, send: bool, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if send:
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET(send=False)

    def do_GET(self, send: bool = True) -> None:
        path = self.path.partition("?")[0].removeprefix("/")
        if path.startswith("api/datasets/"):
            self.describe(path.removeprefix("api/datasets/"), send)
            return
        name, _, file = path.removeprefix("datasets/").partition("/resolve/")
        revision, _, file = file.partition("/")
        found = self.server.root / name / file
        if revision not in (COMMIT, "main") or not found.is_file():
            self.answer(b"", send, 404, X_Error_Code="EntryNotFound")
            return
        body = found.read_bytes()
        if send:
            self.server.fetched.add(file)
        self.answer(body, send, ETag=f'"{hashlib.sha256(body).hexdigest()}"', X_Repo_Commit=COMMIT)

    def describe(self, path: str, send: bool) -> None:
        """A data set's files and commit, or what lies in one of its directories."""
        owner, name, *rest = path.split("/")
        directory = self.server.root / owner / name
        if not directory.is_dir():
            self.answer(b"{}", send, 404, X_Error_Code="RepoNotFound")
        elif rest[:1] == ["revision"] and rest[1] not in (COMMIT, "main"):
            self.answer(b"{}", send, 404, X_Error_Code="RevisionNotFound")
        elif rest[:1] == ["tree"]:
            inside = directory.joinpath(*rest[2:])
            entries = [self.entry(file, directory) for file in sorted(inside.iterdir())]
            self.answer(json.dumps(entries).encode(), send, Content_Type="application/json")
        else:
            files = [file.relative_to(directory) for file in sorted(directory.rglob("*")) if file.is_file()]
            listing = {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": [{"rfilename": str(file)} for file in files]}
            self.answer(json.dumps(listing).encode(), send, Content_Type="application/json")

    @staticmethod
    def entry(file: Path, directory: Path) -> dict[str, Any]:
        kind = "directory" if file.is_dir() else "file"
        return {"type": kind, "path": str(file.relative_to(directory)), "oid": file.name, "size": file.stat().st_size}


@contextmanager
def serving(root: Path) -> Iterator[Hub]:
    """The hub, while the block runs."""
    server = Hub(root)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def lay_out(directory: Path, configs: dict[str, dict[str, list[dict[str, Any]]]]) -> None:
    """Write a data set as the hub has it: a card that names its configurations, and a file a split."""
    card = ["---", "configs:"]
    for config, splits in configs.items():
        (directory / config).mkdir(parents=True)
        card += [f"- config_name: {config}", "  data_files:"]
        for split, records in splits.items():
            card += [f"  - split: {split}", f"    path: {config}/{split}-*"]
            text = "".join(json.dumps(record) + "\n" for record in records)
            (directory / config / f"{split}-00000-of-00001.jsonl").write_text(text)
    (directory / "README.md").write_text("\n".join([*card, "---", ""]))
