"""Folders for what queries keep outside memory, one per engine, so that no two write to the same files."""

import shutil
import uuid
from pathlib import Path

from octavo.stores.locks import FileLock


class Spill:
    """A folder of its own below `root`, held until it is released or its process ends.

    What a process that was killed left behind is removed by the next that claims a folder here.

    Parameters
    ----------
    root : Path
        Made if absent, with the first claim.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = FileLock(root / f"{uuid.uuid4().hex[:12]}.lock")
        self.folder = self._lock.path.with_suffix("")

    def claim(self) -> Path:
        """Hold the folder; whoever fills it makes it."""
        for left in self._root.glob("*.lock"):
            lock = FileLock(left)
            if lock.acquire(timeout_s=0):
                _remove(lock)
        self._lock.acquire()
        return self.folder

    def release(self) -> None:
        """Remove the folder; nothing happens if it was not claimed."""
        if self._lock.path.exists():
            _remove(self._lock)


def _remove(lock: FileLock) -> None:
    shutil.rmtree(lock.path.with_suffix(""), ignore_errors=True)
    lock.release(remove=True)
