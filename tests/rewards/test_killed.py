"""A trainer that is killed leaves no worker, no sandbox and no program behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from stiefel.rewards.sandbox.find import hole
from stiefel.rewards.sandbox.kinds import BUBBLEWRAP, NAMESPACES

HANGING = """
import sys
from stiefel.rewards.{where}
print("begun", flush=True)
{work}
"""
SANDBOX = (
    "sandbox import Job, Limits, run_job\nfrom stiefel.rewards.sandbox.kinds import {kind}",
    "run_job(Job('import time\\ntime.sleep(1000)', 'assert 1'), {kind}, Limits(wall_seconds=1000.0))",
)
POOL = ("pool import Pool", "Pool(2, seconds=20.0).grade('math', [('\\\\boxed{' + '(' * 400 + '}', '1')] * 40)")


def below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.parametrize("case", ["NAMESPACES", "BUBBLEWRAP", "pool"])
def test_nothing_outlives_a_killed_trainer(case):
    if case == "pool":
        (where, work), expected = POOL, 2
    else:
        kind = {"NAMESPACES": NAMESPACES, "BUBBLEWRAP": BUBBLEWRAP}[case]
        if reason := kind.missing() or hole(kind):
            pytest.skip(reason)
        (where, work), expected = (text.format(kind=case) for text in SANDBOX), 3
    program = HANGING.format(where=where, work=work)
    trainer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=with_path())
    with trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == b"begun\n"
        deadline = time.monotonic() + 60
        while len(family := below(trainer.pid)) < expected and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(family) >= expected
        trainer.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=60)  # a worker inside the parser dies by its own clock
    assert alive == []


def with_path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
