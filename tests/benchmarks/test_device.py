"""The check for a machine with a GPU runs whole on a small model, where there is nothing but what it says it needs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from benchmarks.device import ANCHORED

ROOT = Path(__file__).parents[2]
IMAGE, SENT = ("torch", "transformers", "peft"), ("lazy_loader", "xxhash")


def bare(place: Path, *names: str) -> Path:
    """A directory of packages with these and all that they require, and nothing else."""
    place.mkdir()
    waiting, seen = list(names), set()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:  # of another platform
            continue
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (place / top).exists():
                (place / top).symlink_to(Path(str(found.locate_file(top))))
        waiting += [re.match(r"[\w.-]+", line)[0] for line in found.requires or () if "extra ==" not in line]  # type: ignore[index]
    return place


def run(out: Path, packages: Path | None, *more: str) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable]
    if packages is not None:
        words.append("-S")  # without this environment's own packages
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [ROOT, *([packages] if packages else [])]))
    words += ["-m", "benchmarks.device", "--small", "--out", str(out), *more]
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(out.read_text())
    assert json.loads(done.stdout) == found
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of it, on the image's packages and the two that are sent along."""
    place = tmp_path_factory.mktemp("device")
    return run(place / "found.json", bare(place / "packages", *IMAGE, *SENT))


def test_every_part_runs_with_what_is_named_and_nothing_else(found: dict[str, Any]) -> None:
    assert list(found["left_out"]) == ["generation"]
    assert found["left_out"]["generation"].endswith("vllm")


def test_a_training_step_is_timed_for_every_start(found: dict[str, Any]) -> None:
    assert list(found["training"]) == ["peft_lora", "lora", *ANCHORED]
    assert all(found["training"][name]["time_over_peft"] > 0 for name in ("lora", *ANCHORED))


def test_the_starts_are_timed(found: dict[str, Any]) -> None:
    assert all(found["starts_7b"][name] > 0 for name in ("rlpo", "pissa", "geora"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    packages = bare(tmp_path / "packages", *IMAGE)
    left_out = run(tmp_path / "found.json", packages, "--parts", "training")["left_out"]
    assert left_out == {"training": "not installed here: xxhash, lazy_loader"}
