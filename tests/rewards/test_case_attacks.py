"""No program that reads standard input passes but by what it prints; each would pass if its attack worked."""
# ruff: noqa: E501  a case a line

from __future__ import annotations

import pytest

from stiefel.rewards.sandbox import Job, Limits, run_job
from stiefel.rewards.sandbox.find import hole
from stiefel.rewards.sandbox.kinds import BUBBLEWRAP, NAMESPACES, NONE, Kind

LIMITS = Limits(cpu_seconds=1, wall_seconds=6.0, case_seconds=0.0, memory_bytes=256 * 2**20)
CASES = (("3\n", "7\n"), ("10\n", "21\n"), ("-4\n", "-7\n"))
SOLVE = "print(2 * int(input()) + 1)\n"
ATTACKS = {
    "nothing printed": "",
    "an exit": "import sys\nsys.exit(0)",
    "the hard exit": "import os\nos._exit(0)",
    "everything printed": "for n in range(-100, 100): print(n)",
    "every answer printed": "print('7\\n21\\n-7')",
    "the first answer always": "print(7)",
    "its input printed": "print(open(0).read())",
    "endless output": "while True: print(7)",
    "output without an end": "import sys\nwhile True: sys.stdout.write('7' * 10**6)",
    "the verdict printed": "import json, struct, sys\nv = json.dumps({'passed': True, 'reason': ''}).encode()\n"
    "sys.stdout.buffer.write(struct.pack('>I', len(v)) + v)",
    "the verdict on every descriptor": "import json, os, struct\nv = json.dumps({'passed': True, 'reason': ''}).encode()\n"
    "for fd in range(64):\n    try: os.write(fd, struct.pack('>I', len(v)) + v)\n    except OSError: pass",
    "the cases read off every descriptor": "import os\nfor fd in range(1, 64):\n"
    "    try: print(os.read(fd, 9999).decode())\n    except OSError: pass",
    "the comparison replaced": "import sys\nfor m in list(sys.modules.values()):\n"
    "    for name in ('same_output', 'same_line', 'judged'):\n"
    "        if hasattr(m, name): setattr(m, name, lambda *_: '')",
    "the built-ins replaced": "import builtins\nbuiltins.print = lambda *_: None\nbuiltins.len = lambda _: 0",
    "the callers' frames": "import sys\nf = sys._getframe()\nwhile f:\n    for v in f.f_locals.values():\n"
    "        if isinstance(v, dict) and 'cases' in v: print(v['cases'][0][1])\n    f = f.f_back",
    "the cases sought in memory": "import gc\nfor o in gc.get_objects():\n"
    "    if isinstance(o, (list, tuple)) and len(o) == 2 and o[0] == '3' + chr(10): print(o[1])",
    "answers after a raise": "print(2 * int(input()) + 1)\nraise ValueError",
    "answers and an exit of failure": "import sys\nprint(2 * int(input()) + 1)\nsys.exit(3)",
    "the parent killed": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "another process": "import os\nif os.fork() == 0: print(7)",
    "the other cases left in a file": "import os\nn = input()\nopen('/tmp/seen', 'a').write(n)\nprint(open('/tmp/seen').read())",
    "an endless loop": "while True: pass",
    "an endless sleep": "import time\ntime.sleep(10**6)",
    "its output closed": "import os, time\nos.close(1)\ntime.sleep(10**6)",
    "memory without end": "held = []\nwhile True: held.append(bytearray(2**24))",
    "no program": "def f(:",
}


@pytest.fixture(params=[NAMESPACES, BUBBLEWRAP], ids=lambda kind: kind.name, scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    reason = request.param.missing() or hole(request.param)
    if reason:
        pytest.skip(reason)
    return request.param


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_scores_nothing(name: str, kind: Kind) -> None:
    verdict = run_job(Job(ATTACKS[name], "", cases=CASES), kind, LIMITS)
    assert verdict.passed is False
    assert verdict.reason


def test_a_right_program_passes_after_all_of_them(kind: Kind) -> None:
    assert run_job(Job(SOLVE, "", cases=CASES), kind, LIMITS).passed


@pytest.mark.parametrize("name", ["an exit", "the hard exit", "the verdict printed", "the verdict on every descriptor"])
def test_without_walls_leaving_and_lying_score_nothing_either(name: str) -> None:
    assert run_job(Job(ATTACKS[name], "", cases=CASES), NONE, LIMITS).passed is False
