"""The training set by Octavo, and by one ASOF join written by hand over the same Delta table."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from peers import Answer, serve

import octavo as oc
from octavo.features.historical import historical_features
from octavo.features.payloads import table_of, table_schema
from octavo.stores.delta import DeltaTables

APPEND_ROWS = 500_000
TABLE = table_of("events")


class Octavo:
    """A feature view over a Delta table.

    Parameters
    ----------
    folder : str
        Holds ``events.parquet`` and ``spine.parquet``; the table is made there.
    """

    def __init__(self, *, folder: str, columns: list[str], ttl_days: int) -> None:
        source = oc.Source(
            "events",
            event_time="happened",
            schema={"user": oc.Int64, "happened": oc.Timestamp} | dict.fromkeys(columns, oc.Float64),
        )
        self.view = oc.FeatureView(
            "of_user",
            entity=oc.Entity("user", key="user", dtype=oc.Int64),
            source=source,
            features=[oc.latest(column, ttl=f"{ttl_days}d") for column in columns],
        )
        self.columns, self.ttl_days = columns, ttl_days
        self.spine = pq.read_table(Path(folder) / "spine.parquet")
        self.tables = DeltaTables(Path(folder) / "tables")
        self.tables.ensure(TABLE, table_schema(source))
        self._load(pq.read_table(Path(folder) / "events.parquet"), table_schema(source))
        self.answer: Any = None

    def _load(self, events: pa.Table, schema: pa.Schema) -> None:
        n = len(events)
        ids = np.random.default_rng(2).bytes(16 * n)
        events = (
            events.append_column("_event_id", pa.Array.from_buffers(pa.binary(16), n, [None, pa.py_buffer(ids)]))
            .append_column("_ingested_at", events.column("happened"))
            .append_column("_offset", pa.array(np.arange(n) // 1000))
            .select(schema.names)
            .cast(schema)
        )
        for start in range(0, n, APPEND_ROWS):
            part = events.slice(start, APPEND_ROWS)
            self.tables.append(TABLE, part, writer="benchmark", sequence=start + len(part))


opened: list[Octavo] = []


def prepare(**settings: Any) -> None:
    opened.append(Octavo(**settings))


def training_set() -> Answer:
    [octavo] = opened
    octavo.answer = historical_features(octavo.tables, [octavo.view], spine=octavo.spine, at="moment")
    return {"rows": len(octavo.answer)}


def by_hand() -> Answer:
    [octavo] = opened
    fresh = f"s.moment - e.happened < INTERVAL {octavo.ttl_days} DAY"
    values = ", ".join(f"CASE WHEN {fresh} THEN e.{column} END AS {column}" for column in octavo.columns)
    rows = octavo.tables.query(
        f"SELECT s.user, s.moment, {values} FROM spine AS s"
        ' ASOF LEFT JOIN events AS e ON e."user" = s."user" AND e.happened < s.moment',
        tables={"events": TABLE},
        frames={"spine": octavo.spine},
    )
    return {"rows": len(rows)}


def keep(*, path: str) -> None:
    answer = opened[0].answer
    pq.write_table(
        answer.rename_columns([n.removeprefix("of_user__").removesuffix("_latest") for n in answer.column_names]), path
    )


serve({"prepare": prepare, "training_set": training_set, "by_hand": by_hand, "keep": keep})
