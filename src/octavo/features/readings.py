"""What a state says about its entity, kept for as long as it goes on saying the same.

The values of a state change when something is added to it, and otherwise only at moments that are known ahead: when a
window's far edge passes a tile, when an event of the tail begins to count, when a latest value becomes stale. Until one
of these a request about the same entity costs a comparison of bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LONG_AGO, FOREVER = -(2**63), 2**63
_SECOND_US = 1e6
_KEPT_BYTES = 16_000_000
_OVERHEAD_BYTES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """The features of one entity in one view, the same at all moments from `since_us` on and before `until_us`.

    Attributes
    ----------
    data : bytes or None
        The state that says so; None where there is none.
    values : ndarray, shape (n_features,), float32
        NaN where a value is missing or stale.
    status : ndarray, shape (n_features,), uint8
        `FeatureStatus`.
    newest_us : ndarray, shape (n_features,), float64
        When the newest event happened that the value rests on, microseconds since 1970; NaN where it rests on none.
    """

    data: bytes | None
    since_us: int
    until_us: int
    values: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]
    newest_us: npt.NDArray[np.float64]


class KeptReadings:
    """The readings of one view's states, by the store's key.

    Parameters
    ----------
    read : callable
        Reads a state at a moment.
    """

    def __init__(self, read: Callable[[bytes | None, int], Reading]) -> None:
        self._read = read
        self._kept: dict[bytes, Reading] = {}
        self._bytes = 0

    def of(self, key: bytes, data: bytes | None, at_us: int) -> Reading:
        """The reading of the state that stands under a key now, at a moment."""
        kept = self._kept.get(key)
        if kept is not None and kept.since_us <= at_us < kept.until_us and kept.data == data:
            return kept
        reading = self._read(data, at_us)
        if data is not None:
            self._keep(key, reading, instead_of=kept)
        return reading

    def _keep(self, key: bytes, reading: Reading, *, instead_of: Reading | None) -> None:
        self._bytes += _size(reading) - (_size(instead_of) if instead_of is not None else 0)
        self._kept[key] = reading
        if self._bytes > _KEPT_BYTES:
            self._kept.clear()
            self._bytes = 0


def ages_s(newest_us: npt.NDArray[np.float64], *, at_us: int) -> npt.NDArray[np.float32]:
    """Ages in seconds at a moment; NaN for what has none."""
    return float32((at_us - newest_us) / _SECOND_US)


def float32(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Values as a model takes them: one beyond the range of float32 is infinite."""
    with np.errstate(over="ignore"):
        return np.array(values, np.float32)


def _size(reading: Reading) -> int:
    return _OVERHEAD_BYTES + len(reading.data or b"")
