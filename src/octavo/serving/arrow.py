"""Requests and answers as Arrow IPC, which costs a row next to nothing: a column per field, a column per output.

Arrow itself is heavy, and loaded when the first request needs it. What a stream claims is checked before Arrow believes
it; what its columns hold is checked as values in JSON are.
"""

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from octavo.errors import InvalidRequest
from octavo.serving.answers import Predictions, Share, statuses_by_row, values_by_row
from octavo.serving.asked import Asked
from octavo.serving.columns import Words
from octavo.serving.ids import ID_BYTES, ID_LETTERS, Ids
from octavo.serving.lineup import Lineup
from octavo.serving.reading import asked_by_columns, check_count
from octavo.serving.routes import Headers, content_type

if TYPE_CHECKING:
    import pyarrow as pa

STREAM, FILE = b"application/vnd.apache.arrow.stream", b"application/vnd.apache.arrow.file"
KINDS = (STREAM, FILE)

_MAGIC, _MAGIC_BYTES = b"ARROW1", 8
_MOST_BYTES = 16_000_000
"""Of what a compressed stream may become."""
_FEW = 4
_REMEMBERED = 64
_FIX = "send an Arrow IPC stream with one column per field, in uncompressed batches"


def is_sent(headers: Headers) -> bool:
    """Whether a request's body is Arrow."""
    return content_type(headers) in KINDS


def is_wanted(headers: Headers) -> bool:
    """Whether the answer shall be."""
    return STREAM in headers.get(b"accept", b"")


async def load() -> None:
    """Load Arrow, if it is not there yet, while others are answered."""
    if not _loaded:
        await asyncio.to_thread(_import)
        _loaded.append(True)


_loaded: list[bool] = []


def _import() -> None:

    import octavo.features.events.ipc  # noqa: F401  # both are needed from now on


def read_arrow(lineup: Lineup, body: bytes) -> Asked:
    """What a stream, or a file, asks for: a column per field, a row per prediction.

    Raises
    ------
    InvalidRequest
        If it is no such thing, or a column or a value is none that the deployment takes.
    LimitExceeded
        If it has too many rows, or becomes too large when it is decompressed.
    """
    import pyarrow as pa

    from octavo.features.events.ipc import check_messages

    stream = body[_MAGIC_BYTES:] if body.startswith(_MAGIC) else body
    try:
        check_messages(stream, most_rows=lineup.max_rows, most_bytes=max(len(stream), _MOST_BYTES))
        batch = _read(stream)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise InvalidRequest(f"the body is no Arrow that can be read: {str(error)[:200]}", fix=_FIX) from error
    check_count(lineup, batch.num_rows)
    names = batch.schema.names
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"{name[:80]!r} is the name of two columns", field=name[:80], fix="send it once")
    together, values = _side_by_side(batch)
    columns = dict(zip(together, values.T, strict=True)) if values is not None else {}
    for place, name in enumerate(names):
        if name not in columns:
            columns[name] = _column(name, batch.column(place))
    side_by_side = None if values is None else (together, values)
    return asked_by_columns(lineup, columns, n_rows=batch.num_rows, side_by_side=side_by_side)


def _side_by_side(batch: "pa.RecordBatch") -> tuple[list[str], Any]:
    """Columns of numbers of the type that most are of, and these as one array, shape (n_rows, n_columns).

    Arrow puts them side by side itself, which takes a quarter of the time of doing so column by column. There is no
    array where one holds a null, or it is not worth it.
    """
    import pyarrow as pa

    types = batch.schema.types
    kind = pa.float32() if types.count(pa.float32()) > len(types) // 2 else pa.float64()
    places = [place for place, one in enumerate(types) if one == kind]
    if len(places) < _FEW:
        return [], None
    chosen = batch.select(places)
    try:
        return chosen.schema.names, chosen.to_tensor(row_major=True).to_numpy()
    except pa.ArrowException:
        return [], None


def _read(stream: bytes) -> "pa.RecordBatch":
    """All rows of a stream as one batch, which is what its buffers can bear."""
    import pyarrow as pa

    reader = pa.ipc.open_stream(stream)
    batches = list(reader)
    for batch in batches:
        batch.validate(full=True)
    if len(batches) == 1:
        return batches[0]
    whole = pa.Table.from_batches(batches, reader.schema).combine_chunks().to_batches()
    return whole[0] if whole else pa.RecordBatch.from_pylist([], schema=reader.schema)


def encode_arrow(answer: Predictions, *, with_values: bool = False, live: str = "live") -> bytes:
    """An answer as a stream of one batch.

    Its columns are id, value and version; ``arm`` where not all rows are answered by the live version, ``features``
    (the statuses of those of a row's inputs that are not present, as JSON) where not all are, and ``values`` if they
    were asked for. What is said of all rows stands in the schema's metadata.
    """
    plain = len(answer.shares) == 1 and answer.shares[0].arm == live and answer.shares[0].status is None
    if not plain or with_values:
        return _written(answer, with_values=with_values, live=live)
    share = answer.shares[0]
    parts = _around(answer.deployment, answer.model, share.version, len(answer), answer.degraded)
    return parts.before + answer.ids.letters.tobytes() + parts.between + answer.values.tobytes() + parts.after


def _written(answer: Predictions, *, with_values: bool, live: str) -> bytes:
    import pyarrow as pa

    n_rows = len(answer)
    offsets = np.arange(n_rows + 1, dtype=np.int32) * np.int32(ID_LETTERS)
    letters = pa.py_buffer(answer.ids.letters)
    columns = {
        "id": pa.Array.from_buffers(pa.utf8(), n_rows, [None, pa.py_buffer(offsets), letters]),
        "value": pa.array(answer.values),
        "version": pa.array(answer.versions),
    }
    if any(share.arm != live for share in answer.shares):
        columns["arm"] = pa.array(_arms(answer)).dictionary_encode()
    if any(share.status is not None for share in answer.shares):
        columns["features"] = pa.array([told or None for told in statuses_by_row(answer)]).dictionary_encode()
    if with_values:
        columns["values"] = pa.array(values_by_row(answer))
    about = {"deployment": answer.deployment, "model": answer.model, "degraded": "true" if answer.degraded else "false"}
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)).replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]  # bytes


class _Around(NamedTuple):
    """What stands around the ids and the values of answers that are alike in all else."""

    before: bytes
    between: bytes
    after: bytes


_ID, _VALUE = b"\xa5" * ID_BYTES, 1 / 3


@lru_cache(_REMEMBERED)
def _around(deployment: str, model: str, version: int, n_rows: int, degraded: bool) -> _Around:  # a key of the cache
    """Cut from an answer that Arrow writes, with ids and a value that are found again in it."""
    share = Share(slice(None), version, "live", None, None, None, None)  # type: ignore[arg-type]  # not looked at
    ids, values = Ids(_ID * n_rows), np.full(n_rows, _VALUE)
    answer = Predictions(deployment, model, ids=ids, values=values, shares=[share], degraded=degraded)
    before, _, rest = _written(answer, with_values=False, live=share.arm).partition(ids.letters.tobytes())
    between, _, after = rest.partition(values.tobytes())
    return _Around(before, between, after)


def _arms(answer: Predictions) -> list[str]:
    arms = np.empty(len(answer), object)
    for share in answer.shares:
        arms[share.rows] = share.arm
    return arms.tolist()


def _column(name: str, column: "pa.Array") -> Any:
    """A column as a list, an array or words; nulls stay nulls."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_floating(kind):
        return column.to_numpy(zero_copy_only=False)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.to_pylist() if column.null_count else column.to_numpy(zero_copy_only=False)
    if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
        return _words(column)
    if _is_text(kind):
        return _words(column.dictionary_encode())
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _instants(name, column)
    if pa.types.is_null(kind):
        return [None] * len(column)
    raise InvalidRequest(
        f"column {name[:80]!r} is of the type {str(kind)[:80]}, which no field takes",
        field=name[:80],
        fix="send numbers, booleans, strings, or timestamps with a zone",
    )


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _words(column: "pa.DictionaryArray") -> Words:
    words: list[str | None] = column.dictionary.to_pylist()
    places = column.indices
    if places.null_count:
        places, words = places.fill_null(len(words)), [*words, None]
    return Words(words, places.to_numpy(zero_copy_only=False).astype(np.int32))


def _instants(name: str, column: "pa.Array") -> Any:
    import pyarrow as pa

    try:
        # Nanoseconds are cut off, as they are in JSON; seconds of a far year do not fit, and must not wrap around.
        micros = column.cast(pa.timestamp("us", tz="UTC"), safe=column.type.unit != "ns")
        if not column.null_count:
            return micros.to_numpy(zero_copy_only=False)
        return micros.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise InvalidRequest(
            f"column {name[:80]!r} holds an instant that cannot be told in microseconds",
            field=name[:80],
            fix="send instants of the years 1900 to 2200",
        ) from error
