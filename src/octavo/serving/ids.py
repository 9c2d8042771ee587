"""Ids of predictions, many at once: time-ordered UUIDs (version 7, RFC 9562), as bytes until somebody reads them."""

import os
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

ID_BYTES = 16
ID_LETTERS = 36
_RANDOM_BYTES = 10
_TIME_BYTES, _TIME_LETTERS = 6, 14
_POOL = 512
_FEW = 64
_PAIRS = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode("ascii"), np.uint16)
"""The two digits of each byte."""
_GROUPS = ((0, 8), (9, 13), (14, 18), (19, 23), (24, 36))
"""Where digits stand, between dashes."""


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
        text = self.letters.tobytes().decode("ascii")
        return [text[start : start + ID_LETTERS] for start in range(0, len(text), ID_LETTERS)]

    @property
    def letters(self) -> npt.NDArray[np.uint8]:
        """Each in its usual form, shape (n, 36), ASCII."""
        digits = _PAIRS[np.frombuffer(self.data, np.uint8)].view(np.uint8).reshape(-1, 2 * ID_BYTES)
        letters = np.full((len(digits), ID_LETTERS), ord("-"), np.uint8)
        start = 0
        for at, end in _GROUPS:
            letters[:, at:end] = digits[:, start : start + end - at]
            start += end - at
        return letters

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
        self._rest: list[tuple[bytes, str]] = []

    def make(self, at_us: int, n: int) -> Ids:
        """`n` ids of a moment, microseconds since 1970."""
        if n > _FEW:
            return Ids(_many(at_us, n))
        if at_us // 1000 != self._at_ms:
            self._tell(at_us // 1000)
        if len(self._rest) < n:
            self._rest += _halves()
        halves, self._rest = self._rest[-n:], self._rest[:-n]
        time, time_text = self._time, self._time_text
        return Ids(b"".join([time + data for data, _ in halves]), [time_text + text for _, text in halves])

    def _tell(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._time = _moment(at_ms)
        digits = self._time.hex()
        self._time_text = f"{digits[:8]}-{digits[8:]}-"


def _halves() -> list[tuple[bytes, str]]:
    """What follows the time in some ids, as bytes and as text."""
    ids = Ids(_many(0, _POOL))
    starts = range(_TIME_BYTES, len(ids.data), ID_BYTES)
    return [
        (ids.data[start : start + _RANDOM_BYTES], text[_TIME_LETTERS:])
        for start, text in zip(starts, ids.texts, strict=True)
    ]


def _moment(at_ms: int) -> bytes:
    return (at_ms & (1 << 48) - 1).to_bytes(_TIME_BYTES, "big")


def _many(at_us: int, n: int) -> bytes:
    made = np.empty((n, ID_BYTES), np.uint8)
    made[:, :6] = np.frombuffer(_moment(at_us // 1000), np.uint8)
    made[:, 6:] = np.frombuffer(os.urandom(_RANDOM_BYTES * n), np.uint8).reshape(n, _RANDOM_BYTES)
    made[:, 6] = made[:, 6] & 0x0F | 0x70
    made[:, 8] = made[:, 8] & 0x3F | 0x80
    return made.tobytes()
