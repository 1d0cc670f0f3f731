"""No program passes but by right answers, and nothing outside the sandbox notices that it ran."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from stiefel.rewards.sandbox import Job, Limits, run_job
from stiefel.rewards.sandbox.find import hole
from stiefel.rewards.sandbox.inside.main import LONGEST_REASON
from stiefel.rewards.sandbox.kinds import BUBBLEWRAP, NAMESPACES, NONE, Kind
from tests.rewards.hostile import EQUALITY, HOSTILE, LEAVING, SOLVE, TESTS

LIMITS = Limits(cpu_seconds=1, wall_seconds=4.0, memory_bytes=256 * 2**20, scratch_bytes=2**24 + os.getpid() * 4096)


@pytest.fixture(params=[NAMESPACES, BUBBLEWRAP], ids=lambda kind: kind.name, scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    reason = request.param.missing() or hole(request.param)
    if reason:
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "secret").write_text("secret")
    return home


def still_running() -> list[list[str]]:
    """The processes of these tests' sandboxes: their odd scratch size stands in their command lines."""
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if any(str(LIMITS.scratch_bytes) in argument for argument in line)]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_scores_nothing_and_leaves_nothing(name, kind, home, monkeypatch):
    monkeypatch.setenv("STIEFEL_SECRET", "secret")
    program = HOSTILE[name].replace("{home}", str(home))
    began = time.monotonic()

    verdict = run_job(Job(program, TESTS), kind, LIMITS)

    assert verdict.passed is False
    assert 0 < len(verdict.reason) <= LONGEST_REASON
    assert time.monotonic() - began < LIMITS.wall_seconds + 10  # the machine may be busy; the sandbox was killed
    assert {path.name: path.read_text() for path in home.iterdir()} == {"secret": "secret"}
    gone_by = time.monotonic() + 5  # the kernel takes a killed namespace down after its parent has returned
    while still_running() and time.monotonic() < gone_by:
        time.sleep(0.01)
    assert still_running() == []


def test_the_sandbox_works_after_all_of_them(kind):
    assert run_job(Job(SOLVE, TESTS), kind, LIMITS).passed


def test_an_exception_that_ends_a_loop_does_not_end_the_tests_loop(kind):
    tests = "for got, wanted in zip(map(solve, [1, 2]), [3, 5]):\n    assert got == wanted"
    assert run_job(Job(SOLVE, tests), kind, LIMITS).passed
    assert run_job(Job("def solve(x): raise StopIteration", tests), kind, LIMITS).passed is False


def test_what_a_test_quotes_of_an_answer_is_cut(kind):
    verdict = run_job(Job("def solve(x): return 'x' * 10**6", "assert solve(1) == 3, solve(1)"), kind, LIMITS)
    assert (verdict.passed, len(verdict.reason)) == (False, LONGEST_REASON)


@pytest.mark.parametrize("name", LEAVING | EQUALITY)
def test_without_walls_a_reward_is_still_not_to_be_had_by_leaving_or_by_equality(name):
    assert run_job(Job(HOSTILE[name], TESTS), NONE, LIMITS).passed is False


def test_the_list_is_long_enough():
    assert len(HOSTILE) >= 30
