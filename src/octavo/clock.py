"""What time it is, for everything that asks.

Nothing in Octavo calls `datetime.now`: whoever needs the time is given a `Clock`. There are three:

- `SystemClock`, the machine's. With it no client can set the time.
- `ReplayClock`, for demos and backtests: the time of the events that the platform is fed. It lives in a small file
  shared by all processes of a project. One driver moves it forward; the worker bounds how far it may go (the
  *horizon*), so that whatever is due at a moment is done before the platform is told that the moment has passed.
- `ManualClock`, for tests within one process.
"""

import mmap
import os
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
FAR_FUTURE_US = 2**62


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime; exact.

    Raises
    ------
    ValueError
        If `moment` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone has no place on the time line")
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


class Clock(Protocol):
    """Tells the time, in UTC."""

    @property
    def is_replay(self) -> bool:
        """Whether time is that of replayed events."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""

    def now_us(self) -> int:
        """The present moment in microseconds since 1970."""


class SystemClock:
    """The machine's clock."""

    is_replay = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_us(self) -> int:
        return time.time_ns() // 1000


class ManualClock:
    """A clock that its owner sets, for tests in one process."""

    is_replay = True

    def __init__(self, start: datetime) -> None:
        self._now_us = to_micros(start)

    def now(self) -> datetime:
        return from_micros(self._now_us)

    def now_us(self) -> int:
        return self._now_us

    def advance(self, to: datetime) -> None:
        """Move to a moment; never backwards."""
        self._now_us = max(self._now_us, to_micros(to))


class ReplayClock:
    """The time of replayed events, shared by the processes of one project through a file.

    The file holds two int64: *now* and the *horizon*, in microseconds since 1970. The driver of the replay alone writes
    *now*; the worker alone writes the horizon. Both are aligned eight-byte stores, which no reader sees by halves.

    Parameters
    ----------
    path : Path
        The clock's file; made if absent, standing at `start`.
    start : datetime or None
        Where a new clock stands; 1970 if not given. An existing file keeps its time.
    """

    is_replay = True
    _LAYOUT = struct.Struct("=qq")

    def __init__(self, path: Path, *, start: datetime | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path, self._LAYOUT.pack(*2 * [to_micros(start) if start else 0]))
        with path.open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), self._LAYOUT.size)).cast("q")

    def now(self) -> datetime:
        return from_micros(self.now_us())

    def now_us(self) -> int:
        return self._words[0]

    def horizon_us(self) -> int:
        """How far the clock may go before the worker has done what is due."""
        return self._words[1]

    def set_horizon_us(self, micros: int) -> None:
        """Worker only: allow the clock to go up to `micros`."""
        self._words[1] = micros

    def advance(self, to: datetime, *, timeout_s: float = 60.0) -> bool:
        """Driver only: move to a moment, stopping at each horizon until the worker has moved it on.

        Returns
        -------
        bool
            False if the worker did not let the clock pass within `timeout_s` (seconds without any progress).
        """
        target = to_micros(to)
        waited_since = time.monotonic()
        while self.now_us() < target:
            step = min(target, self.horizon_us())
            if step > self.now_us():
                self._words[0] = step
                waited_since = time.monotonic()
            elif time.monotonic() - waited_since > timeout_s:
                return False
            else:
                time.sleep(0.0005)
        return True


def _make(path: Path, content: bytes) -> None:
    """Make a file, whole; of several processes that do so at once one succeeds, and all find the same file."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    scratch.write_bytes(content)
    try:
        path.hardlink_to(scratch)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
