"""Locks between the processes of one machine; they end with the process that holds them, however it ends."""

import fcntl
import os
import time
from pathlib import Path

_POLL_S = 0.02


class FileLock:
    """A lock on a file, held by one process at a time until it is released or the process ends.

    Parameters
    ----------
    path : Path
        Made if absent; names the pid of its last holder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, *, timeout_s: float = 0.2) -> bool:
        """Take the lock; False if another has it for longer than `timeout_s`, a moment of which `is_taken` may need."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + timeout_s
        while (descriptor := self._try()) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        self._descriptor = descriptor
        return True

    def release(self, *, remove: bool = False) -> None:
        """Let go of the lock, and remove its file if asked to; nothing happens if it is not held."""
        if self._descriptor is not None:
            if remove:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def holder(self) -> str:
        """The pid of the last holder, as text; empty if there was none."""
        try:
            return self.path.read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def is_taken(self) -> bool:
        """Whether anyone, this object included, holds the lock now."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def _try(self) -> int | None:
        """A descriptor that holds the lock; None if another does, or has just removed the file."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _lock(descriptor, fcntl.LOCK_EX) and self._is_in_place(descriptor):
            return descriptor
        os.close(descriptor)
        return None

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
