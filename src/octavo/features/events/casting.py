"""Columns that others made, as a source's own: cast where the values stay what they are, refused where they would not.

Numbers of any width become numbers, text of any encoding text, times of any unit or zone times. Nothing is rounded, and
nothing is read into another kind: a string of digits is no number.
"""

from typing import TypeAlias

import pyarrow as pa

from octavo.definitions.sources import Source
from octavo.definitions.types import DType
from octavo.errors import InvalidRequest
from octavo.features.events.faults import WANTED
from octavo.features.events.payloads import column_schema
from octavo.features.events.refusals import unknown_column

Column: TypeAlias = "pa.Array | pa.ChunkedArray"


def check_columns(schema: pa.Schema, source: Source) -> None:
    """Refuse a table whose columns cannot be a source's, whatever is in them.

    Raises
    ------
    InvalidRequest
        For a column that is unknown, there twice, absent though it is a time, or of another kind.
    """
    for name in schema.names:
        if name not in source.columns:
            raise unknown_column(name, source)
        if schema.get_field_index(name) < 0:
            raise InvalidRequest(f"the table has two columns {name!r}", field=name, fix="send each column once")
    for field in column_schema(source):
        if field.name in schema.names:
            _check_kind(schema.field(field.name).type, field)
        elif field.name in (source.event_time, source.available_at):
            raise InvalidRequest(
                f"the table lacks the column {field.name!r}",
                field=field.name,
                fix=f"add it: {WANTED[DType.TIMESTAMP]}",
            )


def cast_column(column: Column, field: pa.Field) -> pa.Array:
    """A column of the same kind in a field's type.

    Raises
    ------
    InvalidRequest
        If a value does not fit.
    """
    try:
        return _cast(column, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidRequest(
            f"the column {field.name!r} of type {column.type} does not fit {field.type}: {error}",
            field=field.name,
            fix="cast the column before sending it",
        ) from error


def unfit_rows(column: Column, field: pa.Field, *, first_row: int = 0) -> list[int]:
    """Which rows of a column of the same kind do not fit a field's type, rising."""
    try:
        _cast(column, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(column) == 1:
            return [first_row]
        half = len(column) // 2
        before = unfit_rows(column.slice(0, half), field, first_row=first_row)
        return before + unfit_rows(column.slice(half), field, first_row=first_row + half)
    return []


def _cast(column: Column, kind: pa.DataType) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    cast = whole.cast(kind)
    if pa.types.is_string(kind):
        return cast.cast(pa.binary()).cast(kind)  # only a cast from bytes looks whether they are UTF-8
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return cast.cast(pa.list_(pa.binary())).cast(kind)
    return cast


def _check_kind(given: pa.DataType, field: pa.Field) -> None:
    kind = _kind(given)
    if kind == "times without a zone" and pa.types.is_timestamp(field.type):
        raise InvalidRequest(
            f"the column {field.name!r} is of type {given}, not of times with a zone",
            field=field.name,
            fix="give the column the zone that its times are in, such as UTC",
        )
    if kind not in ("nulls", _kind(field.type)):
        raise InvalidRequest(
            f"the column {field.name!r} is of type {given}, not of {_kind(field.type)}",
            field=field.name,
            fix=f"cast the column to {field.type} before sending it",
        )


def _kind(given: pa.DataType) -> str:
    """What a type holds, in words."""
    if pa.types.is_dictionary(given):
        return _kind(given.value_type)
    if pa.types.is_null(given):
        return "nulls"
    if pa.types.is_integer(given) or pa.types.is_floating(given):
        return "numbers"
    if pa.types.is_boolean(given):
        return "booleans"
    if pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given):
        return "text"
    if pa.types.is_list(given) or pa.types.is_large_list(given) or pa.types.is_fixed_size_list(given):
        return f"lists of {_kind(given.value_type)}"
    if pa.types.is_timestamp(given):
        return "times" if given.tz else "times without a zone"
    return str(given)
