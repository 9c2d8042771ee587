"""An online store on this machine, read by an event loop without waiting for anyone."""

from collections.abc import Sequence

from octavo.stores.ports import OnlineStore


class InlineReader:
    """Reads a store within the turn of the loop that asks: one whose reads take microseconds, and end.

    Parameters
    ----------
    store : OnlineStore
        Memory of this process or of this machine.
    """

    retries = 0

    def __init__(self, store: OnlineStore) -> None:
        self._store = store

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `LoopReader.read`."""
        return self._store.read(keys)

    def close(self) -> None:
        """Close the store."""
        self._store.close()
