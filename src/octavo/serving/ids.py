"""Ids of predictions, many at once: time-ordered UUIDs (version 7, RFC 9562), as bytes until somebody reads them."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, overload
from uuid import UUID

import numpy as np
import numpy.typing as npt

ID_BYTES = 16
ID_LETTERS = 36
_RANDOM_BYTES = 10
_TIME_BYTES, _TIME_LETTERS = 6, 14
_LAST, _LAST_DIGITS = np.dtype(">u4"), np.dtype("V8")
_HALVES = np.dtype([("time", f"V{_TIME_BYTES}"), ("rest", f"V{_RANDOM_BYTES}")])
_POOL = 512
_FEW = 64
_GROUPS = {"a": ("V8", 0, 0), "b": ("V4", 8, 9), "c": ("V4", 12, 14), "d": ("V4", 16, 19), "e": ("V12", 20, 24)}
"""The groups of digits: how many they are, and where they begin, without and with the dashes between them."""


def _in_groups(begins: int, *, size: int) -> np.dtype[np.void]:
    """Digits as fields, so that a group of all ids is copied at once."""
    formats, offsets = [group[0] for group in _GROUPS.values()], [group[begins] for group in _GROUPS.values()]
    layout: Any = {"names": list(_GROUPS), "formats": formats, "offsets": offsets, "itemsize": size}
    digits: np.dtype[np.void] = np.dtype(layout)
    return digits


_DIGITS, _LETTERS = _in_groups(1, size=2 * ID_BYTES), _in_groups(2, size=ID_LETTERS)


class Ids(Sequence[str]):
    """Some ids, in order.

    Parameters
    ----------
    data : bytes
        16 of each.
    texts : list of str or None
        Each in its usual form, if that is known already.
    """

    __slots__ = ("_data", "_texts")

    def __init__(self, data: bytes, texts: list[str] | None = None) -> None:
        self._data = data
        self._texts = texts

    def __len__(self) -> int:
        return len(self.data) // ID_BYTES

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        return self.texts[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    @property
    def data(self) -> bytes:
        """16 of each."""
        return self._data

    @property
    def kept(self) -> bytes:
        """As they are recorded: what `ids_of` makes them of."""
        return self._data

    @property
    def texts(self) -> list[str]:
        """Each in its usual form."""
        if self._texts is None:
            self._texts = self._written()
        return self._texts

    def part(self, first: int, last: int) -> "Ids":
        """The ids from `first` up to `last`."""
        texts = None if self._texts is None else self._texts[first:last]
        return Ids(self.data[first * ID_BYTES : last * ID_BYTES], texts)

    def _written(self) -> list[str]:
        return self.between(b"", b" ").tobytes().decode("ascii").split()

    @property
    def letters(self) -> npt.NDArray[np.uint8]:
        """Each in its usual form, shape (n, 36), ASCII."""
        digits = np.frombuffer(self.data.hex().encode("ascii"), _DIGITS)
        letters = np.full((len(digits), ID_LETTERS), ord("-"), np.uint8)
        groups = letters.view(_LETTERS)[:, 0]
        for name in _GROUPS:
            groups[name] = digits[name]
        return letters

    def between(self, before: bytes, after: bytes) -> npt.NDArray[np.void]:
        """Each in its usual form with the same bytes before and after it, shape (n,)."""
        first, last = len(before), len(before) + ID_LETTERS
        lines = np.empty((len(self), last + len(after)), np.uint8)
        lines[:, :first] = np.frombuffer(before, np.uint8)
        lines[:, first:last] = self.letters
        lines[:, last:] = np.frombuffer(after, np.uint8)
        return lines.view(f"V{lines.shape[1]}")[:, 0]

    def chosen(self, rows: slice | npt.NDArray[np.intp]) -> bytes:
        """The bytes of some of them."""
        return np.frombuffer(self.data, f"V{ID_BYTES}")[rows].tobytes()


class Run(Ids):
    """Ids that follow each other: each is, in its last 32 bits, one more than the one before.

    Parameters
    ----------
    first : bytes
        The first one.
    n : int
        How many they are.
    """

    __slots__ = ("_n",)

    def __init__(self, first: bytes, n: int) -> None:
        super().__init__(first)
        self._n = n

    def __len__(self) -> int:
        return self._n

    @property
    def data(self) -> bytes:
        """See `Ids.data`."""
        data = bytearray(self._data * self._n)
        np.ndarray(self._n, _LAST, data, ID_BYTES - _LAST.itemsize, ID_BYTES)[:] = self._lasts
        return bytes(data)

    def part(self, first: int, last: int) -> "Run":
        """See `Ids.part`."""
        start = first * ID_BYTES
        return Run(self.data[start : start + ID_BYTES], min(last, self._n) - first)

    @property
    def letters(self) -> npt.NDArray[np.uint8]:
        """See `Ids.letters`."""
        return self.between(b"", b"").view(np.uint8).reshape(self._n, ID_LETTERS)

    def between(self, before: bytes, after: bytes) -> npt.NDArray[np.void]:
        """See `Ids.between`."""
        line = before + str(UUID(bytes=self._data)).encode("ascii") + after
        lines, last = bytearray(line * self._n), len(before) + ID_LETTERS
        digits = np.frombuffer(self._lasts.tobytes().hex().encode("ascii"), _LAST_DIGITS)
        np.ndarray(self._n, _LAST_DIGITS, lines, last - _LAST_DIGITS.itemsize, len(line))[:] = digits
        return np.frombuffer(lines, f"V{len(line)}")

    @property
    def _lasts(self) -> npt.NDArray[np.uint32]:
        """What differs; after the largest number comes 0."""
        first = np.frombuffer(self._data, _LAST)[-1:]
        return (first + np.arange(self._n, dtype=np.uint32)).astype(_LAST)


def ids_of(kept: bytes, n: int) -> Ids:
    """`n` ids as they were recorded: 16 bytes of each, or those of the first if they are a `Run`."""
    return Run(kept, n) if len(kept) == ID_BYTES else Ids(kept)


class IdMaker:
    """Makes ids of moments, all else in them random. Not to be shared between threads or forked processes.

    What is random in single ids is made for many of them at once, and what tells the time once in a millisecond: an id
    is then put together of two halves. Those of many rows follow the first of them.
    """

    def __init__(self) -> None:
        self._at_ms = -1
        self._time, self._time_text = b"", ""
        self._rest: list[bytes] = []
        self._rest_texts: list[str] = []

    def make(self, at_us: int, n: int) -> Ids:
        """`n` ids of a moment, microseconds since 1970."""
        if at_us // 1000 != self._at_ms:
            self._tell(at_us // 1000)
        if n > _FEW:
            return Run(self.make(at_us, 1).data, n)
        if len(self._rest) < n:
            self._add_halves()
        time, time_text = self._time, self._time_text
        ids = Ids(time + time.join(self._rest[-n:]), [time_text + text for text in self._rest_texts[-n:]])
        del self._rest[-n:], self._rest_texts[-n:]
        return ids

    def _tell(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._time = (at_ms & (1 << 48) - 1).to_bytes(_TIME_BYTES, "big")
        digits = self._time.hex()
        self._time_text = f"{digits[:8]}-{digits[8:]}-"

    def _add_halves(self) -> None:
        """Make what follows the time in some ids, as bytes and as text."""
        ids = Ids(_of_no_moment(_POOL))
        self._rest += np.frombuffer(ids.data, _HALVES)["rest"].tolist()
        self._rest_texts += [text[_TIME_LETTERS:] for text in ids.texts]


def _of_no_moment(n: int) -> bytes:
    made = np.zeros((n, ID_BYTES), np.uint8)
    made[:, _TIME_BYTES:] = np.frombuffer(os.urandom(_RANDOM_BYTES * n), np.uint8).reshape(n, _RANDOM_BYTES)
    made[:, 6] = made[:, 6] & 0x0F | 0x70
    made[:, 8] = made[:, 8] & 0x3F | 0x80
    return made.tobytes()
