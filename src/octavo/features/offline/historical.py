"""Feature values as they were known at past moments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from octavo.definitions.features import FeatureView
from octavo.definitions.models import input_name
from octavo.definitions.types import DType
from octavo.errors import InvalidRequest, OutOfMemory
from octavo.features.events.payloads import ARROW_TYPES, TIME, table_of
from octavo.features.offline.queries import reach_s, view_query
from octavo.stores.ports import Tables

PART_ROWS = 125_000
"""How many rows are asked for at once, next to each other by their key.

The memory that a query needs grows with the events of its entities, and what does not fit into it goes to disk, which
costs more than to read the table again. Where memory does not suffice even so, it is halved.
"""
_NEWEST_TIMES = 4
"""How many times as many of a view without windows, whose queries keep next to nothing."""
_FEWEST_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewValue:
    """One value of a view.

    Attributes
    ----------
    column : str
        What it is called in the query's answer; `name` is what it is called beside the values of other views.
    unknown : float or None
        What it is where nothing is known.
    default : float or None
        What stands in where it is not known, that is null.
    """

    column: str
    name: str
    unknown: float | None
    default: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewQuery:
    """How a feature view is computed at past moments, as plain data: kept with a dataset, it computes the same again.

    Attributes
    ----------
    entities, keys, dtypes
        Of each entity: its name, the spine's column with its key, and that column's type.
    table : str
        The events.
    sql : str
        See `octavo.features.offline.queries.view_query`.
    reach_s : int
        How far before a moment an event can have happened and still count, in seconds.
    has_windows : bool
        Whether it computes more than values of newest events.
    """

    view: str
    entities: tuple[str, ...]
    keys: tuple[str, ...]
    dtypes: tuple[DType, ...]
    table: str
    sql: str
    reach_s: int
    values: tuple[ViewValue, ...]
    has_windows: bool = True


def query_of(view: FeatureView) -> ViewQuery:
    """How a view is computed."""
    return ViewQuery(
        view=view.name,
        entities=tuple(entity.name for entity in view.entities),
        keys=view.entity_keys,
        dtypes=tuple(entity.dtype for entity in view.entities),
        table=table_of(view.source.name),
        sql=view_query(view),
        reach_s=reach_s(view),
        values=tuple(
            ViewValue(
                column=f.name,
                name=input_name(view.name, f.name),
                unknown=0.0 if f.operation.counts else None,
                default=f.default,
            )
            for f in view.features
        ),
        has_windows=any(not f.operation.is_of_newest for f in view.features),
    )


def historical_features(tables: Tables, views: Sequence[FeatureView], *, spine: pa.Table, at: str) -> pa.Table:
    """Append the values that features had at given moments, using only what was known before each.

    Parameters
    ----------
    views : sequence of FeatureView
        A view whose source has no table yet has no events.
    spine : pa.Table
        One row per value wanted: each entity's key under its own name and the moment. A null key has no events.
    at : str
        The column of `spine` with the moment: a timestamp with a time zone, without nulls.

    Returns
    -------
    pa.Table
        `spine`, its rows in their order, with a float64 column ``view__feature`` for each feature of each view. Where
        the value is missing or stale it is the declared default, or else null; a count of nothing is 0.

    Raises
    ------
    InvalidRequest
        If `spine` lacks a column, has it in a type that does not fit, or has one named like a feature.
    """
    return append_values(tables, [query_of(view) for view in views], spine=spine, at=at)


def append_values(
    tables: Tables,
    queries: Sequence[ViewQuery],
    *,
    spine: pa.Table,
    at: str,
    versions: Mapping[str, int] | None = None,
) -> pa.Table:
    """`historical_features` by queries."""
    return with_defaults(known_values(tables, queries, spine=spine, at=at, versions=versions), queries)


def with_defaults(rows: pa.Table, queries: Sequence[ViewQuery]) -> pa.Table:
    """The rows of `known_values` with declared defaults in the place of what is not known."""
    for value in (value for query in queries for value in query.values):
        if value.default is not None:
            place = rows.column_names.index(value.name)
            rows = rows.set_column(place, value.name, _with_default(rows.column(place), value.default))
    return rows


def known_values(
    tables: Tables,
    queries: Sequence[ViewQuery],
    *,
    spine: pa.Table,
    at: str,
    versions: Mapping[str, int] | None = None,
) -> pa.Table:
    """As `append_values`, but null also where a default would stand in.

    Parameters
    ----------
    versions : mapping of table to version
        Pinned versions to read, -1 for a table that did not exist; tables as they are without it.
    """
    check_spine(queries, spine=spine, at=at)
    moments = _moments(spine, at)
    for query in queries:
        values = _values(tables, query, keys=_keys(spine, query), moments=moments, versions=versions)
        for value in query.values:
            spine = spine.append_column(value.name, values.column(value.column))
    return spine


def check_spine(queries: Sequence[ViewQuery], *, spine: pa.Table, at: str) -> None:
    """Refuse a spine that lacks a column or has one named like a feature.

    Raises
    ------
    InvalidRequest
    """
    if at not in spine.column_names:
        raise InvalidRequest(f"the rows lack {at!r}, the moment of each", field=at)
    for query in queries:
        for entity, key in zip(query.entities, query.keys, strict=True):
            if key not in spine.column_names:
                raise InvalidRequest(f"the rows lack {key!r}, the key of entity {entity!r}", field=key)
        for value in query.values:
            if value.name in spine.column_names:
                raise InvalidRequest(
                    f"the rows have a column {value.name!r} already", field=value.name, fix="rename or drop it"
                )


def _moments(spine: pa.Table, at: str) -> pa.ChunkedArray:
    column = spine.column(at)
    if not (pa.types.is_timestamp(column.type) and column.type.tz):
        raise InvalidRequest(
            f"{at!r} is {column.type}, not a timestamp with a time zone", field=at, fix="make it timestamp[us, tz=UTC]"
        )
    if column.null_count:
        raise InvalidRequest(f"{at!r} is null in {column.null_count} rows; each needs its moment", field=at)
    try:
        return column.cast(TIME)
    except pa.ArrowInvalid as error:
        raise InvalidRequest(f"{at!r} does not fit microseconds: {error}", field=at) from error


def _keys(spine: pa.Table, query: ViewQuery) -> dict[str, pa.ChunkedArray]:
    """The entities' keys by what the query calls them (see `octavo.features.offline.queries.view_query`)."""
    columns = [
        _key(spine.column(key), key=key, entity=entity, wanted=ARROW_TYPES[dtype])
        for entity, key, dtype in zip(query.entities, query.keys, query.dtypes, strict=True)
    ]
    return {"key": columns[0]} if len(columns) == 1 else {f"key_{n}": column for n, column in enumerate(columns)}


def _key(column: pa.ChunkedArray, *, key: str, entity: str, wanted: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidRequest(f"keys {key!r} of entity {entity!r} are not {wanted}: {error}", field=key) from error


def _values(
    tables: Tables,
    query: ViewQuery,
    *,
    keys: Mapping[str, pa.ChunkedArray],
    moments: pa.ChunkedArray,
    versions: Mapping[str, int] | None,
) -> pa.Table:
    version = tables.version(query.table) if versions is None else versions[query.table]
    if not len(moments) or version < 0:
        return _nothing_known(query, rows=len(moments))
    points = pa.table({**keys, "moment": moments})
    order = pc.sort_indices(points, sort_keys=[(name, "ascending") for name in points.column_names])
    back = np.empty(len(points), np.int64)
    back[order.to_numpy()] = np.arange(len(points))
    return _in_parts(tables, query, points.take(order), versions=versions).take(pa.array(back))


def _in_parts(tables: Tables, query: ViewQuery, points: pa.Table, *, versions: Mapping[str, int] | None) -> pa.Table:
    """As many of the points at once as memory suffices for; lists of values, unlike the rest, never go to disk."""
    parts: list[pa.Table] = []
    start, rows = 0, PART_ROWS if query.has_windows else _NEWEST_TIMES * PART_ROWS
    while start < len(points):
        part = points.slice(start, rows)
        try:
            parts.append(_part(tables, query, part, versions=versions))
            start += len(part)
        except OutOfMemory:
            if len(part) <= _FEWEST_ROWS:
                raise
            rows = len(part) // 2
    return pa.concat_tables(parts)


def _part(tables: Tables, query: ViewQuery, points: pa.Table, *, versions: Mapping[str, int] | None) -> pa.Table:
    span = pc.min_max(points.column("moment")).as_py()
    return tables.query(
        query.sql,
        tables={"events": query.table},
        frames={"spine": points.append_column("place", pa.array(np.arange(len(points))))},
        parameters={"earliest": span["min"] - timedelta(seconds=query.reach_s), "latest": span["max"]},
        heavy=True,
        versions=versions,
    )


def _nothing_known(query: ViewQuery, *, rows: int) -> pa.Table:
    return pa.table({value.column: pa.array([value.unknown] * rows, pa.float64()) for value in query.values})


def _with_default(column: pa.ChunkedArray, default: float | None) -> pa.ChunkedArray:
    """A column of float64 with its default where it is null or NaN, by the rule of `octavo.features.defaults`."""
    if default is None:
        return column
    return pc.if_else(pc.is_null(column, nan_is_null=True), pa.scalar(float(default), pa.float64()), column)
