"""Bytes that are alike but for the values in them: what stands around the values, and where these are."""

from collections.abc import Callable
from struct import Struct, error
from typing import Any, NamedTuple

_LONGEST = 0x7F
"""What one byte of a length can say."""


class _Run(NamedTuple):
    """Bytes up to and with a value of any length, or up to the end.

    Attributes
    ----------
    form : Struct
        What stands around values, and values of known length, by turns. The last values are lengths of what follows.
    sizes : tuple of int
        By how much each of these lengths is more than that of the value itself.
    read : callable or None
        The value that bytes are, None if they are none; there is no callable for a run up to the end.
    """

    form: Struct
    around: tuple[bytes, ...]
    sizes: tuple[int, ...]
    read: Callable[[bytes], Any] | None


class Layout:
    """Where values stand in bytes."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._codes: list[str] = []
        self._around = [b""]

    def add(self, data: bytes) -> None:
        """Next are these very bytes."""
        self._around[-1] += data

    def add_value(self, code: str) -> None:
        """Next is a value of known length, by its code of `struct`."""
        self._codes.append(code)
        self._around.append(b"")

    def add_text(self, read: Callable[[bytes], Any], *, sizes: tuple[int, ...]) -> None:
        """Next is a value of any length, which the values before it tell, the last of them without more."""
        self._end(read, sizes)

    def end(self) -> None:
        """Nothing is next."""
        self._end(None, ())

    def values(self, data: bytes) -> list[Any] | None:
        """The values in some bytes; None if these are not laid out so."""
        found: list[Any] = []
        at = 0
        try:
            for form, around, sizes, read in self._runs:
                got = form.unpack_from(data, at)
                if got[::2] != around:
                    return None
                found += got[1::2]
                at += form.size
                if read is None:
                    break
                size = found[-1]
                if not _agree(found, sizes):
                    return None
                del found[-len(sizes) :]
                value = read(data[at : at + size])
                if value is None:
                    return None
                found.append(value)
                at += size
        except error:  # they end too early
            return None
        return found if at == len(data) else None

    def _end(self, read: Callable[[bytes], Any] | None, sizes: tuple[int, ...]) -> None:
        codes = "".join(f"{len(data)}s{code}" for data, code in zip(self._around, [*self._codes, ""], strict=True))
        self._runs.append(_Run(Struct(f"<{codes}"), tuple(self._around), sizes, read))
        self._codes, self._around = [], [b""]


def _agree(found: list[Any], sizes: tuple[int, ...]) -> bool:
    """Whether the last of some values are lengths of one thing, each said in one byte."""
    size, first = found[-1], len(found) - len(sizes)
    if found[first] > _LONGEST:
        return False
    return all(found[first + place] == size + more for place, more in enumerate(sizes))


def read_text(data: bytes) -> str | None:
    """Text; None if it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
