"""The seccomp filter, as instructions that the kernel reads: written by libseccomp, which knows every architecture."""

from __future__ import annotations

import base64
import ctypes
import errno
import tempfile
from functools import cache

ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # linux/seccomp.h
UNKNOWN_NAME = -1  # libseccomp's __NR_SCMP_ERROR
LIBRARY = "libseccomp.so.2"

# What a graded program has no need of. One process of one thread: then the limits on CPU time and memory, which the
# kernel keeps per process, hold for the whole program, and nothing can be left behind.
REFUSED = (
    *("fork", "vfork", "clone", "execve", "execveat", "unshare", "setns"),
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg"),
    *("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "pidfd_open"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise"),
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsmount", "mount_setattr"),
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "seccomp"),
    *("add_key", "request_key", "keyctl", "open_by_handle_at", "name_to_handle_at", "fanotify_init"),
    # memory that RLIMIT_AS does not count
    *("memfd_create", "memfd_secret", "shmget", "shmat", "msgget", "semget", "mq_open"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "reboot", "swapon", "swapoff", "acct", "syslog"),
    *("sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr", "setpriority", "ioprio_set"),
    *("personality", "setsid", "setpgid"),
    *("prlimit64", "setrlimit"),  # prlimit(2) sets the limits of every process of the same user, the tests' among them
    *("settimeofday", "clock_settime", "adjtimex", "sethostname", "setdomainname", "quotactl", "vhangup"),
)
UNKNOWN = ("clone3",)  # refused as if the kernel were older, so that the C library falls back to clone


class NoFilter(Exception):
    """libseccomp is not installed, or failed."""


@cache
def seccomp_filter() -> str:
    """Allow every system call but `REFUSED` (EPERM) and `UNKNOWN` (ENOSYS): base64 of an array of sock_filter.

    A call of another architecture kills the process. Raises `NoFilter`. Source: seccomp_rule_add(3), seccomp(2).
    """
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NoFilter(f"{LIBRARY} is not installed (Debian and Ubuntu: the package libseccomp2)") from error
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))
    for names, number in ((REFUSED, errno.EPERM), (UNKNOWN, errno.ENOSYS)):
        for name in names:
            call = library.seccomp_syscall_resolve_name(name.encode())
            if call == UNKNOWN_NAME:
                continue  # this libseccomp is older than the call; what is vital is measured by the probe
            action = ctypes.c_uint32(ERRNO | number)
            result = library.seccomp_rule_add_array(context, action, ctypes.c_int(call), ctypes.c_uint(0), None)
            if result < 0:
                raise NoFilter(f"seccomp_rule_add {name}: error {-result}")
    with tempfile.TemporaryFile() as file:
        result = library.seccomp_export_bpf(context, ctypes.c_int(file.fileno()))
        if result < 0:
            raise NoFilter(f"seccomp_export_bpf: error {-result}")
        library.seccomp_release(context)
        file.seek(0)
        return base64.b64encode(file.read()).decode()
