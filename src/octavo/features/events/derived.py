"""Making the events of a source by the user's own SQL.

What is selected is compared with what was selected before, and only what is new or has changed becomes an event, known
from now on. Where the SQL itself says since when its rows could be known, some moments of the past are computed again
from what was known then, and no row may have come later than it says.
"""

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from octavo.clock import Clock
from octavo.definitions.derived import COMPUTED_AT, SQLSource
from octavo.definitions.project import Project
from octavo.definitions.sources import Source
from octavo.definitions.types import DType, Field
from octavo.errors import InvalidRequest
from octavo.features.events.decode import decode_table
from octavo.features.events.ingest import publish_events
from octavo.features.events.payloads import TIME, column_schema, table_of
from octavo.features.offline.sql import quoted
from octavo.stores.ports import Stores, Tables

PROVEN_MOMENTS = 4
"""How many moments of the past are computed again."""

_SQL_TYPES = {
    DType.FLOAT64: "DOUBLE",
    DType.INT64: "BIGINT",
    DType.BOOL: "BOOLEAN",
    DType.STRING: "VARCHAR",
    DType.TIMESTAMP: "TIMESTAMPTZ",
}
_SUMS_DIFFER_BY = 1e-9
"""Relative: the same numbers added up in another order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a refresh found.

    Attributes
    ----------
    rows : int
        Rows that the SQL selected.
    events : int
        Those that were new or had changed.
    """

    source: str
    at: datetime
    rows: int
    events: int


def sendable(project: Project, name: str) -> Source:
    """A source that takes events from outside.

    Raises
    ------
    NotFound
        If there is none of that name.
    InvalidRequest
        If its events are made by SQL.
    """
    source = project.source(name)
    if isinstance(source, SQLSource):
        inputs = ", ".join(each.name for each in source.inputs)
        raise InvalidRequest(
            f"the events of source {name!r} are made by its SQL, and are not sent",
            field="source",
            fix=f"send events of {inputs}, and refresh it: octavo sources refresh {name}",
        )
    return source


def refresh(source: SQLSource, *, stores: Stores, clock: Clock) -> Refreshed:
    """Select what there is now, and publish what is new; when it returns that is durable.

    Idempotent once its events are in their table. One process at a time may refresh a source.

    Raises
    ------
    InvalidRequest
        If the SQL cannot be run or yields a row that no event can be made of, or one that was not known when it says.
    """
    now = clock.now()
    rows = select_rows(source, stores.tables, now=now)
    if source.is_computed:
        _refuse_twins(rows, source, stores.tables)
    else:
        for moment in _moments(rows, source):
            _prove(rows, source, stores.tables, moment=moment)
    fresh = _fresh(rows, source, stores.tables)
    if source.is_computed:
        computed = pa.repeat(pa.scalar(now, TIME), fresh.num_rows)
        fresh = fresh.append_column(COMPUTED_AT, computed)
    if fresh.num_rows:
        publish_events(_events(fresh, source, now_us=clock.now_us()), source, stream=stores.stream)
    return Refreshed(source=source.name, at=now, rows=rows.num_rows, events=fresh.num_rows)


def select_rows(source: SQLSource, tables: Tables, *, now: datetime) -> pa.Table:
    """What the SQL of a source selects from what was known at a moment, in the source's types."""
    stored = {_stored(each): table_of(each.name) for each in source.inputs if tables.version(table_of(each.name)) >= 0}
    absent = {_stored(each): column_schema(each).empty_table() for each in source.inputs if _stored(each) not in stored}
    return tables.query(
        f"WITH {', '.join(map(_known_input, source.inputs))}, selected AS (\n{source.sql}\n)"
        f" SELECT {', '.join(_cast(name, source) for name in source.selected)} FROM selected",
        tables=stored,
        frames=absent,
        parameters={"now": now},
    )


def _stored(source: Source) -> str:
    return f"_stored_{source.name}"


def _known_input(source: Source) -> str:
    columns = ", ".join(map(quoted, source.columns))
    return (
        f"{quoted(source.name)} AS (SELECT {columns} FROM {quoted(_stored(source))}"
        f" WHERE {quoted(source.available_at)} <= $now)"
    )


def _cast(column: str, source: Source) -> str:
    [field] = [field for field in source.schema if field.name == column]
    return f"CAST({quoted(column)} AS {_sql_type(field)}) AS {quoted(column)}"


def _sql_type(field: Field) -> str:
    if field.dtype is DType.VECTOR:
        return f"DOUBLE[{field.length}]"
    return f"{_SQL_TYPES[field.item]}[]" if field.item else _SQL_TYPES[field.dtype]


def _refuse_twins(rows: pa.Table, source: SQLSource, tables: Tables) -> None:
    """Refuse rows of which two have the same id."""
    names = ", ".join(map(quoted, source.row_id))
    twins = tables.query(
        f"SELECT {names} FROM rows GROUP BY {names} HAVING count(*) > 1", tables={}, frames={"rows": rows}
    )
    if twins.num_rows:
        raise InvalidRequest(
            f"the SQL of source {source.name!r} selects several rows with the same {', '.join(source.row_id)}",
            field="id",
            fix="group by these columns, or name all that identify a row in id=[...]",
        )


def _fresh(rows: pa.Table, source: SQLSource, tables: Tables) -> pa.Table:
    """The rows that are not as they were selected before."""
    table = table_of(source.name)
    if tables.version(table) < 0:
        return rows
    known = "SELECT * FROM stored"
    if source.is_computed:
        names = ", ".join(map(quoted, source.row_id))
        known += f" QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY {COMPUTED_AT} DESC) = 1"
    same = _same(source, "rows", "known")
    return tables.query(
        f"SELECT * FROM rows WHERE NOT EXISTS (SELECT 1 FROM ({known}) AS known WHERE {same})",
        tables={"stored": table},
        frames={"rows": rows},
    )


def _same(source: SQLSource, one: str, other: str) -> str:
    """The condition that two rows are the same, but for the order in which numbers were added up."""
    return " AND ".join(_equal(f"{one}.{quoted(n)}", f"{other}.{quoted(n)}", source.dtype(n)) for n in source.selected)


def _equal(a: str, b: str, dtype: DType) -> str:
    same = f"{a} IS NOT DISTINCT FROM {b}"
    if dtype is not DType.FLOAT64:
        return same
    return f"({same} OR abs({a} - {b}) <= {_SUMS_DIFFER_BY} * greatest(abs({a}), abs({b})))"


def _moments(rows: pa.Table, source: SQLSource) -> list[datetime]:
    """Moments spread over those since when rows say they were known, and the last two of these."""
    moments = sorted(set(rows.column(source.available_at).drop_null().to_pylist()))
    last = len(moments) - 1
    spread = {last * part // PROVEN_MOMENTS for part in range(1, PROVEN_MOMENTS + 1)}
    return [moments[place] for place in sorted(spread | {last - 1}) if place >= 0]


def _prove(rows: pa.Table, source: SQLSource, tables: Tables, *, moment: datetime) -> None:
    """Refuse rows that say they were known at a moment, and do not follow from what was known then."""
    then = select_rows(source, tables, now=moment)
    wrong = tables.query(
        f"SELECT * FROM rows WHERE {quoted(source.available_at)} <= $moment"
        f" AND NOT EXISTS (SELECT 1 FROM past WHERE {_same(source, 'rows', 'past')}) LIMIT 1",
        tables={},
        frames={"rows": rows, "past": then},
        parameters={"moment": moment},
    )
    if wrong.num_rows:
        raise InvalidRequest(
            f"the SQL of source {source.name!r} selects a row that says it was known by {moment.isoformat()}, but that "
            "does not follow from what was known then",
            field=source.available_at,
            fix="select as available_at the latest available_at of all rows that went into a row, or leave it out",
        )


def _events(rows: pa.Table, source: SQLSource, *, now_us: int) -> pa.RecordBatch:
    try:
        return decode_table(rows, source, now_us=now_us)
    except InvalidRequest as error:
        raise InvalidRequest(
            f"the SQL of source {source.name!r} selects what cannot be an event: {error.message}",
            field=error.field,
            fix=error.fix,
        ) from error
