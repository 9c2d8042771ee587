"""Events in the body of a request: JSON, an Arrow IPC stream, or a Parquet file, from callers that may be hostile.

What a body claims of itself is checked before memory is given to it: rows, and sizes before and after decompression.
"""

from enum import StrEnum

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.features.events.ipc import check_messages
from octavo.features.events.sent import Sent, SentLines, SentTable

MOST_ROWS = 1_000_000
MOST_BYTES = 256_000_000
"""Of events once they are decompressed and no value is shared by rows."""

_PARQUET_ROWS = 8_192
_FIX = "send fewer rows at once"


class BodyKind(StrEnum):
    """How the events in a body are written."""

    JSON = "json"
    """A list of objects, an object that holds it as ``rows``, or one event."""
    ARROW = "arrow"
    """An Arrow IPC stream."""
    PARQUET = "parquet"


def read_events(body: bytes, kind: BodyKind) -> Sent:
    """The events in a body.

    Raises
    ------
    InvalidRequest
        If the body is not of its kind.
    LimitExceeded
        If it holds more than `MOST_ROWS` rows or `MOST_BYTES` bytes.
    """
    if kind is BodyKind.JSON:
        return _json(body)
    try:
        table = _arrow(body) if kind is BodyKind.ARROW else _parquet(body)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidRequest(
            f"the body cannot be read as {kind}: {error}", field="body", fix="write it anew"
        ) from error
    return SentTable(table=table)


def split_rows(body: bytes) -> list[bytes]:
    """The JSON of each event in a body, as it was sent."""
    try:
        if body.lstrip()[:1] == b"[":
            return list(map(bytes, msgspec.json.decode(body, type=list[msgspec.Raw])))
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "rows" not in fields:
            return [body]
        rows = msgspec.json.decode(fields["rows"], type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"the body holds no JSON objects: {error}", field="body", fix='send {"rows": [...]}, a list, or one event'
        ) from error
    return list(map(bytes, rows))


def _json(body: bytes) -> Sent:
    lines = split_rows(body)
    if not lines:
        raise InvalidRequest("rows is empty", field="rows", fix="send at least one row")
    _check_rows(len(lines))
    return SentLines(lines=lines, numbers=range(1, len(lines) + 1))


def _arrow(body: bytes) -> pa.Table:
    check_messages(body, most_rows=MOST_ROWS, most_bytes=MOST_BYTES)
    with pa.ipc.open_stream(body) as stream:
        _check_simple(stream.schema)
        table = stream.read_all()
    table.validate(full=True)
    _check_rows(table.num_rows)
    _check_bytes(sum(map(_written_bytes, table.columns)))
    return table


def _parquet(body: bytes) -> pa.Table:
    schema = pq.read_schema(pa.BufferReader(body))
    _check_simple(schema)
    text = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_binary(field.type)]
    with pq.ParquetFile(pa.BufferReader(body), read_dictionary=text) as file:
        _check_rows(file.metadata.num_rows)
        batches: list[pa.RecordBatch] = []
        size = 0
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
            size += sum(map(_written_bytes, batch.columns))
            _check_bytes(size)
            batches.append(batch)
        return pa.Table.from_batches(batches, file.schema_arrow)


def _check_simple(schema: pa.Schema) -> None:
    """Refuse types of which a few bytes may stand for any number of values, and types of types."""
    for field in schema:
        kind = field.type
        if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            kind = kind.value_type
        if pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            raise InvalidRequest(
                f"the column {field.name!r} is of type {field.type}, which is not taken",
                field=field.name,
                fix="send numbers, booleans, text and times with a zone, plain or dictionary-encoded",
            )


def _check_rows(rows: int) -> None:
    if rows > MOST_ROWS:
        raise LimitExceeded(f"the body holds more than {MOST_ROWS:,} rows", field="body", fix=_FIX)


def _check_bytes(size: int) -> None:
    if size > MOST_BYTES:
        raise LimitExceeded(f"the body holds more than {MOST_BYTES:,} bytes of values", field="body", fix=_FIX)


def _written_bytes(column: pa.Array | pa.ChunkedArray) -> int:
    """The size of a column when each row has its value written out."""
    if isinstance(column, pa.ChunkedArray):
        return sum(map(_written_bytes, column.chunks))
    if pa.types.is_dictionary(column.type):
        return int(pc.sum(pc.take(_lengths(column.dictionary), column.indices)).as_py() or 0)
    return int(pc.sum(_lengths(column)).as_py() or 0)


def _lengths(column: pa.Array) -> pa.Array:
    """The bytes of each value, at least."""
    kind = column.type
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        column = pa.array(
            np.frombuffer(column.buffers()[1], np.int32)[::4][column.offset : column.offset + len(column)]
        )
        return column.cast(pa.int64())
    if any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    ):
        return pc.binary_length(column).cast(pa.int64())
    return pa.repeat(pa.scalar(max(column.nbytes // max(len(column), 1), 1), pa.int64()), len(column))
