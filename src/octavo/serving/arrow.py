"""Requests and answers as Arrow IPC, which costs a row next to nothing: a column per field, a column per output.

Arrow itself is heavy, and loaded when the first request needs it. What a stream claims is checked before Arrow believes
it; what its columns hold is checked as values in JSON are.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from octavo.errors import InvalidRequest
from octavo.serving.answers import Predictions, Share, statuses_by_row, values_by_row
from octavo.serving.arrow_columns import Batch, Column, Take, coded, numbers, written
from octavo.serving.arrow_forms import Forms, Sent
from octavo.serving.asked import Asked
from octavo.serving.columns import Words
from octavo.serving.ids import ID_BYTES, ID_LETTERS, Ids
from octavo.serving.reading import Addressee, asked_by_columns
from octavo.serving.routes import Headers, content_type

if TYPE_CHECKING:
    import pyarrow as pa

STREAM, FILE = b"application/vnd.apache.arrow.stream", b"application/vnd.apache.arrow.file"
KINDS = (STREAM, FILE)

_MAGIC, _MAGIC_BYTES = b"ARROW1", 8
_MOST_BYTES = 16_000_000
"""Of what a compressed stream may become."""
_FEW, _SOME, _FEWEST_BUFFERS = 4, 500, 2
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


def read_arrow(lineup: Addressee, body: bytes) -> Asked:
    """What a stream, or a file, asks for: a column per field, a row per prediction.

    Raises
    ------
    InvalidRequest
        If it is no such thing, or a column or a value is none that the deployment takes.
    LimitExceeded
        If it has too many rows, or becomes too large when it is decompressed.
    """
    stream = body[_MAGIC_BYTES:] if body.startswith(_MAGIC) else body
    most_rows, most_bytes = lineup.max_rows, max(len(stream), _MOST_BYTES)
    sent = _forms.read(stream, most_rows=most_rows, most_bytes=most_bytes)
    if sent is None:
        sent = read_by_arrow(stream, _forms, most_rows=most_rows, most_bytes=most_bytes)
    return asked_by_columns(lineup, sent.columns, n_rows=sent.n_rows, side_by_side=sent.side_by_side)


_forms = Forms()


def read_by_arrow(stream: bytes, forms: Forms, *, most_rows: int, most_bytes: int) -> Sent:
    """What a stream holds that Arrow has to read; it leaves its form behind. Raises as `read_arrow` does."""
    import pyarrow as pa

    from octavo.features.events.ipc import check_messages

    whole = pa.py_buffer(stream)
    try:
        check_messages(stream, most_rows=most_rows, most_bytes=most_bytes)
        with pa.ipc.open_stream(whole) as reader:
            batches = list(reader)
        for batch in batches:
            batch.validate(full=True)
        batch, names = _together(batches, reader.schema), reader.schema.names
    except (ValueError, OSError, pa.ArrowException) as error:
        raise InvalidRequest(f"the body is no Arrow that can be read: {str(error)[:200]}", fix=_FIX) from error
    _check_names(names)
    alike, takes = _alike(batch.schema.types), list(map(_taker, names, batch.schema.types))
    if len(batches) == 1:
        columns = [_placed(*one, whole) for one in zip(names, batch.columns, takes, strict=True)]
        forms.learn(stream, columns, alike)
    return _sent(batch, takes, alike)


def _together(batches: "Sequence[pa.RecordBatch]", schema: "pa.Schema") -> "pa.RecordBatch":
    """All rows as one batch, which is what its buffers can bear."""
    import pyarrow as pa

    if len(batches) == 1:
        return batches[0]
    whole = pa.Table.from_batches(batches, schema).combine_chunks().to_batches()
    return whole[0] if whole else pa.RecordBatch.from_pylist([], schema=schema)


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"{name[:80]!r} is the name of two columns", field=name[:80], fix="send it once")


def _alike(types: "Sequence[pa.DataType]") -> list[int]:
    """The places of the numbers of the type that most are of; none if these are few."""
    import pyarrow as pa

    kind = pa.float32() if types.count(pa.float32()) > len(types) // 2 else pa.float64()
    alike = [place for place, one in enumerate(types) if one == kind]
    return alike if len(alike) >= _FEW else []


def _sent(batch: "pa.RecordBatch", takes: "Sequence[Callable[[pa.Array], Any]]", alike: Sequence[int]) -> Sent:
    together, values = _side_by_side(batch, alike)
    columns = {} if values is None else dict(zip(together, values.T, strict=True))
    for place, (name, take) in enumerate(zip(batch.schema.names, takes, strict=True)):
        if name not in columns:
            columns[name] = take(batch.column(place))
    return Sent(batch.num_rows, columns, None if values is None else (together, values))


def _side_by_side(batch: "pa.RecordBatch", alike: Sequence[int]) -> tuple[list[str], Any]:
    """Columns of numbers that are alike, and these as one array, shape (n_rows, n_columns), each whole in memory.

    Arrow puts them side by side itself, which takes a tenth of the time of doing so column by column. There is no
    array where one holds a null, or it is not worth it.
    """
    import pyarrow as pa

    if not alike:
        return [], None
    try:
        values = batch.select(alike).to_tensor(row_major=False).to_numpy()
    except pa.ArrowException:
        return [], None
    return [batch.schema.names[place] for place in alike], values


def _placed(name: str, column: "pa.Array", take: "Callable[[pa.Array], Any]", stream: "pa.Buffer") -> Column | None:
    """Where a column lies in a stream, and how it is taken from there; None if its buffers are not the usual ones."""
    import pyarrow as pa

    kind, buffers = column.type, column.buffers()
    if len(buffers) < _FEWEST_BUFFERS or buffers[1] is None or pa.types.is_string_view(kind):
        return None
    at = buffers[1].address - stream.address
    if pa.types.is_dictionary(kind):
        words = _placed(name, column.dictionary, take, stream)
        return words and Column(name, coded, at, _numpy(kind.index_type), words)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return Column(name, numbers, at, _numpy(kind))
    by_arrow = partial(_by_arrow, kind, len(buffers), take)
    if _is_text(kind):
        return Column(name, partial(_texts, by_arrow), at, _numpy(kind))
    return Column(name, by_arrow, at)


def _numpy(kind: "pa.DataType") -> np.dtype[Any]:
    """Of numbers, or of the offsets of texts."""
    import pyarrow as pa

    if _is_text(kind):
        return np.dtype(np.int64 if pa.types.is_large_string(kind) else np.int32)
    dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return dtype


def _texts(by_arrow: Take, column: Column, batches: Sequence[Batch]) -> Any:
    """Take texts that are written out: a few hundred by a loop, since Arrow's code has left the caches by then."""
    return (written if batches[column.message].n_rows <= _SOME else by_arrow)(column, batches)


def _by_arrow(
    kind: "pa.DataType",
    n_buffers: int,
    take: "Callable[[pa.Array], Any]",
    column: Column,
    batches: Sequence[Batch],
) -> Any:
    import pyarrow as pa

    batch = batches[column.message]
    whole, n_nulls = pa.py_buffer(batch.stream), batch.said.nulls[column.node]
    nulls, *buffers = [whole[batch.place(column.buffer + place)] for place in range(-1, n_buffers - 1)]
    array = pa.Array.from_buffers(kind, batch.n_rows, [nulls if n_nulls else None, *buffers], n_nulls)
    array.validate(full=True)
    return take(array)


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
    return b"".join((parts.before, answer.ids.letters.tobytes(), parts.between, answer.values.tobytes(), parts.after))


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


def _taker(name: str, kind: "pa.DataType") -> "Callable[[pa.Array], Any]":
    """What takes columns of a type.

    Raises
    ------
    InvalidRequest
        If no field is of it.
    """
    import pyarrow as pa

    if pa.types.is_floating(kind):
        return partial(pa.Array.to_numpy, zero_copy_only=False)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return _whole_numbers
    if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
        return _words
    if _is_text(kind):
        return lambda column: _words(column.dictionary_encode())
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return partial(_instants, name)
    if pa.types.is_null(kind):
        return pa.Array.to_pylist  # type: ignore[no-any-return]  # a method
    raise InvalidRequest(
        f"column {name[:80]!r} is of the type {str(kind)[:80]}, which no field takes",
        field=name[:80],
        fix="send numbers, booleans, strings, or timestamps with a zone",
    )


def _whole_numbers(column: "pa.Array") -> Any:
    return column.to_pylist() if column.null_count else column.to_numpy(zero_copy_only=False)


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
