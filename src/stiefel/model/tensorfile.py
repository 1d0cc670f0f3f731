"""Safetensors files one tensor at a time: their headers, their byte ranges, and a writer that holds no tensor.

The format: eight bytes, the header's length, little-endian; the header, JSON that maps each name to its type, shape
and byte range; the tensors' bytes without gaps. Files are read, not mapped: mapped pages count as memory in use.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from ..errors import UserError

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
PT = {"format": "pt"}  # the metadata without which transformers reads no file
LENGTH_BYTES = 8
MAX_HEADER = 100_000_000  # the format's own limit, so that a wrong length is not read into memory


@dataclass(frozen=True)
class Entry:
    """Where a tensor's bytes are."""

    file: Path
    name: str
    dtype: str  # the format's word: F32, BF16, …
    shape: tuple[int, ...]
    start: int
    nbytes: int

    def torch_dtype(self) -> torch.dtype:
        """The tensor's type; raises UserError for one that is not a plain floating-point number."""
        if self.dtype not in DTYPES:
            raise UserError(
                f"{self.file}: {self.name} has type {self.dtype}",
                f"the weights are read as {', '.join(DTYPES)}; other types are those of quantised weights, "
                "whose numbers are not the matrix",
                "give the checkpoint that was not quantised",
            )
        return DTYPES[self.dtype]


def broken_tensors(path: Path, why: str) -> UserError:
    """The error of a file that is not what it should be."""
    return UserError(f"{path} is a broken safetensors file", why, "copy or download it again")


def read_header(path: Path) -> dict[str, Entry]:
    """Every tensor of a file by name; reads the header alone, and checks it against the file's size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if size < LENGTH_BYTES or length > min(size - LENGTH_BYTES, MAX_HEADER):
            raise broken_tensors(path, f"it says that its header has {length} bytes, and the whole file has {size}")
        text = file.read(length)
    try:
        header = json.loads(text)
    except ValueError as error:
        raise broken_tensors(path, f"its header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise broken_tensors(path, "its header is not a JSON object")
    header.pop("__metadata__", None)
    begin = LENGTH_BYTES + length
    entries = {name: entry_of(path, name, value, begin) for name, value in header.items()}
    end = max((entry.start + entry.nbytes for entry in entries.values()), default=begin)
    if end != size:
        raise broken_tensors(path, f"its header describes {end} bytes, and the file has {size}")
    return entries


def entry_of(path: Path, name: str, value: Any, begin: int) -> Entry:
    """One line of a header, checked."""
    match value:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(stop)]}:
            pass
        case _:
            raise broken_tensors(path, f"its header does not say the type, shape and place of {name}")
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise broken_tensors(path, f"its header gives {name} the shape {shape}")
    known = dtype in DTYPES
    if not 0 <= start <= stop or (known and stop - start != math.prod(shape) * DTYPES[dtype].itemsize):
        raise broken_tensors(path, f"its header gives {name} {tuple(shape)} {dtype} the bytes {start} to {stop}")
    return Entry(path, name, dtype, tuple(shape), begin + start, stop - start)


def read_tensor(entry: Entry) -> Tensor:
    """The tensor in its file's type: one allocation of its size, one read of its bytes.

    The allocation is of pages of its own, which go back to the system with the tensor; the C library's heap keeps
    some of what is freed, up to four matrices of 8 MB when measured.
    """
    dtype = entry.torch_dtype()
    if not entry.nbytes:
        return torch.empty(entry.shape, dtype=dtype)
    pages = mmap.mmap(-1, entry.nbytes, access=mmap.ACCESS_COPY)  # private and anonymous
    ask_for_large_pages(pages)
    rest = memoryview(pages)
    with entry.file.open("rb", buffering=0) as file:
        file.seek(entry.start)
        while rest:  # one call reads at most 2 GB
            count = file.readinto(rest)
            if not count:
                raise broken_tensors(entry.file, f"it ends before the end of {entry.name}")
            rest = rest[count:]
    return torch.frombuffer(pages, dtype=dtype).view(entry.shape)


def ask_for_large_pages(pages: mmap.mmap) -> None:
    """Pages of 2 MB where Linux has them: the first touch of those of 4 kB costs more than reading a cached file.

    92 MB took 0.03 s in large ones and 0.10 s in small ones when measured.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a kernel that was built without them
            pages.madvise(mmap.MADV_HUGEPAGE)


class TensorFile:
    """A safetensors file of float32 tensors, written one by one in any order: `with TensorFile(...) as file`.

    The file is byte for byte what `safetensors.torch.save_file` writes of the same tensors, whatever the order (with
    two or more metadata entries that library's own order varies). Entering raises UserError where the disk has too
    little space, `write` where it is full. An error leaves a broken file, so write inside `artifacts.whole_directory`.
    Holds no tensor between two calls.
    """

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] = PT) -> None:
        self.path, self.shapes = path, dict(shapes)
        self.missing = set(self.shapes)
        self.starts: dict[str, int] = {}
        header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
        offset = 0
        for name in sorted(self.shapes):  # save_file's order
            stop = offset + math.prod(self.shapes[name]) * torch.float32.itemsize
            header[name] = {"dtype": "F32", "shape": list(self.shapes[name]), "data_offsets": [offset, stop]}
            self.starts[name], offset = offset, stop
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)  # so that the tensors are aligned
        self.header = len(text).to_bytes(LENGTH_BYTES, "little") + text
        self.nbytes = len(self.header) + offset

    def write(self, name: str, tensor: Tensor) -> None:
        """Put one tensor in its place; each name once, float32, of the shape that was announced."""
        assert name in self.missing, f"{name} is written twice, or was not announced"
        assert tuple(tensor.shape) == self.shapes[name], f"{name}: {tuple(tensor.shape)}, not {self.shapes[name]}"
        assert tensor.dtype == torch.float32, f"{name}: {tensor.dtype}"
        data = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
        self._put(len(self.header) + self.starts[name], data.numpy().data)
        self.missing.remove(name)

    def _put(self, place: int, rest: memoryview) -> None:
        try:
            self.file.seek(place)
            while rest:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path} cannot be written",
            error.strerror or str(error),
            "free some space, or give another place; nothing is kept of what was written",
        )

    def __enter__(self) -> Self:
        free = shutil.disk_usage(self.path.parent).free
        if self.nbytes > free:
            raise UserError(
                f"{self.path} cannot be written",
                f"it needs {self.nbytes} bytes, and {free} are free on its disk",
                "free some space, or give another place",
            )
        with ExitStack() as opened:
            try:
                self.file = opened.enter_context(self.path.open("wb", buffering=0))
            except OSError as error:
                raise self._unwritable(error) from error
            self._put(0, memoryview(self.header))
            self.closing = opened.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self.closing:
            if kind is None:
                assert not self.missing, f"{len(self.missing)} tensors were not written: {min(self.missing)}"
                try:
                    os.fsync(self.file.fileno())
                except OSError as failed:
                    raise self._unwritable(failed) from failed
