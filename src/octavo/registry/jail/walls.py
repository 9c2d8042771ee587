"""What a process takes from itself before it opens a pickle; each wall that the system does not allow is left out.

Namespaces of its own leave it without a network, with files that are read-only and without sight of other processes;
then it gives up the privileges by which it has built them, so that it cannot take them down.
"""

import ctypes
import fcntl
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

WALLS = ("network", "files", "processes", "privileges", "memory")
"""All that there are."""

_USER, _NET, _MOUNT, _IPC, _PID = 0x10000000, 0x40000000, 0x00020000, 0x08000000, 0x20000000
_ATTEMPTS = (
    _USER | _NET | _IPC | _MOUNT | _PID,
    _NET | _IPC | _MOUNT | _PID,
    _USER | _NET | _IPC,
    _NET | _IPC,
)
"""Namespaces, by ever lower demands; as a user of its own if that is allowed."""

_AT_RECURSIVE, _MOUNT_ATTR_RDONLY, _AT_FDCWD, _SYS_MOUNT_SETATTR = 0x8000, 0x1, -100, 442
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 0x1, 0x2, 0x4, 0x8, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITIES_V3 = 0x20080522
_MOST_DESCRIPTORS = 256


def build(*, memory_bytes: int, hidden: Sequence[str], leave: Callable[[], None]) -> tuple[str, ...]:
    """Build all that can be; for a process of one thread.

    A process that is to see no others goes on as a child of this one, which then only waits for its end.

    Parameters
    ----------
    hidden : sequence of str
        Folders that are to look empty.
    leave : callable
        Called by the one that only waits, to let go of what the other has.

    Returns
    -------
    tuple of str
        Those that stand.
    """
    standing = set()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        held = _leave_namespaces(libc)
        if held & _PID:
            _go_on_as_child(libc, leave)
        if held & _NET:
            standing.add("network")
        if held & _MOUNT and _close_files(libc, hidden):
            standing |= {"files", "processes"}
        if _give_up_privileges(libc):
            standing.add("privileges")
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_DESCRIPTORS, _MOST_DESCRIPTORS))
        # What is allocated, not addresses, as for the functions of a version.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        standing.add("memory")
    return tuple(wall for wall in WALLS if wall in standing)


def end_with_parent(lifeline: int) -> None:
    """Have the system kill this process once its parent is gone, which holds the other end of a pipe."""
    os.set_inheritable(lifeline, False)
    if sys.platform != "linux":
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _leave_namespaces(libc: ctypes.CDLL) -> int:
    """Leave as many as are allowed; which those are."""
    for wanted in _ATTEMPTS:
        if libc.unshare(wanted) == 0:
            return wanted
    return 0


def _go_on_as_child(libc: ctypes.CDLL, leave: Callable[[], None]) -> None:
    child = os.fork()
    if child:
        leave()
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _close_files(libc: ctypes.CDLL, hidden: Sequence[str]) -> bool:
    """Let no file be changed, hide some folders, and show no process but this one."""
    if libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        return False
    if libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None) != 0:
        return False
    for folder in hidden:
        if Path(folder).is_dir() and libc.mount(b"none", os.fsencode(folder), b"tmpfs", _MS_RDONLY, b"size=4k") != 0:
            return False
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    done: int = libc.syscall(
        _SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, ctypes.byref(attributes), ctypes.sizeof(attributes)
    )
    return done == 0


def _give_up_privileges(libc: ctypes.CDLL) -> bool:
    """All capabilities, and every way to get new ones."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    none = (ctypes.c_uint32 * 6)()
    kept: int = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    capable: int = libc.capset(ctypes.byref(header), ctypes.byref(none))
    return kept == 0 and capable == 0
