"""Where a benchmark's rows are: the hub, another hub id, a directory or a file → an open table and its origin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import concatenate_datasets

from ..artifacts import file_digest
from ..errors import UserError
from .benchmark import Benchmark
from .hub import read_hub
from .table import SUFFIXES, Table, read_file
from .task import Split


@dataclass(frozen=True)
class Opened:
    """Records, what to call them in a message, and where they came from."""

    table: Table
    place: str
    origin: dict[str, Any]


def open_table(benchmark: Benchmark, data: str, revision: str, split: str, wanted: Split) -> Opened:
    """The records of a benchmark's split, or of what the user gave in its place; raises UserError."""
    path = Path(data).expanduser()
    if data and path.is_file():
        return open_file(path, revision)
    if data and looks_like_a_path(data) and not path.is_dir():
        raise UserError(
            f"no data at {data}",
            "there is no such file, and it has not the form of a hub id (owner/name)",
            f"give a file ({', '.join(SUFFIXES)}) or a hub id, with the columns {columns_of(benchmark)}",
        )
    return open_hub(benchmark, data, revision, split, wanted)


def open_file(path: Path, revision: str) -> Opened:
    """The records of a file."""
    if revision:
        raise UserError(f"revision {revision} of {path}", "a file has none", "leave the revision out, or give a hub id")
    table = read_file(path)
    return Opened(table, str(path), {"source": "file", "path": str(path.resolve()), "sha256": file_digest(path)})


def open_hub(benchmark: Benchmark, data: str, revision: str, split: str, wanted: Split) -> Opened:
    """The benchmark's own data set, or another of the same columns."""
    hub = benchmark.hub
    if not data and hub is None:
        raise UserError(
            f"{benchmark.name} has no data of its own",
            "it is a grader for yours",
            f"give them: --data FILE, rows with the columns {columns_of(benchmark)}",
        )
    own = hub if hub is not None and data in ("", hub.id) else None
    chosen = split or (({"test": own.test, "train": own.train}[wanted]) if own else wanted)
    if not chosen:
        raise UserError(
            f"{benchmark.name} has no {wanted} split",
            "it is measured, not trained on" if wanted == "test" else "it is trained on, not measured",
            f"take another task, or give rows for it: --data FILE with the columns {columns_of(benchmark)}",
        )
    local = f"a local copy will do: --data FILE (in a recipe: task.data), with the columns {columns_of(benchmark)}"
    configs = own.configs if own else ("",)
    place = data or (hub.id if hub else "")
    parts = [read_hub(place, chosen, config, revision, local) for config in configs]
    table = parts[0][0] if len(parts) == 1 else concatenate_datasets([part for part, _ in parts])
    return Opened(table, f"{place} ({chosen})", hub_origin(place, ", ".join(configs), chosen, parts[0][1]))


def hub_origin(place: str, config: str, split: str, commit: str) -> dict[str, Any]:
    """Where rows of a hub id or of a directory came from."""
    if Path(place).is_dir():
        return {"source": "directory", "path": str(Path(place).resolve()), "config": config, "split": split}
    return {"source": "hub", "id": place, "config": config, "split": split, "revision": commit or "unknown"}


def stated(origin: dict[str, Any]) -> str:
    """Where rows came from, in a line."""
    match origin["source"]:
        case "hub":
            configured = ", ".join(word for word in (origin["config"], origin["split"]) if word)
            return f"{origin['rows']:,} rows of {origin['id']} ({configured}) at {origin['revision'][:12]}"
        case "file" | "directory":
            return f"{origin['rows']:,} rows of {origin['path']}"
        case "reasoning-gym":
            chosen = ", ".join(f"{key} = {value!r}" for key, value in origin.get("options", {}).items())
            return f"made by reasoning-gym {origin['version']}" + (f", {chosen}" if chosen else "")
    return "made here"


def looks_like_a_path(data: str) -> bool:
    """What cannot be a hub id."""
    return data.endswith(SUFFIXES) or data.startswith((".", "/", "~")) or data.count("/") > 1


def columns_of(benchmark: Benchmark) -> str:
    """A benchmark's columns, for a message."""
    return ", ".join(dict.fromkeys(" or ".join(names) for names in benchmark.columns.values()))
