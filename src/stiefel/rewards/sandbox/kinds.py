"""The kinds of sandbox: each is the command line that starts `inside.main` behind its walls."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
INSIDE = "/inside"  # where bubblewrap shows `HERE`
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
NOBODY = "65534"
# no site packages, no user's directory, no current directory on the path, nothing written beside the sources
PYTHON_FLAGS = ("-S", "-s", "-P", "-B", "-X", "utf8")
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}  # all a program sees; the order of sets is reproducible


@dataclass(frozen=True)
class Kind:
    """A sandbox by name: its command line, or why it cannot be used here.

    `command` takes a size of scratch space, directories to show beside Python's own, and the module of `inside` whose
    `main` is started.
    """

    name: str
    command: Callable[..., list[str]]
    missing: Callable[[], str]


def interpreter() -> str:
    """The interpreter itself, not a virtual environment's link to it."""
    return str(Path(sys.executable).resolve())


def entry(package_parent: str, module: str, function: str) -> list[str]:
    """Python that imports `inside` from a directory and starts a function of it."""
    code = f"import sys; sys.path.insert(0, {package_parent!r}); from inside.{module} import {function}; {function}()"
    return [interpreter(), *PYTHON_FLAGS, "-c", code]


def shown() -> tuple[list[str], dict[str, str]]:
    """(directories to show read-only, symbolic links): this Python and the system's libraries, and nothing else."""
    links, visible = {}, []
    for path in (Path("/lib"), Path("/lib64"), Path("/usr/lib"), Path("/usr/lib64"), Path("/etc/ld.so.cache")):
        if path.is_symlink():
            links[str(path)] = str(path.readlink())
        elif path.exists():
            visible.append(str(path))
    python = {Path(sys.base_prefix).resolve(), Path(sysconfig.get_paths()["stdlib"]).resolve()}
    python |= {Path(sysconfig.get_paths()["platstdlib"]).resolve(), Path(interpreter())}
    for path in sorted(python):
        if str(path) != "/usr" and not any(path.is_relative_to(parent) for parent in visible):
            visible.append(str(path))
    return visible, links


def with_more(visible: Sequence[str], more: Sequence[str]) -> list[str]:
    """The directories to show, without those that lie in another of them."""
    new = [path for path in more if not any(Path(path).is_relative_to(parent) for parent in visible)]
    return [*visible, *new]


def namespaces_command(scratch_bytes: int, more: Sequence[str] = (), module: str = "main") -> list[str]:
    """The kernel's namespaces, entered by our own launcher."""
    visible, links = shown()
    places = {"visible": with_more(visible, more), "devices": DEVICES, "links": links}
    plan = {**places, "scratch_bytes": scratch_bytes, "module": module}
    return [*entry(str(HERE), "namespaces", "enter"), json.dumps(plan)]


def bubblewrap_command(scratch_bytes: int, more: Sequence[str] = (), module: str = "main") -> list[str]:
    """bwrap(1)."""
    visible, links = shown()
    walls = ["--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"]
    walls += ["--uid", NOBODY, "--gid", NOBODY]
    walls += ["--size", str(scratch_bytes), "--tmpfs", "/tmp"]  # first: what is visible may lie below it
    for path in with_more(visible, more):
        walls += ["--ro-bind", path, path]
    walls += ["--ro-bind", str(HERE), INSIDE]
    for path, pointed in links.items():
        walls += ["--symlink", pointed, path]
    for path in DEVICES:
        walls += ["--dev-bind", path, path]
    walls += ["--remount-ro", "/", "--chdir", "/tmp"]
    return [shutil.which("bwrap") or "bwrap", *walls, "--", *entry(INSIDE, module, "main")]


def none_command(scratch_bytes: int, more: Sequence[str] = (), module: str = "main") -> list[str]:
    """No walls: limits and the filter on system calls only; files can be read, and written where the user may."""
    return entry(str(HERE), module, "main")


def bubblewrap_missing() -> str:
    """bwrap(1) has to be on the path."""
    return "" if shutil.which("bwrap") else "bwrap is not installed"


def namespaces_missing() -> str:
    """Linux only."""
    return "" if sys.platform == "linux" else "the kernel is not Linux"


BUBBLEWRAP = Kind("bubblewrap", bubblewrap_command, bubblewrap_missing)
NAMESPACES = Kind("namespaces", namespaces_command, namespaces_missing)
NONE = Kind("none", none_command, namespaces_missing)
KINDS = (BUBBLEWRAP, NAMESPACES, NONE)
