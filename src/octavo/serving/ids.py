"""Ids of predictions, many at once: time-ordered UUIDs (version 7, RFC 9562), as bytes until somebody reads them."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

ID_BYTES = 16
ID_LETTERS = 36
_RANDOM_BYTES = 10
_TIME_BYTES, _TIME_LETTERS = 6, 14
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

    __slots__ = ("_texts", "data")

    def __init__(self, data: bytes, texts: list[str] | None = None) -> None:
        self.data = data
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


class IdMaker:
    """Makes ids of moments, all else in them random. Not to be shared between threads or forked processes.

    What is random in single ids is made for many of them at once, and what tells the time once in a millisecond: an id
    is then put together of two halves.
    """

    def __init__(self) -> None:
        self._at_ms = -1
        self._time, self._time_text = b"", ""
        self._rest: list[bytes] = []
        self._rest_texts: list[str] = []

    def make(self, at_us: int, n: int) -> Ids:
        """`n` ids of a moment, microseconds since 1970."""
        if n > _FEW:
            return Ids(_many(at_us, n))
        if at_us // 1000 != self._at_ms:
            self._tell(at_us // 1000)
        if len(self._rest) < n:
            self._add_halves()
        time, time_text = self._time, self._time_text
        ids = Ids(time + time.join(self._rest[-n:]), [time_text + text for text in self._rest_texts[-n:]])
        del self._rest[-n:], self._rest_texts[-n:]
        return ids

    def _tell(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._time = _moment(at_ms)
        digits = self._time.hex()
        self._time_text = f"{digits[:8]}-{digits[8:]}-"

    def _add_halves(self) -> None:
        """Make what follows the time in some ids, as bytes and as text."""
        ids = Ids(_many(0, _POOL))
        self._rest += np.frombuffer(ids.data, _HALVES)["rest"].tolist()
        self._rest_texts += [text[_TIME_LETTERS:] for text in ids.texts]


def _moment(at_ms: int) -> bytes:
    return (at_ms & (1 << 48) - 1).to_bytes(_TIME_BYTES, "big")


def _many(at_us: int, n: int) -> bytes:
    made = np.empty((n, ID_BYTES), np.uint8)
    made[:, :6] = np.frombuffer(_moment(at_us // 1000), np.uint8)
    made[:, 6:] = np.frombuffer(os.urandom(_RANDOM_BYTES * n), np.uint8).reshape(n, _RANDOM_BYTES)
    made[:, 6] = made[:, 6] & 0x0F | 0x70
    made[:, 8] = made[:, 8] & 0x3F | 0x80
    return made.tobytes()
