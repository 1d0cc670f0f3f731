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
from stiefel.comparison.comparison import compare
from stiefel.recipe import load_grid

pytestmark = pytest.mark.timeout(900)
SECONDS = 400  # for what takes twenty on cores of its own
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}  # the tests' machine may be full
# two that take a machine each, and one that diverges in its first rollout
CELLS = (
    "[recipe.optim]\nrollouts = 24\n[recipe.guard]\naction = 'stop'\n[axes]\n"
    '"run.seed, guard.grad_norm" = [[0, 0.0], [1, 0.0], [2, 1e-9]]\n'
)
RAISES = """calls = 0
def reward(completion, answer, **row):
    global calls
    calls += 1
    print("graded", calls)
    if calls > 20: raise ValueError("no more")
    return 0.5
"""

FULL = """import stiefel.comparison.ray_cells as cells
class Full(cells.RayWorker):
    def begin(self, *given):
        self.place.recipe.mkdir()  # where the recipe goes
        super().begin(*given)
cells.RayWorker = Full
from stiefel.cli import main
main()
"""


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


def test_what_cannot_be_is_refused_before_anything_is_written(
    machines: Machines, write_grid: Callable[[str], Path], tmp_path: Path
) -> None:
    grid = write_grid('[axes]\n"run.threads" = [1, 64]\n')
    process = start(grid, tmp_path / "out", "--address", machines.address, environment=machines.environment)
    printed, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert "error: threads64 asks for 64 CPUs and 0 GPUs, and no machine of the Ray cluster has them" in said
    assert "there are 2 machines: 1 CPU and 0 GPUs; 1 CPU and 0 GPUs" in said
    assert "Traceback" not in said
    assert printed == ""
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_says_why_and_the_next_one_is_begun(
    machines: Machines, write_grid: Callable[[str], Path], tmp_path: Path
) -> None:
    """As with processes here; the user's module is found, since the cell's process is where the driver is."""
    (tmp_path / "mine.py").write_text(RAISES)
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"prompt": "{n}+1?", "answer": "1"}}\n' for n in range(8)))
    grid = write_grid(
        '[recipe.task]\nname = "mine"\ndata = "rows.jsonl"\nreward = "mine:reward"\n[axes]\n"run.seed" = [0, 1]\n'
    )
    options = ["--address", machines.address, "--jobs", "1"]
    process = start(grid, tmp_path / "out", *options, environment=machines.environment)
    printed, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, said
    assert "\ngraded 20\n" in said  # what a worker prints is heard, beside results
    assert printed.startswith("graded 1\ngraded 2\n")  # each cell was tried here before any began
    assert "Traceback" not in said
    for name in ("seed0", "seed1"):
        run = tmp_path / "out" / "runs" / name
        why = read_json(run / "failed.json")
        assert "mine:reward" in why["what"]
        assert "mine.py, line 6" in str(why)
        assert f"failed: {name}: {why['what']}" in said
        assert read_json(run / "manifest.json")["status"] == "running"
    assert nothing_left(machines.environment)


def test_a_machine_that_cannot_take_a_cell_is_said_in_its_own_words(
    machines: Machines, write_grid: Callable[[str], Path], tmp_path: Path
) -> None:
    grid = write_grid("[recipe.optim]\nrollouts = 1\n")
    options = ["--address", machines.address]
    process = start(grid, tmp_path / "out", *options, environment=machines.environment, how=("-c", FULL))
    printed, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, said
    words = (
        r"^failed: run: its base could not be measured: the base \w+ cannot be kept on the machine that it was given"
    )
    assert re.search(words, said, re.M), said
    assert "Is a directory" in read_json(tmp_path / "out" / "runs" / "run" / "failed.json")["why"]
    assert "Traceback" not in said
    assert printed == ""


def test_a_cell_whose_machine_is_lost_ends_on_the_other_in_the_same_bits(
    machines: Machines,
    write_grid: Callable[[str], Path],
    same_runs: Callable[[Path, Path], None],
    tmp_path: Path,
) -> None:
    grid, out = write_grid(CELLS), tmp_path / "out"
    options = ["--address", machines.address, "--set", "run.save_every=4"]
    process = start(grid, out, *options, environment=machines.environment)
    wait_for(lambda: kept(out, "seed0-grad_norm0.0") and kept(out, "seed1-grad_norm0.0"), process)
    cells = [child for pid in machines.second for child in psutil.Process(pid).children(recursive=True)]
    for pid in machines.second:
        os.kill(pid, signal.SIGKILL)
    printed, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert len(re.findall(r"^seed\d-grad_norm0.0 lost its worker and goes on with another: ", said, re.M)) == 1, said
    assert "[3/3]" in said
    assert "report: " in printed
    assert "raylet" not in printed
    _, alive = psutil.wait_procs(cells, timeout=30)
    assert not alive, "what the lost machine ran goes on"
    assert nothing_left(machines.environment)

    compare(load_grid(grid, ["run.save_every=4"]), tmp_path / "here", jobs=2)
    same_runs(out, tmp_path / "here")
    for name in ("table.json", "table.md", "table.tex", "table.csv", "report.html"):
        (out / name).unlink()
    assert sorted(path.name for path in out.iterdir()) == ["base", "grid.toml", "runs"]
    for directory in ("base", "."):
        mine, other = (sorted(place.glob(f"{directory}/*.*")) for place in (out, tmp_path / "here"))
        assert [path.read_bytes() for path in mine] == [path.read_bytes() for path in other]
    ends = {path.name: read_json(path / "manifest.json")["status"] for path in (out / "runs").iterdir()}
    assert sorted(ends.values()) == ["diverged", "finished", "finished"]


def test_a_cluster_of_this_machine_is_on_loopback_and_ends_with_the_comparison(
    write_grid: Callable[[str], Path], tmp_path: Path
) -> None:
    """At Ctrl-C; what it had done is here, and goes on with processes of this machine."""
    grid, out = write_grid("[recipe.optim]\nrollouts = 40\n"), tmp_path / "out"
    environment = {**os.environ, **QUIET, "HOME": str(tmp_path), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    process = start(grid, out, "--jobs", "1", "--set", "run.save_every=4", environment=environment)
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
    compare(load_grid(grid, ["run.save_every=4"]), out, resume=True)
    rows = [row["step"] for row in read_jsonl(out / "runs" / "run" / "metrics.jsonl")]
    assert rows == list(range(1, 41))
    assert steps < 40
