"""Feature values as they were known at past moments."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from octavo.definitions.features import FeatureView
from octavo.definitions.models import input_name
from octavo.errors import InvalidRequest
from octavo.features.payloads import ARROW_TYPES, TIME, table_of
from octavo.features.queries import reach_s, view_query
from octavo.stores.ports import Tables


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
        `spine`, its rows in their order, with a float64 column ``view__feature`` for each feature of each view; null
        where the value is missing or stale, 0 for a count of nothing.

    Raises
    ------
    InvalidRequest
        If `spine` lacks a column, has it in a type that does not fit, or has one named like a feature.
    """
    moments = _moments(spine, at)
    for view in views:
        if view.entity.key not in spine.column_names:
            raise InvalidRequest(
                f"the rows lack {view.entity.key!r}, the key of entity {view.entity.name!r}", field=view.entity.key
            )
        values = _view_values(tables, view, keys=_keys(spine, view), moments=moments)
        for feature in view.features:
            name = input_name(view.name, feature.name)
            if name in spine.column_names:
                raise InvalidRequest(f"the rows have a column {name!r} already", field=name, fix="rename or drop it")
            spine = spine.append_column(name, values.column(feature.name))
    return spine


def _moments(spine: pa.Table, at: str) -> pa.ChunkedArray:
    if at not in spine.column_names:
        raise InvalidRequest(f"the rows lack {at!r}, the moment of each", field=at)
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


def _keys(spine: pa.Table, view: FeatureView) -> pa.ChunkedArray:
    key, wanted = view.entity.key, ARROW_TYPES[view.entity.dtype]
    try:
        return spine.column(key).cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidRequest(
            f"keys {key!r} of entity {view.entity.name!r} are not {wanted}: {error}", field=key
        ) from error


def _view_values(tables: Tables, view: FeatureView, *, keys: pa.ChunkedArray, moments: pa.ChunkedArray) -> pa.Table:
    table = table_of(view.source.name)
    if not len(moments) or tables.version(table) < 0:
        return _nothing_known(view, rows=len(moments))
    span = pc.min_max(moments).as_py()
    frame = pa.table({"place": np.arange(len(moments)), "key": keys, "moment": moments})
    return tables.query(
        view_query(view),
        tables={"events": table},
        frames={"spine": frame},
        parameters={"earliest": span["min"] - timedelta(seconds=reach_s(view)), "latest": span["max"]},
    )


def _nothing_known(view: FeatureView, *, rows: int) -> pa.Table:
    return pa.table(
        {f.name: pa.array([0.0 if f.operation.counts else None] * rows, pa.float64()) for f in view.features}
    )
