"""What a backend cannot do is one message, before anything is written."""

from __future__ import annotations

import socket
import time
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from stiefel.cli import main
from stiefel.comparison import ray_cluster
from stiefel.comparison.ray_cluster import TRIED, Ask, asked, require_resources, require_same
from stiefel.comparison.software import SOURCES, differences, software
from stiefel.errors import UserError
from stiefel.recipe import Recipe, load_grid
from stiefel.recipe.recipe import make_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def refused(
    write_grid: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """refused(*options): the one message of a comparison that cannot be, which wrote nothing."""

    def run(*options: str) -> str:
        grid = write_grid('[axes]\n"run.seed" = [0]\n')
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SystemExit) as ended:
            main(["compare", str(grid), "--out", str(tmp_path / "out.sh"), *options])
        printed = capsys.readouterr()
        assert ended.value.code == 2
        assert printed.out == ""
        assert printed.err.count("error: ") == 1
        assert "Traceback" not in printed.err
        assert sorted(tmp_path.rglob("*")) == before
        return printed.err

    return run


def test_ray_that_is_not_installed(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    said = refused("--backend", "ray")
    assert "Ray is not installed" in said
    assert 'pip install "stiefel[ray]"' in said
    assert "--backend local" in said


@pytest.mark.parametrize("found", ["2.59.1", "2.61.0", "3.0.0", "2.6.0"])
def test_ray_of_another_version(found: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "version", lambda name: found)
    said = refused("--backend", "ray")
    assert f"Ray {found} is installed" in said
    assert f"those of {TRIED}" in said


def test_the_version_that_was_tried_is_the_one_that_is_installed_and_asked_for() -> None:
    assert version("ray").startswith(f"{TRIED}.")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    major, minor = map(int, TRIED.split("."))
    assert extras["ray"] == [f"ray>={TRIED},<{major}.{minor + 1}"]
    assert f"\nray=={version('ray')}\n" in (ROOT / "requirements.lock").read_text()


def test_a_cluster_that_nobody_answers_for(refused: Callable[..., str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    assert f"no Ray cluster answers at {address}" in refused("--backend", "ray", "--address", address)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("address", ["here", "ray://127.0.0.1:10001", ":6379", "127.0.0.1:port"])
def test_what_is_no_address(address: str, refused: Callable[..., str]) -> None:
    assert f"--address {address} is no address of a cluster" in refused("--backend", "ray", "--address", address)


@pytest.mark.parametrize("backend", ["local", "slurm"])
def test_an_address_that_nothing_would_read(backend: str, refused: Callable[..., str]) -> None:
    said = refused("--backend", backend, "--address", "127.0.0.1:6379")
    assert f"--address 127.0.0.1:6379 with --backend {backend}" in said


def test_jobs_that_slurm_decides(refused: Callable[..., str]) -> None:
    said = refused("--backend", "slurm", "--jobs", "4")
    assert "--jobs 4 with --backend slurm" in said
    assert "%4" in said


def test_nothing_to_resume(refused: Callable[..., str]) -> None:
    assert "nothing to resume" in refused("--backend", "slurm", "--resume")
    assert "nothing to resume" in refused("--backend", "ray", "--resume")


def test_a_backend_that_there_is_not(refused: Callable[..., str]) -> None:
    assert "slurm" in refused("--backend", "kubernetes")


def recipe(**tables: dict[str, object]) -> Recipe:
    return make_recipe(tables)


@pytest.mark.parametrize(
    ("given", "gpus_there", "expected"),
    [
        (recipe(), False, Ask(1, 0)),
        (recipe(run={"threads": 3}), False, Ask(3, 0)),
        (recipe(), True, Ask(1, 1)),
        (recipe(rollout={"engine": "vllm", "vllm_tensor_parallel": 4}), True, Ask(1, 4)),
        (recipe(rollout={"engine": "vllm", "vllm_tensor_parallel": 4}), False, Ask(1, 4)),
        (recipe(rollout={"engine": "vllm"}), False, Ask(1, 0)),
        (recipe(rollout={"engine": "vllm", "vllm_mode": "server"}), True, Ask(1, 1)),
        (recipe(cluster={"gpus": 2}), True, Ask(1, 2)),
        (recipe(cluster={"gpus": 1}), False, Ask(1, 1)),
    ],
)
def test_a_cell_asks_for_what_its_recipe_says(given: Recipe, gpus_there: bool, expected: Ask) -> None:
    assert asked(given, gpus_there=gpus_there) == expected


def test_a_cell_that_no_machine_could_run_is_named_with_what_there_is() -> None:
    there = {"a": {"CPU": 8.0}, "b": {"CPU": 2.0, "GPU": 1.0}}
    require_resources({"small": Ask(8, 0), "one": Ask(2, 1)}, there)
    with pytest.raises(UserError) as error:
        require_resources({"small": Ask(1, 0), "large": Ask(4, 1)}, there)
    assert error.value.what == "large asks for 4 CPUs and 1 GPU, and no machine of the Ray cluster has them"
    assert error.value.why == "there are 2 machines: 8 CPUs and 0 GPUs; 2 CPUs and 1 GPU"


def test_other_software_is_refused_by_name_and_another_build_is_not() -> None:
    here = software()
    require_same("far", here, {**here, "torch": "2.13.0+cu130"})
    with pytest.raises(UserError, match="far of the Ray cluster runs other software: torch is 2"):
        require_same("far", here, {**here, "torch": "2.12.1"})
    assert differences(here, {**here, SOURCES: "0"}) == [f"{SOURCES} is 0, here {here[SOURCES]}"]
    assert differences(here, {name: here[name] for name in here if name != "trl"}) == [
        f"trl is missing, here {here['trl']}"
    ]


def test_a_cell_travels_as_text_and_is_the_same_recipe(write_grid: Callable[[str], Path]) -> None:
    grid = load_grid(write_grid('[axes]\n"adapter.method, optim.lr" = [["rlpo+dora", 1e-3], ["full", 3e-5]]\n'))
    for one in grid.runs.values():
        assert make_recipe(tomllib.loads(one.to_toml())) == one
