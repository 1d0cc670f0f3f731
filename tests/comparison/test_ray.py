"""A grid on a real Ray cluster of two machines, of which one is lost in the middle, and on one that ends with it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from stiefel.artifacts import read_json, read_jsonl
from stiefel.comparison.cells import base_samples, bases_to_measure
from stiefel.comparison.comparison import begin, compare
from stiefel.recipe import load_grid

pytestmark = pytest.mark.timeout(900)
SECONDS = 400  # for what takes twenty on cores of its own
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}  # the tests' machine may be full
# two that take a machine each, one that diverges, and one that fails in its second rollout
TWO, DIVERGES, FAILS = ["[0, 0.0, 'exact']", "[1, 0.0, 'exact']"], "[2, 1e-9, 'exact']", "[3, 0.0, 'mine:reward']"
RAISES = """calls = 0
def reward(completion, answer, **row):
    global calls
    calls += 1
    print("graded", calls)
    if calls > 20: raise ValueError("no more")
    return 0.5
"""
# one that no machine could take, and then one that its machine has no place for
REFUSED = """import sys
import stiefel.comparison.ray_cells as cells
from stiefel.cli import main

def compared(*more):
    try:
        main([*sys.argv[1:], *more])
    except SystemExit as ended:
        print("ended with", ended.code, file=sys.stderr, flush=True)

compared("--set", "run.threads=64")

class Full(cells.RayWorker):
    def begin(self, *given):
        self.place.recipe.mkdir()  # where the recipe goes
        super().begin(*given)

cells.RayWorker = Full
compared()
"""


def cells_of(*points: str) -> str:
    """A grid's text: its cells train on rows of one's own, and the guard stops what passes its bound."""
    return (
        "[recipe.optim]\nrollouts = 24\n[recipe.guard]\naction = 'stop'\n[recipe.task]\nname = 'mine'\n"
        f"data = 'rows.jsonl'\n[axes]\n'run.seed, guard.grad_norm, task.reward' = [{', '.join(points)}]\n"
    )


@dataclass(frozen=True)
class Machines:
    """A running cluster: where it is, the second machine's processes, and what a driver has in its environment."""

    address: str
    second: list[int]
    environment: dict[str, str]


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Two machines with a CPU each; a short directory, since Ray's sockets lie in it."""
    place = Path(tempfile.mkdtemp(dir="/tmp", prefix="r"))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    environment = {**os.environ, **QUIET, **token, "RAY_TMPDIR": str(place), "TMPDIR": str(place / "tmp")}
    (place / "tmp").mkdir()
    command = [sys.executable, "-m", "tests.comparison.two_machines", str(place)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, cwd=root, start_new_session=True)
    assert process.stdin is not None
    try:
        wait_for((place / "machines.json").is_file, process)
        found = json.loads((place / "machines.json").read_text())
        yield Machines(found["address"], found["second"], environment)
    finally:
        process.stdin.close()
        process.wait(60)
        shutil.rmtree(place, ignore_errors=True)


def wait_for(holds: Callable[[], object], process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Until something holds, for as long as the process goes on."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start(
    grid: Path, out: Path, *options: str, environment: dict[str, str], how: tuple[str, str] = ("-m", "stiefel")
) -> subprocess.Popen[str]:
    """`stiefel compare` on Ray, as from a terminal."""
    command = ["compare", str(grid), "--backend", "ray", "--out", str(out), *options]
    return subprocess.Popen(
        [sys.executable, *how, *command],
        env=environment,
        cwd=grid.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed,
    )


def heed() -> None:
    """A process started in the background ignores SIGINT; a person's terminal does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def kept(out: Path, name: str) -> bool:
    """Whether a checkpoint of a run is here."""
    return any((out / "runs" / name).glob("checkpoints/checkpoint-*/stiefel_state.json"))


def nothing_left(environment: dict[str, str]) -> bool:
    """Whether no machine keeps a cell's place, within a moment."""
    deadline = time.monotonic() + 10
    while list(Path(environment["TMPDIR"]).glob("stiefel-cell-*")):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_what_cannot_be_is_refused_and_a_machine_that_cannot_take_a_cell_is_said_in_its_own_words(
    machines: Machines, write_grid: Callable[[str], Path], tmp_path: Path
) -> None:
    """The first before anything is written: the second finds nothing there."""
    grid, options = write_grid("[recipe.optim]\nrollouts = 1\n"), ["--address", machines.address]
    process = start(grid, tmp_path / "out", *options, environment=machines.environment, how=("-c", REFUSED))
    printed, said = process.communicate(timeout=SECONDS)
    assert said.count("ended with 2\n") == 2, said
    assert printed == ""
    assert "Traceback" not in said
    refused, failed = said.split("ended with 2\n")[:2]
    assert "error: run asks for 64 CPUs and 0 GPUs, and no machine of the Ray cluster has them" in refused
    assert "there are 2 machines: 1 CPU and 0 GPUs; 1 CPU and 0 GPUs" in refused
    words = (
        r"^failed: run: its base could not be measured: the base \w+ cannot be kept on the machine that it was given to"
    )
    assert re.search(words, failed, re.M), failed
    assert "Is a directory" in read_json(tmp_path / "out" / "runs" / "run" / "failed.json")["why"]


def test_a_cell_whose_machine_is_lost_ends_on_the_other_in_the_same_bits_and_one_that_fails_says_why(
    machines: Machines,
    write_grid: Callable[[str], Path],
    same_runs: Callable[[Path, Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with processes here; the user's module is found, since the cell's process is where the driver is."""
    (tmp_path / "mine.py").write_text(RAISES)
    rows = [json.dumps({"prompt": f"{n}+1?", "answer": f">{n + 1}"}) for n in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    grid, out, often = write_grid(cells_of(*TWO, FAILS, DIVERGES)), tmp_path / "out", "run.save_every=4"
    whole = load_grid(grid, [often])
    first, second, fails, diverges = whole.runs
    options = ["--address", machines.address, "--jobs", "2", "--set", often]
    process = start(grid, out, *options, environment=machines.environment)
    wait_for(lambda: kept(out, first) and kept(out, second), process)
    cells = [child for pid in machines.second for child in psutil.Process(pid).children(recursive=True)]
    for pid in machines.second:
        os.kill(pid, signal.SIGKILL)
    printed, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, said
    lost = rf"^({re.escape(first)}|{re.escape(second)}) lost its worker and goes on with another: "
    assert len(re.findall(lost, said, re.M)) == 1, said
    assert "[4/4]" in said
    assert "Traceback" not in said
    assert printed.startswith("graded 1\n")  # each cell was tried here before any began
    assert "report: " in printed
    assert "raylet" not in printed
    _, alive = psutil.wait_procs(cells, timeout=30)
    assert not alive, "what the lost machine ran goes on"
    assert nothing_left(machines.environment)

    why = read_json(out / "runs" / fails / "failed.json")
    assert "mine:reward" in why["what"]
    assert "mine.py, line 6" in str(why)
    assert f"failed: {fails}: {why['what']}" in said
    assert "\ngraded 20\n" in said  # what a worker prints is heard, beside results
    ends = {path.name: read_json(path / "manifest.json")["status"] for path in (out / "runs").iterdir()}
    assert ends == {first: "finished", second: "finished", fails: "running", diverges: "diverged"}

    for name in ("table.json", "table.md", "table.tex", "table.csv", "report.html"):
        (out / name).unlink()
    assert sorted(path.name for path in out.iterdir()) == ["base", "grid.toml", "runs"]
    assert (out / "grid.toml").read_text() == whole.source
    shutil.rmtree(out / "runs" / fails)
    monkeypatch.chdir(tmp_path)
    compare(load_grid(write_grid(cells_of(*TWO, DIVERGES)), [often]), tmp_path / "here", jobs=1)
    same_runs(out, tmp_path / "here")
    mine, other = (sorted((place / "base").iterdir()) for place in (out, tmp_path / "here"))
    assert [path.read_bytes() for path in mine] == [path.read_bytes() for path in other]


def test_a_cluster_of_this_machine_is_on_loopback_and_ends_with_the_comparison(
    write_grid: Callable[[str], Path], tmp_path: Path
) -> None:
    """At Ctrl-C; what was done here is known there, and what it had done is here, and goes on with processes."""
    grid, out = write_grid("[recipe.optim]\nrollouts = 40\n"), tmp_path / "out"
    here = load_grid(grid, ["run.save_every=4"])
    begin(here, out, goes_on=False)
    ((base, recipe),) = bases_to_measure(here.runs, out).items()
    base_samples(recipe, base)
    environment = {**os.environ, **QUIET, "HOME": str(tmp_path), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    process = start(grid, out, "--resume", "--jobs", "1", "--set", "run.save_every=4", environment=environment)
    wait_for(lambda: kept(out, "run"), process)
    started = psutil.Process(process.pid).children(recursive=True)
    directories = {found for child in started for found in re.findall(r"/tmp/stiefel-ray-\w+", str(child.cmdline()))}
    assert directories
    assert any("raylet" in child.name() for child in started)
    listening = [
        socket_.laddr.ip
        for child in [psutil.Process(process.pid), *started]
        for socket_ in child.net_connections()
        if socket_.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    os.kill(process.pid, signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "--resume" in said
    assert "Traceback" not in said
    assert printed == ""
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive
    assert not [path for path in directories if Path(path).exists()]
    assert nothing_left(environment)
    assert not (tmp_path / ".ray").exists()  # the token is nobody's but the cluster's

    steps = len(read_jsonl(out / "runs" / "run" / "metrics.jsonl"))
    compare(here, out, resume=True)
    rows = [row["step"] for row in read_jsonl(out / "runs" / "run" / "metrics.jsonl")]
    assert rows == list(range(1, 41))
    assert steps < 40
