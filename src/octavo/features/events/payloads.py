"""Events as they travel: names of topics and tables, schemas, identities, and the bytes of a payload."""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.definitions.sources import Source
from octavo.definitions.types import DType, Field
from octavo.errors import IntegrityError

EVENT_ID, INGESTED_AT, OFFSET = "_event_id", "_ingested_at", "_offset"
TIME = pa.timestamp("us", tz="UTC")

ARROW_TYPES = {
    DType.FLOAT64: pa.float64(),
    DType.INT64: pa.int64(),
    DType.BOOL: pa.bool_(),
    DType.STRING: pa.string(),
    DType.TIMESTAMP: TIME,
}


def topic_of(source: str) -> str:
    """The stream topic of a source's events."""
    return f"events.{source}"


def table_of(source: str) -> str:
    """The table of a source's events."""
    return f"events/{source}"


def column_schema(source: Source) -> pa.Schema:
    """A source's own columns."""
    return pa.schema([pa.field(field.name, arrow_type(field)) for field in source.schema])


def arrow_type(field: Field) -> pa.DataType:
    """The type of a column in Arrow."""
    if field.dtype is DType.VECTOR:
        return pa.list_(pa.float64(), field.length)
    return pa.list_(ARROW_TYPES[field.item]) if field.item else ARROW_TYPES[field.dtype]


def payload_schema(source: Source) -> pa.Schema:
    """A source's columns, the event's identity and when it was ingested."""
    return column_schema(source).append(pa.field(EVENT_ID, pa.binary(16))).append(pa.field(INGESTED_AT, TIME))


def table_schema(source: Source) -> pa.Schema:
    """The columns of a source's table: those of a payload, and its place (see `octavo.features.events.places`)."""
    columns = column_schema(source).append(pa.field(EVENT_ID, pa.binary())).append(pa.field(INGESTED_AT, TIME))
    return columns.append(pa.field(OFFSET, pa.int64()))


def event_ids(columns: pa.RecordBatch, source: Source) -> pa.Array:
    """The identity of each event: a digest of its id columns, the same however the event was written.

    Returns
    -------
    Array of binary(16)
    """
    plain = [_plain(columns.column(name)) for name in source.id]
    encode = msgspec.msgpack.encode
    digests = [blake2b(encode(values), digest_size=16).digest() for values in zip(*plain, strict=True)]
    return pa.array(digests, pa.binary(16))


def encode_payload(batch: pa.RecordBatch) -> bytes:
    """A batch as one Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    payload: bytes = sink.getvalue().to_pybytes()
    return payload


def encode_payloads(batch: pa.RecordBatch, *, most_bytes: int) -> list[bytes]:
    """A batch as payloads of which none is larger than the stream takes, as far as it can be halved."""
    payload = encode_payload(batch)
    if len(payload) <= most_bytes or batch.num_rows == 1:
        return [payload]
    half = batch.num_rows // 2
    parts = batch.slice(0, half), batch.slice(half)
    return [payload for part in parts for payload in encode_payloads(part, most_bytes=most_bytes)]


def decode_payload(payload: bytes, *, topic: str, offset: int) -> pa.RecordBatch:
    """The batch in a payload.

    Raises
    ------
    IntegrityError
        If the payload is none of ours; names its place.
    """
    try:
        batch = pa.ipc.open_stream(payload).read_next_batch()
    except (pa.ArrowInvalid, StopIteration, OSError) as error:
        raise IntegrityError(
            f"payload {offset} of topic {topic!r} holds no events: it is no JSON object, no list of such "
            f"and no stream of Arrow ({error})",
            topic=topic,
            offset=offset,
        ) from error
    if EVENT_ID not in batch.schema.names:
        raise IntegrityError(f"payload {offset} of topic {topic!r} has no {EVENT_ID}", topic=topic, offset=offset)
    return batch


def micros(column: pa.Array) -> npt.NDArray[np.int64]:
    """Microseconds since 1970 of a column of times without nulls."""
    values: npt.NDArray[np.int64] = column.view(pa.int64()).to_numpy()
    return values


def _plain(column: pa.Array) -> Iterable[object]:
    """Values that msgpack writes in one way only."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[object] = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [value + 0.0 if isinstance(value, float) else value for value in values]
    if isinstance(column, pa.FixedSizeListArray | pa.ListArray) and pa.types.is_floating(column.type.value_type):
        return [[one + 0.0 for one in value] if isinstance(value, list) else value for value in values]
    return values
