"""One process at a time writes online features: the worker, or a command while no worker runs."""

from collections.abc import Mapping, Sequence

from octavo.config import Config
from octavo.errors import Conflict
from octavo.stores.locks import FileLock
from octavo.stores.ports import OnlineStore


class OwnedOnlineStore:
    """An online store that this process alone writes, until it is closed.

    Parameters
    ----------
    store : OnlineStore
    lock : FileLock
        Held.
    """

    def __init__(self, store: OnlineStore, lock: FileLock) -> None:
        self._store = store
        self._lock = lock

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore.read`."""
        return self._store.read(keys)

    def write(self, values: Mapping[bytes, bytes | None], *, marks: Mapping[str, int]) -> None:
        """See `OnlineStore.write`."""
        self._store.write(values, marks=marks)

    def mark(self, name: str) -> int:
        """See `OnlineStore.mark`."""
        return self._store.mark(name)

    def close(self) -> None:
        """See `OnlineStore.close`; from then on another process may write."""
        self._store.close()
        self._lock.release()


def own_online(config: Config) -> FileLock:
    """Become the one process that writes online features.

    Raises
    ------
    Conflict
        If another is.
    """
    lock = online_lock(config)
    if not lock.acquire():
        raise Conflict(
            f"process {lock.holder or 'unknown'} writes the online features of this project now, most likely the "
            "worker of `octavo up`; it brings them up to date by itself. To do it by hand, stop that process first",
            holder=lock.holder,
        )
    return lock


def online_lock(config: Config) -> FileLock:
    """The lock that the writer of online features holds."""
    return FileLock(config.home / "run" / "online.lock")
