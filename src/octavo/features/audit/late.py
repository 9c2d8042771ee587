"""Values that were right by what the stream had brought so far: events that count, and came or were applied too late.

An event counts from its `available_at` on. One that is ingested after that, or ingested before and not yet applied, is
missing in the online states for a while, through nobody's fault. Whether that explains a value is found by replay: of
the events of the entity, those that had not been ingested, or only shortly before, are taken back from the newest on
until all that was served of the entity agrees.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from octavo.definitions.features import FeatureView
from octavo.features.audit.recomputed import AT, Mask, Served, recompute
from octavo.features.events.payloads import EVENT_ID, INGESTED_AT, OFFSET, table_of
from octavo.features.events.places import partition_of
from octavo.features.offline.sql import quoted
from octavo.stores.ports import Tables

_MOST_STEPS, _MOST_OF_SEVERAL, _MOST_PARTITIONS = 64, 3, 6
"""How many ways of taking back are tried before all of it is; of several partitions, how far back each goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateEvent:
    """An event that counted at a prediction and was not yet in the online states.

    Attributes
    ----------
    source : str
    id : mapping of column to text
        What identifies it in the source.
    available_at, ingested_at : datetime
    """

    source: str
    id: Mapping[str, str]
    available_at: datetime
    ingested_at: datetime


def right_by_arrival(tables: Tables, view: FeatureView, served: Served, *, judged: Mask) -> Mask:
    """Whose values are right if an event counts from its arrival on instead of from when it was available; by row.

    One query for all rows tells this of most late data. It does not of predictions before which events were sent that
    were not to count yet, nor of events that had come and were not applied yet: see `taken_back`.
    """
    source, by_arrival = copy(view.source), copy(view)
    object.__setattr__(source, "available_at", INGESTED_AT)  # which no source declares
    object.__setattr__(by_arrival, "source", source)
    agrees: Mask = np.logical_and.reduce(recompute(tables, by_arrival, served).agrees[:, judged], axis=1)
    return agrees & _has_only_late(tables, view, served)


def _has_only_late(tables: Tables, view: FeatureView, served: Served) -> Mask:
    """Before which predictions events were available that came after them, and none came that was not available yet."""
    made_at, known, came = (quoted(name) for name in (AT, view.source.available_at, INGESTED_AT))
    own = zip(view.keys, view.entity_keys, strict=True)
    same = " AND ".join(f"e.{quoted(column)} = s.{quoted(key)}" for column, key in own)
    found = tables.query(
        f"SELECT s.place, bool_and(e.{known} < s.{made_at}) AS only_late FROM spine AS s JOIN events AS e ON {same}"
        f" WHERE (e.{known} < s.{made_at}) <> (e.{came} < s.{made_at}) GROUP BY s.place",
        tables={"events": table_of(view.source.name)},
        frames={"spine": served.spine.append_column("place", pa.array(range(len(served)), pa.int64()))},
    )
    has = np.zeros(len(served), np.bool_)
    has[found.column("place").to_numpy()] = found.column("only_late").to_numpy()
    return has


def not_arrived(tables: Tables, view: FeatureView, served: Served) -> tuple[LateEvent, ...]:
    """The events that counted at one prediction and came after it."""
    events = _events_of_entity(tables, view, served)
    return _described(_since(events, served.spine.column(AT)[0].as_py()), view)


def taken_back(
    tables: Tables, view: FeatureView, served: Served, *, judged: Mask, lag: timedelta
) -> tuple[LateEvent, ...]:
    """The events without which one prediction's values of a view are right; none if there are no such events.

    Parameters
    ----------
    served : Served
        One row.
    judged : ndarray, shape (n_features,), bool
        Which values are to be explained.
    lag : timedelta
        How long before the prediction an event may have been ingested and still not be applied.
    """
    events = _events_of_entity(tables, view, served)
    since = served.spine.column(AT)[0].as_py() - lag
    recent = _since(events, since)
    for rows in _steps(recent.column(OFFSET).to_pylist()):
        late = recent.take(pa.array(rows))
        held = events.filter(pc.invert(pc.is_in(events.column(EVENT_ID), value_set=late.column(EVENT_ID))))
        replayed = recompute(_with_events(tables, view, held), view, served)
        if replayed.agrees[0][judged].all():
            return _described(late, view)
    return ()


def _since(events: pa.Table, moment: datetime) -> pa.Table:
    """The events that were ingested at a moment or later."""
    ingested = events.column(INGESTED_AT)
    return events.filter(pc.greater_equal(ingested, pa.scalar(moment, ingested.type)))


def _events_of_entity(tables: Tables, view: FeatureView, served: Served) -> pa.Table:
    """What was known of the entity before the prediction, however long ago it happened."""
    own = dict(zip(view.keys, view.entity_keys, strict=True))
    conditions = [f"{quoted(column)} = ${key}" for column, key in own.items()]
    conditions.append(f"{quoted(view.source.available_at)} < $made_at")
    parameters = {key: served.spine.column(key)[0].as_py() for key in own.values()}
    return tables.query(
        f"SELECT * FROM events WHERE {' AND '.join(conditions)}",
        tables={"events": table_of(view.source.name)},
        parameters={**parameters, "made_at": served.spine.column(AT)[0].as_py()},
    )


def _steps(places: Sequence[int]) -> Iterator[list[int]]:
    """Which rows to take back, given where each stands in the stream: ever more, at last all.

    The events of a payload are applied together, and the payloads of a partition in their order; so what is not applied
    yet are the last few payloads of each partition.
    """
    payloads: dict[int, dict[int, list[int]]] = {}
    for row in sorted(range(len(places)), key=places.__getitem__, reverse=True):
        payloads.setdefault(partition_of(places[row]), {}).setdefault(places[row], []).append(row)
    partitions = [list(of_partition.values()) for of_partition in payloads.values()]
    most = [min(len(partition), _MOST_STEPS if len(partitions) == 1 else _MOST_OF_SEVERAL) for partition in partitions]
    counts = sorted(product(*(range(n + 1) for n in most[:_MOST_PARTITIONS])), key=sum)
    for taken in counts[1 : _MOST_STEPS + 1]:
        chosen = zip(partitions, taken, strict=False)
        yield [row for partition, n in chosen for payload in partition[:n] for row in payload]
    if places:
        yield list(range(len(places)))


class _HeldEvents:
    """Tables in which one source's events are some that are held in memory."""

    def __init__(self, tables: Tables, *, table: str, events: pa.Table) -> None:
        self._tables = tables
        self._table = table
        self._events = events

    def version(self, table: str) -> int:
        return 0 if table == self._table else self._tables.version(table)

    def query(
        self, sql: str, *, tables: Mapping[str, str], frames: Mapping[str, pa.Table] | None = None, **options: Any
    ) -> pa.Table:
        held = {name: self._events for name, table in tables.items() if table == self._table}
        others = {name: table for name, table in tables.items() if table != self._table}
        return self._tables.query(sql, tables=others, frames={**held, **(frames or {})}, **options)


def _with_events(tables: Tables, view: FeatureView, events: pa.Table) -> Tables:
    held = _HeldEvents(tables, table=table_of(view.source.name), events=events)
    return cast("Tables", held)  # values at past moments are computed by queries alone


def _described(events: pa.Table, view: FeatureView) -> tuple[LateEvent, ...]:
    source = view.source
    return tuple(
        LateEvent(
            source=source.name,
            id={column: str(event[column]) for column in source.id},
            available_at=event[source.available_at],
            ingested_at=event[INGESTED_AT],
        )
        for event in events.sort_by(INGESTED_AT).to_pylist()
    )
