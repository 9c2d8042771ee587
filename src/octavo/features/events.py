"""From what a caller sends to events of a source, or to an error that names the row, the field and the fix."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from octavo.clock import EPOCH, to_micros
from octavo.definitions.sources import Source
from octavo.definitions.types import DType, Field
from octavo.errors import InvalidRequest
from octavo.features.payloads import ARROW_TYPES, EVENT_ID, INGESTED_AT, TIME, column_schema, event_ids, micros

FIRST_YEAR, LAST_YEAR = 1900, 2200
LONGEST_STRING = 1024
"""Characters."""
CLOCK_TOLERANCE_S = 300
"""How far ahead of the platform's clock a caller's may be."""

_MICROSECOND = 1_000_000
_EARLIEST_US = to_micros(EPOCH.replace(year=FIRST_YEAR))
_LATEST_US = to_micros(EPOCH.replace(year=LAST_YEAR + 1))
_TYPES: dict[DType, Any] = {
    DType.FLOAT64: float,
    DType.INT64: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    DType.BOOL: bool,
    DType.STRING: Annotated[str, Meta(max_length=LONGEST_STRING)],
    DType.TIMESTAMP: Annotated[datetime, Meta(tz=True)],
}
_WANTED = {
    DType.FLOAT64: "a finite number",
    DType.INT64: "a whole number of 64 bits",
    DType.BOOL: "true or false",
    DType.STRING: f"a string of at most {LONGEST_STRING} characters",
    DType.TIMESTAMP: (
        f'an RFC 3339 time with an offset, of a year from {FIRST_YEAR} to {LAST_YEAR}: "2026-01-31T09:30:00+01:00"'
    ),
}
_PLACE = re.compile(r" - at `(?:key` in `)?\$\[(\d+)\](?:\.([^`]*))?`\Z")
_NAMED = re.compile(r"Object (missing required|contains unknown) field `([^`]*)`\Z")


def decode_rows(
    rows: Sequence[Mapping[str, object]], source: Source, *, now_us: int, first_row: int = 0
) -> pa.RecordBatch:
    """Events from rows of JSON.

    Parameters
    ----------
    rows : sequence of mapping
        One value per column; times are RFC 3339 strings with an offset; an absent column is null.
    now_us : int
        The platform's time, microseconds since 1970.
    first_row : int
        Number of the first row in the whole that `rows` is a part of, for messages.

    Returns
    -------
    RecordBatch
        In the schema of `octavo.features.payloads.payload_schema`.

    Raises
    ------
    InvalidRequest
        For the first thing that is wrong; nothing is taken of a request with a wrong row.
    """
    if not rows:
        raise InvalidRequest("rows is empty", field="rows", fix="send at least one row")
    try:
        structs = msgspec.convert(rows, _rows_type(source))
    except msgspec.ValidationError as error:
        raise _explain(str(error), source, first_row=first_row) from error
    columns = [
        _column([getattr(struct, field.name) for struct in structs], field, first_row=first_row)
        for field in source.schema
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=column_schema(source))
    return _events(batch, source, now_us=now_us, first_row=first_row)


def decode_table(
    table: pa.Table | pa.RecordBatch, source: Source, *, now_us: int, first_row: int = 0
) -> pa.RecordBatch:
    """Events from columns, such as those of a Parquet file.

    Types that hold the same values are cast (32-bit numbers, times of another unit or zone, dictionaries); nothing is
    rounded. A nullable column may be absent.

    Parameters
    ----------
    first_row : int
        Number of the first row in the whole that `table` is a part of, for messages.

    Raises
    ------
    InvalidRequest
        For a column that is unknown, absent or of the wrong type, and for the first row that is wrong.
    """
    for name in table.schema.names:
        if name not in source.columns:
            raise _unknown(name, source)
    columns = []
    for field in column_schema(source):
        if field.name in table.schema.names:
            columns.append(_cast(table.column(field.name), field))
        elif field.name in (source.event_time, source.available_at):
            raise InvalidRequest(
                f"the table lacks the column {field.name!r}",
                field=field.name,
                fix=f"add it: {_WANTED[DType.TIMESTAMP]}",
            )
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    batch = pa.RecordBatch.from_arrays(columns, schema=column_schema(source))
    return _events(batch, source, now_us=now_us, first_row=first_row)


def _events(batch: pa.RecordBatch, source: Source, *, now_us: int, first_row: int) -> pa.RecordBatch:
    _check_values(batch, source, first_row=first_row)
    _check_order(batch, source, now_us=now_us, first_row=first_row)
    ingested = pa.repeat(pa.scalar(now_us, pa.int64()), batch.num_rows).cast(TIME)
    return batch.append_column(EVENT_ID, event_ids(batch, source)).append_column(pa.field(INGESTED_AT, TIME), ingested)


def _check_values(batch: pa.RecordBatch, source: Source, *, first_row: int) -> None:
    required = {source.event_time, source.available_at}
    for field in source.schema:
        column = batch.column(field.name)
        wrong = None
        if field.name in required and column.null_count:
            wrong, what = column.is_null(), "is null"
        elif field.dtype is DType.TIMESTAMP:
            since_epoch = column.cast(pa.int64())
            absurd = pc.or_(pc.less(since_epoch, _EARLIEST_US), pc.greater_equal(since_epoch, _LATEST_US))
            wrong, what = absurd, "is a time of an absurd year"
        elif field.dtype is DType.FLOAT64:
            wrong, what = pc.invert(pc.is_finite(column)), "is not a finite number"
        elif field.dtype is DType.STRING:
            wrong, what = pc.greater(pc.utf8_length(column), LONGEST_STRING), "is too long"
        if wrong is not None and (place := pc.index(wrong, True).as_py()) >= 0:
            fix = f"send {_wanted(field.name, source)}"
            raise _refusal(f"{{}} {what}", row=first_row + place, field=field.name, fix=fix)


def _check_order(batch: pa.RecordBatch, source: Source, *, now_us: int, first_row: int) -> None:
    event_us, available_us = micros(batch.column(source.event_time)), micros(batch.column(source.available_at))
    early = np.flatnonzero(event_us > available_us)
    if len(early):
        raise _refusal(
            f"{{}} is before {source.event_time}: nothing can be known before it happens",
            row=first_row + int(early[0]),
            field=source.available_at,
            fix=f"send the time at which the event became known, {source.event_time} or later",
        )
    ahead = np.flatnonzero(available_us > now_us + CLOCK_TOLERANCE_S * _MICROSECOND)
    if len(ahead):
        raise _refusal(
            "{} lies in the future of the platform's clock",
            row=first_row + int(ahead[0]),
            field=source.available_at,
            fix=f"send events once they are known (at most {CLOCK_TOLERANCE_S} s ahead), and check the sender's clock",
        )


@lru_cache(maxsize=256)
def _rows_type(source: Source) -> Any:
    """The list of rows that msgspec checks rows against."""
    required = (source.event_time, source.available_at)
    fields: list[tuple[Any, ...]] = [(name, _TYPES[DType.TIMESTAMP]) for name in dict.fromkeys(required)]
    fields += [(f.name, _TYPES[f.dtype] | None, None) for f in source.schema if f.name not in required]
    return list[msgspec.defstruct("Event", fields, forbid_unknown_fields=True, gc=False)]  # type: ignore[misc]  # made here


def _column(values: list[Any], field: Field, *, first_row: int) -> pa.Array:
    if field.dtype is DType.TIMESTAMP:
        return pa.array([None if v is None else to_micros(v) for v in values], pa.int64()).cast(TIME)
    try:
        return pa.array(values, ARROW_TYPES[field.dtype])
    except UnicodeEncodeError:
        row = next(row for row, value in enumerate(values) if value is not None and _has_lone_surrogate(value))
        fix = "send whole Unicode characters"
        raise _refusal("{} holds half of a surrogate pair", row=first_row + row, field=field.name, fix=fix) from None


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _cast(column: pa.ChunkedArray | pa.Array, field: pa.Field) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_timestamp(field.type) and not (pa.types.is_timestamp(whole.type) and whole.type.tz):
        raise InvalidRequest(
            f"the column {field.name!r} is of type {whole.type}, not of times with a zone",
            field=field.name,
            fix="give the column the zone that its times are in, such as UTC",
        )
    try:
        return whole.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidRequest(
            f"the column {field.name!r} of type {whole.type} does not fit {field.type}: {error}",
            field=field.name,
            fix="cast the column before sending it",
        ) from error


def _explain(message: str, source: Source, *, first_row: int) -> InvalidRequest:
    """An error for what msgspec says about rows that do not fit."""
    found = _PLACE.search(message)
    if found is None:
        return InvalidRequest(message, field="rows", fix="send a list of objects, one per event")
    what, row, name = message[: found.start()], first_row + int(found[1]), found[2]
    named = _NAMED.match(what)
    if named and named[1] == "contains unknown":
        return _unknown(named[2], source, row=row)
    if named:
        return _refusal("{} is missing", row=row, field=named[2], fix=f"add it: {_WANTED[DType.TIMESTAMP]}")
    if name is None:
        return InvalidRequest(
            f"rows[{row}]: {what[:1].lower()}{what[1:]}",
            field=f"rows[{row}]",
            fix="send an object with the event's columns",
        )
    what = f"{what[:1].lower()}{what[1:]}".replace("`", "'").replace("{", "").replace("}", "")
    return _refusal(f"{{}}: {what}", row=row, field=name, fix=f"send {_wanted(name, source)}")


def _unknown(name: str, source: Source, *, row: int | None = None) -> InvalidRequest:
    nearest = get_close_matches(name, source.columns, n=1, cutoff=0.6)
    advice = f"did you mean {nearest[0]!r}?" if nearest else "leave it out;"
    where = "the table" if row is None else f"rows[{row}]"
    return InvalidRequest(
        f"{where} holds {name!r}, which source {source.name!r} does not have",
        field=name if row is None else f"rows[{row}].{name}",
        fix=f"{advice} it has: {', '.join(source.columns)}",
    )


def _refusal(message: str, *, row: int, field: str, fix: str) -> InvalidRequest:
    """An error about one field of one row; ``{}`` in the message is where."""
    place = f"rows[{row}].{field}"
    return InvalidRequest(message.format(place), field=place, fix=fix)


def _wanted(column: str, source: Source) -> str:
    nullable = column not in (source.event_time, source.available_at)
    return _WANTED[source.dtype(column)] + (", or null" if nullable else "")
