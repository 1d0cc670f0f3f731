"""The array script is one that a person can read, submit and requeue, and it ends in what processes here leave."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stiefel.artifacts import read_json
from stiefel.cli import main
from stiefel.comparison.comparison import compare
from stiefel.comparison.slurm import write_array
from stiefel.errors import UserError
from stiefel.recipe import Recipe, load_grid

# one that is killed and goes on, and one that diverges, of a method that has no use for the grid's rank
CELLS = (
    "[recipe.adapter]\nrank = 4\n[recipe.guard]\naction = 'stop'\n[axes]\n"
    '"adapter.method, guard.grad_norm, optim.rollouts" = [["rlpo+dora", 0.0, 20], ["full", 1e-9, 2]]\n'
)
# what an array job's task has in its environment, beside the number that the tests set
TASK = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}


def in_task(number: int) -> dict[str, str]:
    """The environment of one task of the array."""
    return {**os.environ, **TASK, "SLURM_ARRAY_TASK_ID": str(number)}


def task(script: Path, number: int) -> subprocess.CompletedProcess[str]:
    """One task of the array, as Slurm starts it."""
    return subprocess.run(["bash", str(script)], env=in_task(number), capture_output=True, text=True, timeout=200)


def kill_at_its_first_checkpoint(script: Path, number: int, run: Path) -> None:
    """One task of the array, which is killed once its run can go on."""
    process = subprocess.Popen(
        ["bash", str(script)], env=in_task(number), start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 200
    while not list(run.glob("checkpoints/checkpoint-*/stiefel_state.json")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def begun_again(script: Path, recipe: Recipe, run: Path) -> int | str | None:
    """What a task does of a run that has its first file, in this process; its exit status."""
    words = ["train", str(script.with_suffix(".cells") / f"{run.name}.toml"), "--out", str(run), "--resume"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--set", f"adapter.method={recipe.adapter.method}", "--note-failure"])
    return ended.value.code


def array(script: Path) -> range:
    """The numbers of the array's tasks."""
    last = re.search(r"^#SBATCH --array=0-(\d+)$", script.read_text(), re.M)
    assert last is not None
    return range(int(last[1]) + 1)


@pytest.mark.timeout(600)
def test_its_tasks_one_by_one_leave_what_processes_here_leave(
    write_grid: Callable[[str], Path],
    same_runs: Callable[[Path, Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """To the bit, where one was killed and requeued, and where a kill left something before a run's first file."""
    grid, script = load_grid(write_grid(CELLS), ["run.save_every=2"]), tmp_path / "a sweep.sh"
    out = write_array(grid, script)
    assert out == tmp_path / "a sweep"
    subprocess.run(["bash", "-n", str(script)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(script)], check=True)

    before = set(tmp_path.iterdir())
    killed, diverges = (out / "runs" / name for name in grid.runs)
    kill_at_its_first_checkpoint(script, 0, killed)
    diverges.mkdir()
    (diverges / ".manifest.json.x7").write_text("{")
    ended = [task(script, number) for number in array(script)]
    assert [one.returncode for one in ended] == [0, 2], [one.stderr for one in ended]
    assert "going on from its last checkpoint" in ended[0].stderr
    assert "guard.grad_norm" in ended[1].stderr
    assert set(tmp_path.iterdir()) == before
    capsys.readouterr()
    assert begun_again(script, grid.runs[killed.name], killed) == 0  # requeued after its end
    assert "is finished" in capsys.readouterr().err

    compare(grid, tmp_path / "here", jobs=1)
    same_runs(out, tmp_path / "here")
    assert (out / "grid.toml").read_bytes() == (tmp_path / "here" / "grid.toml").read_bytes()
    with pytest.raises(SystemExit):
        main(["report", str(out)])
    assert (out / "report.html").is_file()
    compare(grid, out, resume=True)  # the directory is a comparison's, which goes on anywhere


@pytest.mark.timeout(600)
def test_a_task_that_fails_keeps_why_until_it_is_begun_again(
    write_grid: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own error, or that it was killed; --resume writes both again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    ends = (
        "def {0}(completion, answer, **row):\n    calls.append(1)\n"
        "    if len(calls) > 4 and not Path('mended').exists(): {1}\n    return 0.5\n"
    )
    (tmp_path / "ending.py").write_text(
        "import os\nfrom pathlib import Path\ncalls = []\n"
        + ends.format("raises", "raise ValueError('no more')")
        + ends.format("is_killed", "os.kill(os.getpid(), 9)")
    )
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"prompt": "{n}+1?", "answer": "1"}}\n' for n in range(8)))
    grid = load_grid(
        write_grid(
            '[recipe.task]\nname = "mine"\ndata = "rows.jsonl"\n[recipe.optim]\nrollouts = 1\n'
            '[axes]\n"task.reward" = ["ending:raises", "ending:is_killed"]\n'
        )
    )
    script = tmp_path / "sweep.sh"
    runs = write_array(grid, script) / "runs"
    assert [task(script, number).returncode for number in array(script)] == [2, 137]
    why = {path.parent.name: read_json(path) for path in runs.glob("*/failed.json")}
    assert "the reward ending:raises" in why["ending_raises"]["what"]
    assert why["ending_is_killed"]["why"] == "most often the machine ran out of memory"
    assert not list(runs.glob("*/.failed*"))
    (tmp_path / "mended").touch()
    write_array(grid, script, resume=True)
    assert len(array(script)) == 2
    assert begun_again(script, grid.runs["ending_is_killed"], runs / "ending_is_killed") == 0
    assert [path.parent.name for path in runs.glob("*/failed.json")] == ["ending_raises"]


def test_without_slurm_around_it_it_submits_itself_and_then_the_report(
    write_grid: Callable[[str], Path], tmp_path: Path
) -> None:
    """There is no Slurm here: a stand-in for `sbatch` keeps what it was asked for."""
    script = tmp_path / "sweep.sh"
    out = write_array(load_grid(write_grid('[axes]\n"run.seed" = [0, 1]\n')), script)
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "sbatch"
    stand_in.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" >> {tmp_path}/asked\necho "41;cluster"\n')
    stand_in.chmod(0o755)
    environment = {**os.environ, "PATH": f"{stand_in.parent}:{os.environ['PATH']}"}
    environment.pop("SLURM_ARRAY_TASK_ID", None)
    subprocess.run(["bash", str(script)], env=environment, check=True, capture_output=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:3] == ["--parsable", str(script), "--dependency=afterany:41"]
    assert asked[-1].split() == [f"--wrap={sys.executable}", "-m", "stiefel", "report", str(out)]


def test_it_asks_for_the_most_that_a_cell_needs(write_grid: Callable[[str], Path], tmp_path: Path) -> None:
    grid = load_grid(write_grid('[axes]\n"run.threads" = [1, 3]\n'))
    write_array(grid, tmp_path / "sweep.sbatch")
    text = (tmp_path / "sweep.sbatch").read_text()
    assert text.startswith("#!/bin/bash\n#SBATCH --job-name=sweep\n#SBATCH --array=0-1\n")
    assert "#SBATCH --cpus-per-task=3\n" in text
    assert "#SBATCH --requeue\n" in text
    write_array(load_grid(tmp_path / "grid.toml", ["cluster.gpus=2"]), tmp_path / "large.sh")
    assert "#SBATCH --gpus=2\n" in (tmp_path / "large.sh").read_text()
    assert sorted(path.name for path in (tmp_path / "sweep.cells").iterdir()) == ["threads1.toml", "threads3.toml"]


def test_where_no_cell_asks_for_a_gpu_it_says_so_and_how_to_ask(
    write_grid: Callable[[str], Path], tmp_path: Path
) -> None:
    """Slurm gives no GPU that was not asked for, and the cells would run on CPUs unnoticed."""
    grid, said = write_grid('[axes]\n"run.seed" = [0, 1]\n'), []
    write_array(load_grid(grid), tmp_path / "none.sh", say=said.append)
    text = (tmp_path / "none.sh").read_text()
    assert "#SBATCH --gpus" not in text
    for place in ("\n".join(said), text):
        assert "no cell asks for a GPU" in place
        assert "--set cluster.gpus=1" in place
    said.clear()
    write_array(load_grid(grid, ["cluster.gpus=1"]), tmp_path / "one.sh", say=said.append)
    text = (tmp_path / "one.sh").read_text()
    assert "#SBATCH --gpus=1\n" in text
    assert "no cell asks" not in text + "".join(said)


def test_resume_writes_it_again_for_what_is_left(write_grid: Callable[[str], Path], tmp_path: Path) -> None:
    grid, script = load_grid(write_grid('[axes]\n"run.seed" = [0, 1]\n')), tmp_path / "sweep.sh"
    out = write_array(grid, script)
    with pytest.raises(UserError, match="already exists"):
        write_array(grid, script)
    for seed, left in ((0, ["seed1.toml"]), (1, [])):
        run = out / "runs" / f"seed{seed}"
        run.mkdir()
        (run / "manifest.json").write_text('{"status": "finished"}')
        if left:
            write_array(grid, script, resume=True)
            assert [path.name for path in (tmp_path / "sweep.cells").iterdir()] == left
            assert len(array(script)) == 1
    with pytest.raises(UserError, match=r"all runs of .* are finished"):
        write_array(grid, script, resume=True)
    write_array(grid, script, force=True)
    assert len(array(script)) == 2
    assert list((out / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "there", "message"),
    [
        ("sweep", "", "is no script's name"),
        ("sweep.toml", "", "is no script's name"),
        ("sweep.sh", "sweep.sh", "was not written by Stiefel"),
        ("sweep.sh", "sweep.cells/thesis.txt", "was not written by Stiefel alone"),
        ("sweep.sh", "sweep/thesis.txt", "was not written by Stiefel alone"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_ours_is_refused_and_nothing_is_written(
    force: bool, name: str, there: str, message: str, write_grid: Callable[[str], Path], tmp_path: Path
) -> None:
    grid = load_grid(write_grid('[axes]\n"run.seed" = [0]\n'))
    if there:
        (tmp_path / there).parent.mkdir(exist_ok=True)
        (tmp_path / there).write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message if force or "sweep/" not in there else "already exists"):
        write_array(grid, tmp_path / name, force=force)
    assert sorted(tmp_path.rglob("*")) == before
