"""What a replay has done, moment by moment, in a file that outlives whatever ends the replay."""

import os
from collections import deque
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from octavo.clock import from_micros


class Entry(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A moment that is over.

    Attributes
    ----------
    at_us : int
        Microseconds since 1970.
    events : int
        Sent before it.
    scored : dict of flight to prediction ids
        One id per deployment.
    requests : int
        For predictions, answered or not.
    latencies_ms : list of float
        Of those that were answered.
    failed : int
        Requests, of any kind, that were refused or not answered.
    landed : list of flight
        Those among the events whose outcomes were sent, if they were predicted.
    """

    at_us: int
    events: int = 0
    requests: int = 0
    scored: dict[str, list[str]] = {}
    latencies_ms: list[float] = []
    failed: int = 0
    landed: list[str] = []


class Journal:
    """The file, and what it comes to.

    Parameters
    ----------
    path : Path
        Made if absent. A line that was cut off is as if it had not been.

    Attributes
    ----------
    in_the_air : dict of flight to prediction ids
        Predicted, and not known to have landed.
    newest_predictions, newest_outcomes : list of prediction ids
        Of the last moment that had any.
    """

    def __init__(self, path: Path) -> None:
        self.events = self.failed = self.requests = self.predictions = self.outcomes = 0
        self.newest: Entry | None = None
        self.in_the_air: dict[str, list[str]] = {}
        self.newest_predictions: list[str] = []
        self.newest_outcomes: list[str] = []
        self._recent: deque[float] = deque(maxlen=2_000)
        self._latencies_ms: list[float] = []
        for entry in _read(path):
            self._count(entry)
        self._file = path.open("ab", buffering=0)

    @property
    def at(self) -> datetime | None:
        """The last moment that is over; None at the beginning."""
        return from_micros(self.newest.at_us) if self.newest else None

    def add(self, entry: Entry) -> None:
        """Note a moment; when it returns it survives the death of this process."""
        self._file.write(msgspec.json.encode(entry) + b"\n")
        self._count(entry)

    def percentile_ms(self, q: float, *, recent: bool = False) -> float:
        """Latency of the requests for predictions, of all or of the last two thousand; 0 if there is none."""
        latencies = self._recent if recent else self._latencies_ms
        return float(np.percentile(latencies, q)) if latencies else 0.0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _count(self, entry: Entry) -> None:
        self.newest = entry
        self.events += entry.events
        self.failed += entry.failed
        self.requests += entry.requests
        self._latencies_ms += entry.latencies_ms
        self._recent.extend(entry.latencies_ms)
        known = [made for flight in entry.landed for made in self.in_the_air.pop(flight, ())]
        new = [made for predictions in entry.scored.values() for made in predictions]
        self.outcomes += len(known)
        self.predictions += len(new)
        self.newest_outcomes, self.newest_predictions = known or self.newest_outcomes, new or self.newest_predictions
        self.in_the_air.update(entry.scored)


def _read(path: Path) -> list[Entry]:
    """The entries of a file; what follows the last whole line is cut off."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    return [msgspec.json.decode(line, type=Entry) for line in whole.splitlines()]
