"""Singular triplets on disk, so that a second method, seed or grid on the same model solves nothing again.

One safetensors file an entry, named by what it was solved for, written beside its place and renamed: two processes can
share the directory. (The cache libraries at hand keep values as pickles or in a database that must not be forged.)
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
import xxhash
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from .linalg import Triplets

VERSION = "5"  # of the solvers: entries of another one are not read
LIMIT_BYTES = 8 * 2**30
BUILDING = ".building-"  # begins the name of a directory in which an entry is written
AN_HOUR = 3600.0  # seconds, which no entry takes to write
PLACE = "STIEFEL_CACHE"  # environment variable


@dataclass(frozen=True)
class Entry:
    """What was solved, and how well."""

    triplets: Triplets
    norm: float
    solver: str
    residual: float
    angle: float = 1.0
    notes: Mapping[str, float] = field(default_factory=dict)  # of how the matrix was made, where it was made


def default_directory() -> Path:
    """Where STIEFEL_CACHE says, else the user's cache directory."""
    from platformdirs import user_cache_path

    place = os.environ.get(PLACE)
    return Path(place) if place else user_cache_path("stiefel") / "spectra"


class SpectrumCache:
    """A directory of solved triplets of bounded size; the entries read longest ago go first.

    An entry that cannot be read, or whose numbers are not the ones that were written, is removed and solved again. A
    directory that cannot be written is used for reading only.
    """

    def __init__(self, directory: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.directory = default_directory() if directory is None else directory
        self.limit_bytes = limit_bytes

    def get(self, key: str) -> Entry | None:
        """What was kept under that name, to the bit."""
        path = self._path(key)
        try:
            data = path.read_bytes()  # at once: another process may put a new entry in its place meanwhile
            tensors = load(data)
            words = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            found = Triplets(*(tensors[name] for name in Triplets._fields))
            norm, residual, angle = (float(words[name]) for name in ("norm", "residual", "angle"))
            entry = Entry(found, norm, words["solver"], residual, angle, json.loads(words["notes"]))
            whole = words["check"] == checksum(entry)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):  # what a broken file can lead to
            remove(path)
            return None
        if not whole:  # the numbers changed on disk
            remove(path)
            return None
        with suppress(OSError):  # a directory for reading only
            os.utime(path)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry, then remove old ones beyond the limit; a full or read-only disk costs the entry alone."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in entry.triplets._asdict().items()}
        words = {"norm": repr(entry.norm), "solver": entry.solver, "residual": repr(entry.residual)}
        words |= {"angle": repr(entry.angle), "notes": json.dumps(dict(entry.notes))}
        words["check"] = checksum(entry)
        path = self._path(key)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.directory, prefix=BUILDING) as building:
                written = Path(building) / path.name
                save_file(tensors, written, metadata=words)
                written.replace(path)
            self._shrink()
        except (OSError, SafetensorError):
            return

    def entries(self) -> list[Path]:
        """The files, oldest use first."""
        found = []
        for path in self.directory.glob("*.safetensors"):
            with suppress(FileNotFoundError):  # another process removed it
                found.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(found)]

    def size_bytes(self) -> int:
        """What the entries take."""
        total = 0
        for path in self.entries():
            with suppress(FileNotFoundError):  # another process removed it
                total += path.stat().st_size
        return total

    def clear(self) -> int:
        """Remove every entry; returns how many there were."""
        paths = self.entries()
        for path in (*paths, *self._unfinished(0)):
            remove(path)
        return len(paths)

    def _unfinished(self, seconds: float) -> list[Path]:
        """What a killed process left of an entry that it was writing, if nothing touched it for so long."""
        found = []
        for path in self.directory.glob(f"{BUILDING}*"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime >= seconds:
                    found.append(path)
        return found

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}-v{VERSION}.safetensors"

    def _shrink(self) -> None:
        for path in self._unfinished(AN_HOUR):
            remove(path)
        excess = self.size_bytes() - self.limit_bytes
        for path in self.entries():
            if excess <= 0:
                break
            with suppress(FileNotFoundError):  # another process removed it
                excess -= path.stat().st_size
            remove(path)


def remove(path: Path) -> None:
    """Remove an entry, or what stands in its place, if that can be done."""
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def checksum(entry: Entry) -> str:
    """A digest of the numbers and the shapes."""
    shapes = [tuple(tensor.shape) for tensor in entry.triplets]
    words = f"{shapes} {entry.norm!r} {entry.solver} {entry.residual!r} {entry.angle!r} {json.dumps(dict(entry.notes))}"
    digest = xxhash.xxh3_128(f"{words} ".encode())
    for tensor in entry.triplets:
        digest.update(bytes_of(tensor))
    return digest.hexdigest()


def bytes_of(tensor: Tensor) -> memoryview:
    """A tensor's bytes."""
    return memoryview(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
