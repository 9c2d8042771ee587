"""From what a caller sends to events of a source, or to an error that names the row, the field and the fix."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from msgspec import Meta

from octavo.clock import to_micros
from octavo.definitions.sources import Source
from octavo.definitions.types import LONGEST_LIST, DType, Field
from octavo.errors import InvalidRequest
from octavo.features.events.casting import cast_column, check_columns
from octavo.features.events.faults import LONGEST_STRING, WANTED, find_faults, wanted
from octavo.features.events.payloads import EVENT_ID, INGESTED_AT, TIME, arrow_type, column_schema, event_ids
from octavo.features.events.refusals import unknown_column

_TYPES: dict[DType, Any] = {
    DType.FLOAT64: float,
    DType.INT64: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    DType.BOOL: bool,
    DType.STRING: Annotated[str, Meta(max_length=LONGEST_STRING)],
    DType.TIMESTAMP: Annotated[datetime, Meta(tz=True)],
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
        In the schema of `octavo.features.events.payloads.payload_schema`.

    Raises
    ------
    InvalidRequest
        For the first thing that is wrong; nothing is taken of a request with a wrong row.
    """
    if not rows:
        raise InvalidRequest("rows is empty", field="rows", fix="send at least one row")
    try:
        structs = msgspec.convert(rows, list[_row_type(source)])  # type: ignore[misc]  # a type made from the source
    except msgspec.ValidationError as error:
        raise _explain(str(error), source, first_row=first_row) from error
    return _checked(columns_of(structs, source, first_row=first_row), source, now_us=now_us, first_row=first_row)


def read_line(line: bytes, source: Source) -> Any:
    """One row of JSON, checked in its fields and their types: what `columns_of` takes.

    Raises
    ------
    InvalidRequest
        For the first thing that is wrong, as of ``rows[0]``.
    """
    try:
        return _decoder(source).decode(b"[" + line + b"]")[0]
    except msgspec.ValidationError as error:
        raise _explain(str(error), source, first_row=0) from error
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError) as error:
        raise InvalidRequest(f"rows[0] is no JSON object: {error}", field="rows[0]", fix="send one object") from error


def columns_of(rows: Sequence[Any], source: Source, *, first_row: int = 0) -> pa.RecordBatch:
    """The columns of rows that were read."""
    columns = [
        _column([getattr(row, field.name) for row in rows], field, first_row=first_row) for field in source.schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=column_schema(source))


def decode_table(
    table: pa.Table | pa.RecordBatch, source: Source, *, now_us: int, first_row: int = 0
) -> pa.RecordBatch:
    """Events from columns, such as those of a Parquet file.

    Types that hold the same values are cast (see `octavo.features.events.casting`). A nullable column may be absent.

    Parameters
    ----------
    first_row : int
        Number of the first row in the whole that `table` is a part of, for messages.

    Raises
    ------
    InvalidRequest
        For a column that is unknown, absent or of the wrong type, and for the first row that is wrong.
    """
    check_columns(table.schema, source)
    columns = [
        cast_column(table.column(field.name), field)
        if field.name in table.schema.names
        else pa.nulls(table.num_rows, field.type)
        for field in column_schema(source)
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=column_schema(source))
    return _checked(batch, source, now_us=now_us, first_row=first_row)


def as_events(columns: pa.RecordBatch, source: Source, *, now_us: int) -> pa.RecordBatch:
    """Columns in which nothing is wrong, with the identity of each event and when it came in."""
    ingested = pa.repeat(pa.scalar(now_us, pa.int64()), columns.num_rows).cast(TIME)
    events = columns.append_column(EVENT_ID, event_ids(columns, source))
    return events.append_column(pa.field(INGESTED_AT, TIME), ingested)


def _checked(columns: pa.RecordBatch, source: Source, *, now_us: int, first_row: int) -> pa.RecordBatch:
    for fault in find_faults(columns, source, now_us=now_us):
        raise fault.refusal(first_row=first_row)
    return as_events(columns, source, now_us=now_us)


@lru_cache(maxsize=256)
def _row_type(source: Source) -> Any:
    """What msgspec checks a row against."""
    required = (source.event_time, source.available_at)
    fields: list[tuple[Any, ...]] = [(name, _TYPES[DType.TIMESTAMP]) for name in dict.fromkeys(required)]
    fields += [(f.name, _type_of(f) | None, None) for f in source.schema if f.name not in required]
    return msgspec.defstruct("Event", fields, forbid_unknown_fields=True, gc=False)


def _type_of(field: Field) -> Any:
    if field.dtype is DType.VECTOR:
        return Annotated[list[float], Meta(min_length=field.length, max_length=field.length)]
    if field.item:
        item: Any = _TYPES[field.item]
        return Annotated[list[item], Meta(max_length=LONGEST_LIST)]
    return _TYPES[field.dtype]


@lru_cache(maxsize=256)
def _decoder(source: Source) -> Any:
    return msgspec.json.Decoder(list[_row_type(source)])  # type: ignore[misc]  # a type made from the source


def _column(values: list[Any], field: Field, *, first_row: int) -> pa.Array:
    if field.dtype is DType.TIMESTAMP:
        return pa.array([None if v is None else to_micros(v) for v in values], pa.int64()).cast(TIME)
    try:
        return pa.array(values, arrow_type(field))
    except UnicodeEncodeError:
        row = next(row for row, value in enumerate(values) if value is not None and _has_lone_surrogate(value))
        fix = "send whole Unicode characters"
        raise _refusal("{} holds half of a surrogate pair", row=first_row + row, field=field.name, fix=fix) from None


def _has_lone_surrogate(value: str | list[str]) -> bool:
    return any("\ud800" <= character <= "\udfff" for text in value for character in text)


def _explain(message: str, source: Source, *, first_row: int) -> InvalidRequest:
    """An error for what msgspec says about rows that do not fit."""
    found = _PLACE.search(message)
    if found is None:
        return InvalidRequest(message, field="rows", fix="send a list of objects, one per event")
    what, row, name = message[: found.start()], first_row + int(found[1]), found[2]
    named = _NAMED.match(what)
    if named and named[1] == "contains unknown":
        return unknown_column(named[2], source, row=row)
    if named:
        return _refusal("{} is missing", row=row, field=named[2], fix=f"add it: {WANTED[DType.TIMESTAMP]}")
    if name is None:
        return InvalidRequest(
            f"rows[{row}]: {what[:1].lower()}{what[1:]}",
            field=f"rows[{row}]",
            fix="send an object with the event's columns",
        )
    what = f"{what[:1].lower()}{what[1:]}".replace("`", "'").replace("{", "").replace("}", "")
    column, _, _ = name.partition("[")  # behind it stands which value of a vector or list
    return _refusal(f"{{}}: {what}", row=row, field=name, fix=f"send {wanted(column, source)}")


def _refusal(message: str, *, row: int, field: str, fix: str) -> InvalidRequest:
    """An error about one field of one row; ``{}`` in the message is where."""
    place = f"rows[{row}].{field}"
    return InvalidRequest(message.replace("{}", place), field=place, fix=fix)
