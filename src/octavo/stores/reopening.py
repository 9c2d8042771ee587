"""The online store as those see it who only read: it may be absent at the start, vanish and come back."""

import time
from collections.abc import Callable, Mapping, Sequence

from octavo.errors import Conflict, OctavoError, Unavailable
from octavo.stores.ports import OnlineStore

_RETRY_S = 1.0


class ReopeningStore:
    """An online store that is opened when it is there, and opened again after it failed. Read only.

    Parameters
    ----------
    open_store : callable
        Opens the store; raises an `OctavoError` while it cannot.
    """

    def __init__(self, open_store: Callable[[], OnlineStore]) -> None:
        self._open_store = open_store
        self._store: OnlineStore | None = None
        self._again_at_s = 0.0

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore.read`.

        Raises
        ------
        Unavailable
            If the store cannot be read, at once for a second after it could not be opened.
        """
        store = self._store or self._reopened()
        try:
            return store.read(keys)
        except OctavoError:
            self.close()
            raise

    def write(self, values: Mapping[bytes, bytes | None], *, marks: Mapping[str, int]) -> None:
        """Nothing is written here.

        Raises
        ------
        Conflict
            Always.
        """
        raise Conflict("the online store was opened to be read only; write where it was opened for writing")

    def mark(self, name: str) -> int:
        """See `OnlineStore.mark`."""
        return (self._store or self._reopened()).mark(name)

    def close(self) -> None:
        """Release what is held; the next read opens the store again."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _reopened(self) -> OnlineStore:
        now_s = time.monotonic()
        if now_s < self._again_at_s:
            raise Unavailable("the online store could not be opened a moment ago")
        self._again_at_s = now_s + _RETRY_S
        self._store = self._open_store()
        self._again_at_s = 0.0
        return self._store
