"""What was read from an online store and still stands there, so that it need not be read again."""

from collections.abc import Mapping
from typing import TypeVar

_BESIDE_VALUES = 150
"""What a value takes of memory beside its own bytes and those of its key, about."""

Name = TypeVar("Name", str, bytes)


class Remembered(dict[str | bytes, bytes | None]):
    """Values by keys, None for what is absent; all are given up when no more have room.

    Parameters
    ----------
    most_bytes : int
        How much memory they may take; with 0 nothing is remembered.
    """

    __slots__ = ("_most_bytes", "_room")

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most_bytes = self._room = most_bytes

    def keep(self, values: Mapping[Name, bytes | None]) -> None:
        """Remember some values, in place of what was known under these keys."""
        for key in self.keys() & values.keys():
            self.forget(key)
        size = sum([_size(key, value) for key, value in values.items()])
        if size > self._room:
            self.clear()
        if size <= self._room:
            self.update(values.items())
            self._room -= size

    def forget(self, key: str | bytes) -> None:
        """Forget what is known under a key, if anything is."""
        if key in self:
            self._room += _size(key, self.pop(key))

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._room = self._most_bytes


def _size(key: str | bytes, value: bytes | None) -> int:
    return len(key) + len(value or b"") + _BESIDE_VALUES
