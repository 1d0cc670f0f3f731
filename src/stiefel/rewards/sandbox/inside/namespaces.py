"""A sandbox of the kernel's own parts, where no bubblewrap is installed: namespaces, a private root, then `main`."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from .confine import PR_SET_PDEATHSIG, checked, libc, prctl

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (  # linux/sched.h
    0x00020000,
    0x02000000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 2, 4, 4096, 16384, 1 << 18, 2  # linux/mount.h
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, AT_RECURSIVE, AT_FDCWD = 1, 2, 4, 0x8000, -100
SYS_MOUNT_SETATTR = 442  # the same number on every architecture
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
NOBODY = 65534
STAGE = "/tmp"  # where the new root is put together; any directory would do, as mounts here are private


def enter() -> NoReturn:
    """New namespaces, a first process in them with a root of read-only parts, no network and no user; then a `main`.

    argv[1] is JSON: "visible", directories shown read-only; "devices"; "links", symbolic links; "scratch_bytes", the
    size of /tmp, the only place to write; "module", the one of `inside` whose `main` is started. Raises OSError where
    the kernel refuses a step. Source: namespaces(7), pivot_root(2), mount_setattr(2) (Linux 5.12).
    """
    plan = json.loads(sys.argv[1])
    serve = importlib.import_module(f".{plan['module']}", __package__).main  # now: the new root does not hold it
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    root = unshare()
    child = os.fork()
    if child == 0:
        private_root(plan)
        if root:  # leave the machine's root for good; in a user namespace `confine` drops what is left
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # last: a change of user takes it back
        serve()
    os.close(0)
    os.close(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def unshare() -> bool:
    """New namespaces of every kind; a user namespace too, unless this is the machine's root, who needs none."""
    kinds = NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWPID | NEWNET
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and libc.unshare(kinds) == 0:
        return True
    checked(libc.unshare(kinds | NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")
    return False


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system, or a directory once more."""
    arguments = [text.encode() or None for text in (source, target, kind)]
    checked(libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def protect(target: str, attributes: int, recursive: bool) -> None:
    """mount_setattr(2): add attributes to a mount, or to all below it."""
    request = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    arguments = (ctypes.c_int(AT_FDCWD), target.encode(), ctypes.c_uint(AT_RECURSIVE if recursive else 0), request)
    size = ctypes.c_size_t(ctypes.sizeof(request))
    checked(libc.syscall(ctypes.c_long(SYS_MOUNT_SETATTR), *arguments, size), f"mount_setattr {target}")


def private_root(plan: dict[str, Any]) -> None:
    """Put the new root together on a tmpfs, and leave the old one behind."""
    sources = {path: os.open(path, os.O_PATH) for path in (*plan["visible"], *plan["devices"])}  # STAGE may hide them
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=512,mode=755")
    scratch = Path(STAGE + "/tmp")  # first: what is visible may lie below it, as an environment under /tmp does
    scratch.mkdir()
    options = f"size={plan['scratch_bytes']},nr_inodes=4096,mode=1777"
    mount("tmpfs", str(scratch), "tmpfs", MS_NOSUID | MS_NODEV, options)
    for path, source in sources.items():
        target = Path(STAGE + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(f"/proc/self/fd/{source}").is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        mount(f"/proc/self/fd/{source}", str(target), flags=MS_BIND | MS_REC)
        device = 0 if path in plan["devices"] else ATTR_NODEV
        protect(str(target), ATTR_RDONLY | ATTR_NOSUID | device, recursive=True)
        os.close(source)
    for path, pointed in plan["links"].items():
        Path(STAGE + path).symlink_to(pointed)
    protect(STAGE, ATTR_RDONLY, recursive=False)
    os.chdir(STAGE)
    here = ctypes.c_char_p(b".")
    checked(libc.syscall(ctypes.c_long(SYS_PIVOT_ROOT[os.uname().machine]), here, here), "pivot_root")
    checked(libc.umount2(b".", MNT_DETACH), "umount2")
    os.chdir("/tmp")
