"""What `pip install stiefel` brings: the same bytes from every build, whole, and at work far from a checkout."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import stiefel

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "stiefel"
LARGEST = 8 * 2**20
UNPINNED = {"trackio": "trackio"}  # of which any version will do: what it is sent is transformers' own callback's
LEFT_OUT = {".git", ".venv", ".models", "runs", "demo", "dist"}  # of what lies in a checkout


class Built(NamedTuple):
    """One build: the wheel and the sdist."""

    wheel: Path
    sdist: Path


def build(source: Path, out: Path, *targets: str) -> list[Path]:
    """What hatchling makes of a source tree, in a process of its own."""
    chosen = [word for target in targets for word in ("--target", target)]
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out), *chosen]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    return sorted(out.iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    sdist, wheel = sorted(build(ROOT, tmp_path_factory.mktemp("dist"), "sdist", "wheel"), key=lambda path: path.suffix)
    return Built(wheel, sdist)


@pytest.fixture(scope="module")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the sdist."""
    place = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built.sdist) as archive:
        archive.extractall(place, filter="data")
    return next(place.iterdir())


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of an environment with the wheel, which sees this one's packages but not its editable install."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True)
    purelib = Path(sysconfig.get_path("purelib", "venv", {"base": str(place)}))
    (purelib / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")  # a .pth in there is not read
    python = place / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*command, "--no-compile", str(built.wheel)], check=True, timeout=120)
    return python.parent


def surroundings() -> dict[str, str]:
    """The environment's variables without Python's own, without a hub and a GPU."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def say(installed: Path, tmp_path: Path) -> Callable[..., str]:
    """Run a program of that environment in an empty directory; what it printed."""

    def run(program: str, *words: str) -> str:
        command = [str(installed / program), *words]
        done = subprocess.run(command, cwd=tmp_path, env=surroundings(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_they_are_small_enough_to_be_sent_by_mail(built: Built) -> None:
    assert [path.name for path in built if path.stat().st_size > LARGEST] == []


def test_the_wheel_holds_the_package_its_model_its_types_the_recipes_and_the_pages(built: Built) -> None:
    found = members(built.wheel)
    here = {
        f"stiefel/{path.relative_to(SOURCES)}": path
        for path in SOURCES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    beside = [path for room in ("recipes", "docs", "examples") for path in (ROOT / room).rglob("*") if path.is_file()]
    beside += [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    here |= {f"stiefel/{path.relative_to(ROOT)}": path for path in beside if "__pycache__" not in path.parts}
    assert {"stiefel/py.typed", "stiefel/nano/weights/model.safetensors", "stiefel/recipes/nano/dapo.toml"} <= set(here)
    code = {name: data for name, data in found.items() if ".dist-info/" not in name}
    assert code == {name: path.read_bytes() for name, path in here.items()}
    described = {name.partition(".dist-info/")[2]: data for name, data in found.items() if ".dist-info/" in name}
    assert described["licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert f"Version: {stiefel.__version__}".encode() in described["METADATA"].splitlines()
    assert b"stiefel = stiefel.cli:main" in described["entry_points.txt"]


def test_the_sdist_holds_what_builds_and_tests_it_and_nothing_that_lies_beside(unpacked: Path) -> None:
    for name in ("pyproject.toml", "Makefile", "requirements.lock", "tests/conftest.py", "recipes/nano/dapo.toml"):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()
    assert (unpacked / ".ci" / "run").stat().st_mode & 0o100
    assert {path.name for path in unpacked.iterdir()} & LEFT_OUT == set()
    assert list(unpacked.rglob("__pycache__")) == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout: an sdist does not say what is in it")
def test_the_sdist_leaves_out_nothing_of_the_repository(unpacked: Path) -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    named = [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]
    assert [name for name in named if not (unpacked / name).is_file()] == []


def test_a_second_build_and_one_from_the_sdist_have_the_same_bytes(
    built: Built, unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another directory and time zone, with other permissions for new files, of files that were written today."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    before = os.umask(0o077)
    try:
        wheel, sdist = build(unpacked, tmp_path / "dist", "sdist", "wheel")
    finally:
        os.umask(before)
    assert wheel.read_bytes() == built.wheel.read_bytes()
    assert sdist.read_bytes() == built.sdist.read_bytes()


def test_installed_far_from_a_checkout_it_finds_its_papers_and_trains(
    installed: Path, tmp_path: Path, say: Callable[..., str]
) -> None:
    where = Path(say("python", "-c", "import stiefel; print(stiefel.__file__)").strip())
    assert where.is_relative_to(installed.parent)
    assert "rlpo/table1" in say("stiefel", "reproduce")
    assert f"docs: {where.parent / 'docs'}" in say("stiefel", "doctor")
    (tmp_path / "recipe.toml").write_text(say("stiefel", "new", "recipe", "--method", "rlpo", "--model", "nano"))
    short = ("optim.rollouts=1", "rollout.prompts=2", "eval.tasks=[]")
    changes = [word for change in short for word in ("--set", change)]
    run = say("stiefel", "train", "recipe.toml", *changes, "--out", "run").splitlines()[-1]
    assert (Path(run) / "adapter" / "adapter_model.safetensors").is_file()


def test_installed_far_from_a_checkout_the_demo_begins(installed: Path, tmp_path: Path) -> None:
    """Its first rollout, then an interruption: all eight runs take minutes, and `make demo` trains them."""
    demo = subprocess.Popen(
        [str(installed / "stiefel"), "demo"],
        cwd=tmp_path,
        env=surroundings(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not rollouts(tmp_path) and demo.poll() is None:
            time.sleep(0.5)
        os.killpg(demo.pid, signal.SIGINT)  # to all of its processes, as a terminal sends it
        _, said = demo.communicate()
    except BaseException:
        os.killpg(demo.pid, signal.SIGKILL)
        demo.communicate()
        raise
    assert demo.returncode == 130, said
    assert "goes on with --resume" in said.splitlines()[-1]


def rollouts(place: Path) -> int:
    """How many the runs of a demo have done so far."""
    return sum(len(path.read_text().splitlines()) for path in place.glob("demo/runs/*/metrics.jsonl"))


def test_what_the_lock_installs_agrees_with_what_each_package_asks_for() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_extra_is_pinned_by_a_lock_at_a_version_that_it_allows() -> None:
    pinned: dict[str, set[str]] = {}
    for lock in ROOT.glob("requirements*.lock"):
        for name, number in re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(), flags=re.MULTILINE):
            pinned.setdefault(canonicalize_name(name).removesuffix("-cpu"), set()).add(number)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = {extra: [Requirement(one) for one in found] for extra, found in extras.items()}
    lacking = {
        str(one): extra
        for extra, found in asked.items()
        for one in found
        if not any(
            one.specifier.contains(number, prereleases=True) for number in pinned.get(canonicalize_name(one.name), ())
        )
    }
    assert lacking == UNPINNED
