"""A full disk is one message, of the file that the user knows."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stiefel.artifacts import whole_directory, write_text
from stiefel.errors import UserError
from stiefel.evaluation.journal import append
from stiefel.evaluation.sample import Sample
from stiefel.training import metrics

SAMPLE = Sample("t", 0, 0, "p", "a", "c" * 20_000, 1, False, 1.0, None, "")


@pytest.fixture
def _no_room() -> Iterator[None]:
    """No file may be longer than a page: what the kernel then says of a write is what it says of a full disk."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, kept[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, kept)


def a_directory(path: Path) -> None:
    with whole_directory(path) as building:
        (building / "long").write_text("x" * 20_000)


@pytest.mark.usefixtures("_no_room")
@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_text(path, "x" * 20_000),
        lambda path: append(path, [SAMPLE]),
        lambda path: metrics.append_row(path, {"note": "x" * 20_000}),
        a_directory,
    ],
)
def test_a_full_disk_names_the_file_that_was_wanted(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "wanted"
    with pytest.raises(UserError) as raised:
        write(path)
    assert raised.value.what == f"{path} could not be written"
    assert not [each for each in tmp_path.iterdir() if each != path]


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised:
        write_text(tmp_path / "nowhere" / "file", "x")
    assert raised.value.errno == errno.ENOENT
