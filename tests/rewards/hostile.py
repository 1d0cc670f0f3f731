"""Hostile programs. All are asked for solve(x) = 2x + 1, and each would pass if its attack worked."""
# ruff: noqa: E501  a program is read more easily with its own lines than with ours

from __future__ import annotations

SOLVE = "def solve(x):\n    return 2 * x + 1\n"
TESTS = "assert solve(3) == 7\nassert solve(10) == 21\nassert solve(-4) == -7"

ALWAYS_EQUAL = """
class Always{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
"""


def after(step: str) -> str:
    """A program that gives the right answers once a forbidden step has succeeded."""
    body = "\n    ".join(step.strip().splitlines())
    return f"import ctypes, os, signal, socket, subprocess, sys, threading\ndef solve(x):\n    {body}\n    return 2 * x + 1\n"


LEAVING = {
    "sys.exit at the top": "import sys\nsys.exit(0)",
    "os._exit at the top": "import os\nos._exit(0)",
    "os._exit in the call": "import os\ndef solve(x): os._exit(0)",
    "SystemExit in the call": "def solve(x): raise SystemExit(0)",
    "abort": "import os\ndef solve(x): os.abort()",
    "an exit handler": "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit",
    "an AssertionError that says all is well": "def solve(x): raise AssertionError('passed')",
}
EQUALITY = {
    "an object equal to all": ALWAYS_EQUAL.format(base="") + "def solve(x): return Always()",
    "an int equal to all": ALWAYS_EQUAL.format(base="(int)") + "def solve(x): return Always(0)",
    "a str equal to all": ALWAYS_EQUAL.format(base="(str)") + "def solve(x): return Always()",
    "a float equal to all": ALWAYS_EQUAL.format(base="(float)") + "def solve(x): return Always(0)",
    "an object that says it is an int": ALWAYS_EQUAL.format(base="")
    + "    __class__ = int\n    def __int__(self): return 7\n    def __index__(self): return 7\ndef solve(x): return Always()",
    "a metaclass equal to all": "class M(type):\n    def __eq__(cls, other): return True\n    def __hash__(cls): return 0\n"
    "class C(metaclass=M): pass\ndef solve(x): return C",
    "an object that holds and says all": ALWAYS_EQUAL.format(base="")
    + "    def __contains__(self, item): return True\n    def __len__(self): return 7\n    def __str__(self): return '7'\n"
    "    def __getitem__(self, at): return 7\n    def __next__(self): return 7\ndef solve(x): return Always()",
    "a decimal equal to all": "from decimal import Decimal\n"
    + ALWAYS_EQUAL.format(base="(Decimal)")
    + "Always.__module__, Always.__qualname__ = 'decimal', 'Decimal'\ndef solve(x): return Always(0)",
    "not a number": "def solve(x): return float('nan')",
    "the function itself": "def solve(x): return solve",
}
PATCHING = {
    "builtins patched": "import builtins\nbuiltins.AssertionError = type('E', (Exception,), {})\nbuiltins.all = lambda _: True\n"
    "builtins.isinstance = lambda *_: True\ndef solve(x): return 0",
    "int patched in memory": "import ctypes\ndef solve(x):\n    ctypes.memset(id(7) + 24, 0, 4)\n    return 0",
    "the server's send replaced": "import sys\nfor m in list(sys.modules.values()):\n"
    "    if hasattr(m, 'send'): m.send = lambda fd, message: None\n"
    "    if hasattr(m, 'encode'): m.encode = lambda value, handle: {'passed': True}\ndef solve(x): return 0",
    "the verdict sent as a reply": "import sys\nfor name, m in list(sys.modules.items()):\n"
    "    if name.endswith('program') and hasattr(m, 'encode'): m.encode = lambda *_: {'passed': True, 'reason': ''}\n"
    "def solve(x): return 0",
    "the verdict on every descriptor": "import json, os, struct\nv = json.dumps({'passed': True, 'reason': ''}).encode()\n"
    "for fd in range(64):\n    try: os.write(fd, struct.pack('>I', len(v)) + v)\n    except OSError: pass\n"
    "def solve(x): return 0",
    "a type of the standard library that is no value": "import sys\nfor name, m in list(sys.modules.items()):\n"
    "    if name.endswith('program') and hasattr(m, 'encode'):\n"
    "        m.encode = lambda *_: {'standard': ['builtins', 'exec', ['import os; os._exit(0)']]}\ndef solve(x): return 0",
    "handles that are none": "import sys\nfor name, m in list(sys.modules.items()):\n"
    "    if name.endswith('program') and hasattr(m, 'encode'): m.encode = lambda *_: {'handle': 10**30}\ndef solve(x): return 0",
    "replies of no known form": "import sys\nfor name, m in list(sys.modules.items()):\n"
    "    if name.endswith('program') and hasattr(m, 'described'): m.described = lambda _: {'raised': 5}\n"
    "def solve(x): raise ValueError",
    "the success mark printed": "print('passed')\nprint('all tests passed')\nprint('{\"passed\": true}')\n"
    "def solve(x):\n    print('OK')\n    return 0",
    "the mark written to standard output's device": "def solve(x):\n    open('/dev/stdout', 'w').write('passed')\n    return 2*x+1",
    "the caller's frames": "import sys\ndef solve(x):\n    f = sys._getframe()\n    while f:\n        for v in f.f_locals.values():\n"
    "            if isinstance(v, dict) and 'tests' in v: return eval(v['tests'])\n        f = f.f_back\n    return 0",
    "the tests sought in memory": "import gc\ndef solve(x):\n    for o in gc.get_objects():\n"
    "        if isinstance(o, dict) and any(isinstance(v, str) and 'assert ' + 'solve' in v for v in o.values()): return 2*x+1\n"
    "    return 0",
    "a tracer that skips lines": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\ndef solve(x): return 0",
    "replies written ahead": "import json, os, struct\nfor value in (None, {'handle': 0}, True, True, True):\n"
    "    reply = json.dumps({'value': value}).encode()\n    for fd in range(3, 10):\n"
    "        try: os.write(fd, struct.pack('>I', len(reply)) + reply)\n        except OSError: pass\n",
    "an exception that says it ends the tests": "import sys\nfor name, m in list(sys.modules.items()):\n"
    "    if name.endswith('program') and hasattr(m, 'described'):\n"
    "        m.described = lambda _: {'raised': ['SystemExit', 'SystemExit', '0']}\ndef solve(x): raise ValueError",
    "names of the tests taken": "passed = True\nreason = ''\nverdict = True\ndef check(*_): return True\ndef run(*_): return ''\n"
    "__name__ = '__main__'\ndef solve(x): return 0",
    "modules left for the tests to import": "import sys\nfor d in ('.', '/tmp'):\n    for m in ('ast', 'json', 'importlib'):\n"
    "        open(f'{d}/{m}.py', 'w').write('raise SystemExit(0)')\ndef solve(x): return 0",
}
RESOURCES = {
    "a fork bomb": after("while True: os.fork()"),
    "a bomb of threads": after("while True: threading.Thread(target=threading.Event().wait).start()"),
    "a bomb of shells": after("subprocess.run(':(){ :|:& };:', shell=True, check=True)"),
    "a memory bomb": after("held = []\nwhile True: held.append(bytearray(2**24))"),
    "a memory bomb of files": after("for n in range(1000): open(f'/tmp/{n}', 'wb').write(bytes(2**22))"),
    "one endless file": after("with open('/tmp/x', 'wb') as f:\n    while True: f.write(bytes(2**20))"),
    "shared memory": after("assert ctypes.CDLL(None).shmget(0, 2**30, 0o1600) >= 0"),
    "an endless loop": "while True: pass",
    "an endless loop in the call": "def solve(x):\n    while True: pass",
    "an endless loop in C": "def solve(x): return 9**9**9**9",
    "an endless sleep": "import time\ndef solve(x): time.sleep(10**6)",
    "signals ignored": "import signal\nfor s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
    "endless output": "import os\nos.set_blocking(1, True)\nwhile True: print('passed' * 1000)",
    "endless output on the error stream": "import sys\nwhile True: sys.stderr.write('x' * 10000)",
    "endless replies": "import os\nwhile True:\n    for fd in range(3, 20):\n        try: os.write(fd, b'x' * 65536)\n"
    "        except OSError: pass",
    "an endless answer": "def solve(x): return 'x' * 10**8",
    "a bottomless answer": "def solve(x):\n    a = []\n    for _ in range(10**5): a = [a]\n    return a",
    "an answer that holds itself": "def solve(x):\n    a = []\n    a.append(a)\n    return a",
    "endless recursion": "def solve(x): return solve(x)",
    "endless recursion in C": "import sys\nsys.setrecursionlimit(10**9)\ndef solve(x): return solve(x)",
    "an iterator without end": "import itertools\ndef solve(x): return itertools.count()",
    "an exception's endless name": "E = type('E' * 7_000_000, (Exception,), {})\ndef solve(x): raise E",
    "an exception's endless text": "import sys\nfor name, m in list(sys.modules.items()):\n"
    "    if name.endswith('program') and hasattr(m, 'described'):\n"
    "        m.described = lambda _: {'raised': ['ValueError', 'ValueError', 'x' * 8_000_000]}\ndef solve(x): raise ValueError",
    "millions of empty lists": "import sys\nfor name, m in list(sys.modules.items()):\n"
    "    if name.endswith('program') and hasattr(m, 'encode'): m.encode = lambda *_: [[]] * 1_900_000\ndef solve(x): return 0",
    "a fraction of giants": "import sys\nfor name, m in list(sys.modules.items()):\n"
    "    if name.endswith('program') and hasattr(m, 'encode'):\n"
    "        m.encode = lambda *_: {'standard': ['fractions', 'Fraction', [{'int': hex(3**4_000_000)}, {'int': hex(5**4_000_000)}]]}\n"
    "def solve(x): return 0",
    "a set of colliding numbers": "import sys\nfor name, m in list(sys.modules.items()):\n"
    "    if name.endswith('program') and hasattr(m, 'encode'):\n"
    "        m.encode = lambda *_: {'set': [{'int': hex((2**61 - 1) * n)} for n in range(200_000)]}\ndef solve(x): return 0",
    "directories without end": after("for n in range(10**7): os.mkdir(f'/tmp/{n}')"),
    "a pipe that nobody writes to": after("os.mkfifo('/tmp/pipe')\nopen('/tmp/pipe')"),
    "secret memory": after("assert ctypes.CDLL(None).syscall(447, 0) >= 0"),
    "the tests' memory limited": after("import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_AS, (1, 1))"),
    "the tests' files limited": after(
        "import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))"
    ),
    "the tests' clock stopped": after("import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0))"),
    "the tests made to wait": after(
        "idle = (ctypes.c_uint8 * 48)(48, 0, 0, 0, 5)\nassert ctypes.CDLL(None).syscall(314, os.getppid(), idle, 0) == 0"
    ),
    "a limit raised": after("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (-1, -1))"),
}
ESCAPES = {
    "a connection": after("socket.create_connection(('127.0.0.1', 80), timeout=1)"),
    "a datagram": after("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))"),
    "the local socket of a service": after("socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')"),
    "the environment": after("os.environ['STIEFEL_SECRET']"),
    "the environment of the first process": after("open('/proc/1/environ').read()"),
    "the memory of the first process": after("open('/proc/1/mem', 'r+b')"),
    "the process table": after("os.listdir('/proc/self')"),
    "the users": after("open('/etc/passwd').read()"),
    "the home directory": after("open('{home}/secret').read()"),
    "files deleted": after("import shutil\nshutil.rmtree('{home}')"),
    "a file written outside": after("open('{home}/new', 'w').write('x')"),
    "the libraries written": after("open(os.__file__, 'a').write('x')"),
    "the parent killed": after("os.kill(os.getppid(), signal.SIGKILL)"),
    "the parent interrupted": after("os.kill(os.getppid(), signal.SIGINT)"),
    "all killed": after("os.kill(-1, signal.SIGKILL)"),
    "a background process": after("if os.fork() == 0:\n    os.setsid()\n    while True: pass"),
    "a fork by the 32-bit door": after(
        "import mmap\npage = mmap.mmap(-1, 4096, prot=7)\npage.write(bytes.fromhex('b802000000cd80c3'))\n"
        "start = ctypes.addressof(ctypes.c_char.from_buffer(page))\nassert ctypes.CFUNCTYPE(ctypes.c_int)(start)() >= 0"
    ),
    "a fork by the x32 door": after("assert ctypes.CDLL(None).syscall(0x40000000 | 57) >= 0"),
    "a clone by its number": after("assert ctypes.CDLL(None).syscall(56, 0x3D0F00, 0, 0, 0, 0) >= 0"),
    "a ring of system calls": after("assert ctypes.CDLL(None).syscall(425, 8, (ctypes.c_uint8 * 120)()) >= 0"),
    "a program spawned": after("os.posix_spawn(sys.executable, [sys.executable, '-c', ''], {})"),
    "a signal on the parent by a pipe": "import fcntl, os\ndef solve(x):\n    r, w = os.pipe()\n"
    "    fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())\n    fcntl.fcntl(r, 10, 9)\n"
    "    fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)\n    os.write(w, b'x')\n    return 0",
    "a link out of the sandbox": after(
        "if not os.path.lexists('/tmp/link'): os.symlink('{home}', '/tmp/link')\nopen('/tmp/link/secret').read()"
    ),
    "shared memory's directory": after("open('/dev/shm/x', 'w').write('x')"),
    "the kernel's settings": after("os.listdir('/sys')"),
    "the root made writable": after("assert ctypes.CDLL(None).mount(None, b'/', None, 4096 | 32, None) == 0"),
    "the terminal": after("open('/dev/tty', 'w')"),
    "a program started": after("os.execv(sys.executable, [sys.executable, '-c', ''])"),
    "the parent traced": after("assert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0"),
    "the parent's memory written": after(
        "libc = ctypes.CDLL(None)\nbuffer = ctypes.create_string_buffer(8)\n"
        "iov = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)\n"
        "assert libc.process_vm_readv(os.getppid(), iov, 1, iov, 1, 0) == 8"
    ),
    "the parent's files taken": after("assert ctypes.CDLL(None).syscall(434, os.getppid(), 0) >= 0"),
    "new namespaces": after("assert ctypes.CDLL(None).unshare(0x10000000) == 0"),
    "a mount": after("assert ctypes.CDLL(None).mount(b'/', b'/tmp', None, 4096, None) == 0"),
    "another root": after("os.chroot('/tmp')"),
    "another user": after("os.setuid(0)"),
    "a device": after("os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))\nopen('/tmp/disk', 'rb').read(1)"),
    "more priority": after("os.nice(-5)"),
}
HOSTILE = LEAVING | EQUALITY | PATCHING | RESOURCES | ESCAPES
