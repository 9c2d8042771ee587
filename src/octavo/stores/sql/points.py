"""The histories of metrics in a SQL database.

The primary key is `MetricPoint.place` within a run's metric, so that the latest point is the last of an index. NaN,
which databases know differently or not at all, is a value that is marked as no number.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from octavo.stores.metrics import MetricPoint
from octavo.stores.sql.schema import metric_points

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACE = tuple(metric_points.c[name] for name in ("step", "at", "number", "value"))
_ALL: sa.Select[Any] = sa.select(metric_points.c.run, metric_points.c.name, *_PLACE)


def append(connection: sa.Connection, points: Sequence[MetricPoint]) -> None:
    """Add those that are not there."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    if points:
        connection.execute(insert(metric_points).on_conflict_do_nothing(), [_row(point) for point in points])


def history(connection: sa.Connection, run: str, name: str | None, *, limit: int | None) -> list[MetricPoint]:
    """Of one metric or of all, in order."""
    query = _ALL.where(metric_points.c.run == run)
    if name is not None:
        query = query.where(metric_points.c.name == name)
    query = query.order_by(_binary(connection, metric_points.c.name), *_PLACE).limit(limit)
    return list(_points(connection.execute(query)))


def newest(connection: sa.Connection, run: str, names: Sequence[str]) -> list[MetricPoint]:
    """The last in order of each metric; of each the end of its index is read, however long its history is."""
    latest_first = (column.desc() for column in _PLACE)
    query = _ALL.where(metric_points.c.run == run, metric_points.c.name == sa.bindparam("metric"))
    query = query.order_by(*latest_first).limit(1)
    return [point for name in names for point in _points(connection.execute(query, {"metric": name}))]


def _binary(connection: sa.Connection, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.collate(column, "C") if connection.dialect.name == "postgresql" else column


def _row(point: MetricPoint) -> dict[str, object]:
    number = not math.isnan(point.value)
    return {
        "run": point.run,
        "name": point.name,
        "step": point.step,
        "at": (point.at - _EPOCH) // _MICROSECOND,
        "number": number,
        "value": float(point.value) if number else 0.0,
    }


def _points(rows: sa.CursorResult[Any]) -> Iterator[MetricPoint]:
    for row in rows:
        run, name, step, at, number, value = tuple(row)
        moment = _EPOCH + timedelta(microseconds=at)
        yield MetricPoint(run=run, name=name, step=step, at=moment, value=value if number else math.nan)
