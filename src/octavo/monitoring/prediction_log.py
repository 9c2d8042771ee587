"""From the predictor's log into the table of predictions, each record exactly once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.clock import from_micros
from octavo.errors import IntegrityError
from octavo.serving.ids import ID_LETTERS, Ids, ids_of
from octavo.serving.recorder import TOPIC
from octavo.serving.records import INPUT, WORDS, BlockColumn, BlockHead, PredictionBlock, PredictionRecord
from octavo.stores.columns import TIME
from octavo.stores.ports import EventStream, Tables

TABLE, WRITER = "predictions", "shipper"
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "at": TIME,
        "deployment": pa.string(),
        "model": pa.string(),
        "version": pa.int64(),
        "digest": pa.string(),
        "arm": pa.string(),
        "entities": pa.string(),
        "request": pa.string(),
        "inputs": pa.binary(),
        "status": pa.binary(),
        "ages_s": pa.binary(),
        "output": pa.float64(),
        "latency_us": pa.int64(),
        "caller": pa.string(),
        "trace": pa.string(),
        "propensity": pa.float64(),
        "group": pa.string(),
        "parent": pa.string(),
    }
)
"""Entities and request are JSON objects; inputs and ages are rows of float32, status one byte per input; propensity and
group are null in rows that were recorded before there were experiments. A parent is the prediction of the composite of
which this is a node's."""

_INPUT_BYTES, _AGE_BYTES = 4, 4
_NO_AGE = np.float32(np.nan).tobytes()


def writer_of(worker: int) -> str:
    """Under which name the table notes how far the log of one of the predictor's workers is shipped."""
    return f"{WRITER}-{worker}" if worker else WRITER


def ship_predictions(log: EventStream, tables: Tables, *, writer: str = WRITER, max_bytes: int = 16_000_000) -> int:
    """Append the next records of a predictor's log to the table.

    How far the log is shipped stands in the table itself, committed with the rows, so a crash at any point neither
    loses nor doubles one. One process at a time may ship.

    Returns
    -------
    int
        How many records were shipped; 0 at the end of the log.

    Raises
    ------
    IntegrityError
        If the log holds what is no prediction record.
    """
    start = max(tables.written(TABLE, writer), 0)
    payloads = log.read(TOPIC, start=start, max_bytes=max_bytes)
    if not payloads:
        return 0
    rows = rows_of(payloads)
    tables.ensure(TABLE, SCHEMA)
    tables.append(TABLE, rows, writer=writer, sequence=payloads[-1][0] + 1)
    return len(payloads)


def rows_of(payloads: Sequence[tuple[int, bytes]]) -> pa.Table:
    """The table's rows that payloads of the log, each with its offset, hold.

    Raises
    ------
    IntegrityError
        If one is no record of predictions.
    """
    return placed_rows_of(payloads)[0]


def placed_rows_of(payloads: Sequence[tuple[int, bytes]]) -> tuple[pa.Table, list[tuple[int, int]]]:
    """As `rows_of`, and beside it where each row stands: its payload's offset, and which of this payload's it is."""
    found = [_decode(payload, offset=offset) for offset, payload in payloads]
    rows = pa.concat_tables([_of_kind[kind](list(run)) for kind, run in groupby(found, type)])
    counts = (one.n_rows if isinstance(one, PredictionBlock) else 1 for one in found)
    return rows, [(offset, row) for (offset, _), n in zip(payloads, counts, strict=True) for row in range(n)]


_decode_block = msgspec.msgpack.Decoder(PredictionBlock).decode
_decode_record = msgspec.msgpack.Decoder(PredictionRecord).decode
_decode_head = lru_cache(1024)(msgspec.msgpack.Decoder(BlockHead).decode)


def _decode(payload: bytes, *, offset: int) -> PredictionBlock | PredictionRecord:
    try:
        return _decode_block(payload)
    except msgspec.MsgspecError:
        pass
    try:
        return _decode_record(payload)
    except msgspec.MsgspecError as error:
        raise IntegrityError(
            f"record {offset} of the prediction log cannot be read: {error}; the predictor that wrote it is of another "
            "release, or the log was changed",
            offset=offset,
        ) from error


def _of_records(records: Sequence[PredictionRecord]) -> pa.Table:
    encode, n_rows = msgspec.json.encode, len(records)
    columns = {
        "at": pa.array([r.at_us for r in records], pa.int64()).cast(TIME),
        "entities": [encode(r.entities).decode() for r in records],
        "request": [encode(r.request).decode() for r in records],
        "propensity": [None] * n_rows,
        "group": [None] * n_rows,
        "parent": [None] * n_rows,
    }
    return pa.table(
        [
            pa.array(
                columns[field.name] if field.name in columns else [getattr(r, field.name) for r in records], field.type
            )
            for field in SCHEMA
        ],
        schema=SCHEMA,
    )


def _of_blocks(blocks: Sequence[PredictionBlock]) -> pa.Table:
    heads = [_decode_head(bytes(block.head)) for block in blocks]
    n_rows = np.array([block.n_rows for block in blocks])
    which = np.repeat(np.arange(len(blocks)), n_rows)
    inputs = list(map(_inputs, blocks, heads))
    n_inputs = [len(one) // _INPUT_BYTES // block.n_rows for one, block in zip(inputs, blocks, strict=True)]
    sizes = np.repeat(n_inputs, n_rows)
    parts = list(zip(blocks, heads, n_inputs, strict=True))
    sent = [
        (head, _sent(block, head, matrix), block.n_rows) for (block, head, _), matrix in zip(parts, inputs, strict=True)
    ]
    columns = {
        "id": _texts(Ids(b"".join(ids_of(block.ids, block.n_rows).data for block in blocks))),
        "at": pa.array(np.array([block.at_us for block in blocks], np.int64)[which]).cast(TIME),
        "entities": [text for head, values, n in sent for text in _objects(head.keys, values, n, nulls=False)],
        "request": [text for head, values, n in sent for text in _objects(head.fields, values, n, nulls=True)],
        "inputs": _binary(inputs, sizes * _INPUT_BYTES),
        "status": _binary([block.status or bytes(n * block.n_rows) for block, _, n in parts], sizes),
        "ages_s": _binary([block.ages_s or _NO_AGE * (n * block.n_rows) for block, _, n in parts], sizes * _AGE_BYTES),
        "output": np.frombuffer(b"".join(block.outputs for block in blocks), "<f8"),
        "propensity": [one for block in blocks for one in _each(block.propensity, block.n_rows)],
        "group": [one for block in blocks for one in _each(block.group, block.n_rows)],
        "parent": [one for block in blocks for one in (Ids(block.parents) or [None] * block.n_rows)],
    }
    for name in ("deployment", "model", "version", "digest", "arm"):
        columns[name] = pa.array([getattr(head, name) for head in heads], SCHEMA.field(name).type).take(pa.array(which))
    for name in ("latency_us", "caller", "trace"):
        columns[name] = [one for block in blocks for one in _each(getattr(block, name), block.n_rows)]
    return pa.table(
        [
            found if isinstance(found := columns[field.name], pa.Array) else pa.array(found, field.type)
            for field in SCHEMA
        ],
        schema=SCHEMA,
    )


_of_kind: dict[type, Callable[[Any], pa.Table]] = {PredictionRecord: _of_records, PredictionBlock: _of_blocks}


def _each(value: Any, n_rows: int) -> Sequence[Any]:
    return value if isinstance(value, list) else [value] * n_rows


def _texts(ids: Ids) -> pa.Array:
    offsets = np.arange(len(ids) + 1, dtype=np.int32) * np.int32(ID_LETTERS)
    return pa.Array.from_buffers(
        pa.string(), len(ids), [None, pa.py_buffer(offsets), pa.py_buffer(ids.letters.tobytes())]
    )


def _binary(parts: Sequence[bytes], sizes: npt.NDArray[np.int64]) -> pa.Array:
    """Values of these sizes, which stand behind each other in the parts."""
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    return pa.Array.from_buffers(pa.binary(), len(sizes), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(parts))])


def _inputs(block: PredictionBlock, head: BlockHead) -> bytes:
    """The model's matrix, with those columns again that are kept as they were sent alone."""
    sent = dict(_kept_as_sent(block, head))
    if not sent:
        return block.inputs
    others = np.frombuffer(block.inputs, "<f4").reshape(block.n_rows, -1)
    matrix = np.empty((block.n_rows, others.shape[1] + len(sent)), "<f4")
    is_other = np.ones(matrix.shape[1], np.bool_)
    for column, values in sent.items():
        matrix[:, column], is_other[column] = values, False
    matrix[:, is_other] = others
    return matrix.tobytes()


def _kept_as_sent(block: PredictionBlock, head: BlockHead) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """The columns of the matrix that do not stand among the inputs."""
    if block.is_short:
        for place, column in head.sent.items():
            yield column, np.array([row[place] for row in block.rows or ()], np.float64)
    for one in block.columns or ():
        if one is not None and one.column >= 0 and one.kind != INPUT:
            yield one.column, np.frombuffer(one.data, one.kind)


def _sent(block: PredictionBlock, head: BlockHead, matrix: bytes) -> dict[int, Sequence[Any]]:
    """The values of the request's fields by their places; none if it came as the model's inputs."""
    if block.rows is not None:
        return dict(enumerate(zip(*block.rows, strict=True)))
    if block.columns is None:
        return {}
    places = [*head.keys.values(), *head.fields.values()]
    columns = {place: block.columns[place] for place in places}
    return {
        place: [None] * block.n_rows if column is None else _values(column, matrix, n_rows=block.n_rows)
        for place, column in columns.items()
    }


def _values(column: BlockColumn, matrix: bytes, *, n_rows: int) -> list[Any]:
    if column.kind == INPUT:
        inputs: list[Any] = np.frombuffer(matrix, "<f4").reshape(n_rows, -1)[:, column.column].tolist()
        return inputs
    if column.kind == WORDS:
        places = np.frombuffer(column.data, np.uint8 if len(column.data) == n_rows else "<i4")
        return [column.words[place] for place in places.tolist()]
    values = np.frombuffer(column.data, column.kind)
    if values.dtype.kind == "M":
        return [from_micros(micros).isoformat() for micros in values.view(np.int64).tolist()]
    if values.dtype.kind == "f":
        return [None if value != value else value for value in values.tolist()]  # NaN differs from itself
    plain: list[Any] = values.tolist()
    return plain


def _objects(places: Mapping[str, int], sent: Mapping[int, Sequence[Any]], n_rows: int, *, nulls: bool) -> list[str]:
    """Fields of each row as a JSON object."""
    if not places or not sent:
        return ["{}"] * n_rows
    names, encode = tuple(places), msgspec.json.encode
    rows = zip(*(sent[place] for place in places.values()), strict=True)
    if nulls:
        return [encode(dict(zip(names, row, strict=True))).decode() for row in rows]
    some = ({name: one for name, one in zip(names, row, strict=True) if one is not None} for row in rows)
    return [encode(one).decode() for one in some]
