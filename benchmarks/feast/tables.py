"""The benchmarks' events as Octavo declares and keeps them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.definitions.sources import Source
from octavo.features.events.payloads import table_of, table_schema
from octavo.features.online.pump import WRITER
from octavo.stores.memory import MemoryTables
from octavo.stores.ports import Tables

TABLE = table_of("events")
APPEND_ROWS = 500_000


def latest_view(columns: Sequence[str], ttl_days: int) -> FeatureView:
    """The latest value of each column."""
    features = [oc.latest(column, ttl=f"{ttl_days}d") for column in columns]
    return FeatureView("of_user", entity=_user(), source=_source(columns), features=features)


def windows_view(columns: Sequence[str]) -> FeatureView:
    """Five values of each column: means over a day and a week, a maximum and a sum over longer, the latest."""
    features = [
        aggregate
        for column in columns
        for aggregate in (
            oc.mean(column, over=["24h", "7d"]),
            oc.max(column, over="7d"),
            oc.sum(column, over="30d"),
            oc.latest(column, ttl="30d"),
        )
    ]
    return FeatureView("windows_of_user", entity=_user(), source=_source(columns), features=features)


def load(tables: Tables, events: pa.Table, source: Source, *, first: int = 0) -> None:
    """Append events, whose columns are the source's, as the pump would have; `first` is how many were before."""
    schema, n = table_schema(source), len(events)
    ids = pa.py_buffer(np.random.default_rng(first + 2).bytes(16 * n))
    whole = (
        events.append_column("_event_id", pa.Array.from_buffers(pa.binary(16), n, [None, ids]))
        .append_column("_ingested_at", events.column("happened"))
        .append_column("_offset", pa.array(np.arange(first, first + n)))
        .select(schema.names)
        .cast(schema)
    )
    tables.ensure(TABLE, schema)
    for start in range(0, n, APPEND_ROWS):
        part = whole.slice(start, APPEND_ROWS)
        tables.append(TABLE, part, writer=WRITER, sequence=first + start + len(part))


def events_table(events: pa.Table, source: Source) -> MemoryTables:
    """Events as a table in memory."""
    tables = MemoryTables()
    load(tables, events, source)
    return tables


def _source(columns: Sequence[str]) -> Source:
    schema = {"user": oc.Int64, "happened": oc.Timestamp} | dict.fromkeys(columns, oc.Float64)
    return oc.Source("events", event_time="happened", schema=schema)


def _user() -> oc.Entity:
    return oc.Entity("user", key="user", dtype=oc.Int64)
