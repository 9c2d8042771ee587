"""From the predictor's log into the table of predictions, each record exactly once."""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from octavo.errors import IntegrityError
from octavo.serving.recorder import TOPIC
from octavo.serving.records import PredictionRecord
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
    }
)
"""Entities and request are JSON objects; inputs and ages are rows of float32, status one byte per input."""


def ship_predictions(log: EventStream, tables: Tables, *, max_bytes: int = 16_000_000) -> int:
    """Append the next records of the predictor's log to the table.

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
    start = max(tables.written(TABLE, WRITER), 0)
    payloads = log.read(TOPIC, start=start, max_bytes=max_bytes)
    if not payloads:
        return 0
    rows = _columns([_decode(payload, offset=offset) for offset, payload in payloads])
    if start == 0:
        tables.ensure(TABLE, SCHEMA)
    tables.append(TABLE, rows, writer=WRITER, sequence=payloads[-1][0] + 1)
    return len(payloads)


_decoder = msgspec.msgpack.Decoder(PredictionRecord)


def _decode(payload: bytes, *, offset: int) -> PredictionRecord:
    try:
        return _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise IntegrityError(
            f"record {offset} of the prediction log cannot be read: {error}; the predictor that wrote it is of another "
            "release, or the log was changed",
            offset=offset,
        ) from error


def _columns(records: Sequence[PredictionRecord]) -> pa.Table:
    encode = msgspec.json.encode
    columns = {
        "at": pa.array([r.at_us for r in records], pa.int64()).cast(TIME),
        "entities": [encode(r.entities).decode() for r in records],
        "request": [encode(r.request).decode() for r in records],
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
