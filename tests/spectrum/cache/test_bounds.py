"""The directory stays within its size, and processes can share it."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import torch

from stiefel.spectrum.cache import Entry, SpectrumCache
from stiefel.spectrum.linalg import Triplets


def triplets_of(number: int, r: int = 4, n: int = 256) -> Triplets:
    """Recognisable numbers: every entry of a triplet is the same."""
    return Triplets(*(torch.full(shape, float(number)) for shape in ((n, r), (r,), (r, n))))


def aged(cache: SpectrumCache, key: str, seconds: int) -> None:
    """Set when an entry was last read."""
    path = next(path for path in cache.entries() if path.name.startswith(key))
    os.utime(path, (seconds, seconds))


def keys(cache: SpectrumCache) -> set[str]:
    return {path.name.split("-")[0] for path in cache.entries()}


def size_of_one(cache: SpectrumCache) -> int:
    cache.put("one", Entry(triplets_of(1), 1.0, "exact", 0.0))
    return cache.entries()[0].stat().st_size


def test_the_entries_read_longest_ago_go_first(tmp_path):
    size = size_of_one(SpectrumCache(tmp_path / "measure"))
    cache = SpectrumCache(tmp_path / "spectra", limit_bytes=3 * size + size // 2)
    for number, key in enumerate(["a", "b", "c"]):
        cache.put(key, Entry(triplets_of(number), 1.0, "exact", 0.0))
        aged(cache, key, 1000 + number)
    assert cache.get("a") is not None  # now the youngest
    cache.put("d", Entry(triplets_of(3), 1.0, "exact", 0.0))
    assert keys(cache) == {"a", "c", "d"}
    assert cache.get("b") is None
    assert sum(path.stat().st_size for path in cache.entries()) <= cache.limit_bytes


def test_many_entries_stay_within_the_limit(tmp_path):
    size = size_of_one(SpectrumCache(tmp_path / "measure"))
    cache = SpectrumCache(tmp_path / "spectra", limit_bytes=5 * size)
    for number in range(20):
        cache.put(str(number), Entry(triplets_of(number, r=1 + number % 4), 1.0, "exact", 0.0))
        assert sum(path.stat().st_size for path in cache.entries()) <= 5 * size
    assert len(cache.entries()) >= 5


def test_an_entry_larger_than_the_limit_is_not_kept(tmp_path):
    cache = SpectrumCache(tmp_path, limit_bytes=100)
    cache.put("a", Entry(triplets_of(1), 1.0, "exact", 0.0))
    assert not cache.entries()
    assert cache.get("a") is None


def write_and_read(place: str, number: int, rounds: int) -> None:
    """Write one's own version of the entry that everyone writes, and read whole ones only."""
    torch.set_num_threads(1)
    cache = SpectrumCache(Path(place))
    for _ in range(rounds):
        cache.put("shared", Entry(triplets_of(number), float(number), "exact", 0.0))
        entry = cache.get("shared")
        assert entry is not None, "a broken entry was seen"
        assert {float(entry.norm)} == {value for part in entry.triplets for value in part.unique().tolist()}


def write_and_evict(place: str, number: int, rounds: int) -> None:
    """Fill a directory that is always too small, so that everyone removes everyone's entries."""
    torch.set_num_threads(1)
    cache = SpectrumCache(Path(place), limit_bytes=20_000)
    for step in range(rounds):
        cache.put(f"{number}x{step}", Entry(triplets_of(number), float(number), "exact", 0.0))
        cache.entries()
        cache.get(f"{1 - number}x{step}")


def together(target, place: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=target, args=(str(place), number, 150)) for number in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0


def test_processes_that_share_an_entry_never_see_a_broken_one(tmp_path):
    together(write_and_read, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_processes_that_remove_each_others_entries(tmp_path):
    together(write_and_evict, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 20_000
