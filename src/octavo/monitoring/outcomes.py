"""Outcomes: accepted into the stream, and from there into their table, each exactly once.

Of several outcomes of one prediction the one known last counts, and of those known at the same moment the one accepted
last; so an outcome sent twice counts once, and a correction counts instead of what it corrects.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import pyarrow as pa

from octavo.clock import Clock, to_micros
from octavo.errors import IntegrityError, InvalidRequest, LimitExceeded
from octavo.features.events.faults import CLOCK_TOLERANCE_S, FIRST_YEAR
from octavo.serving.records import OutcomeRecord
from octavo.stores.columns import TIME
from octavo.stores.ports import EventStream, Tables

TOPIC = TABLE = "outcomes"
WRITER = "shipper"
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "prediction": pa.string(),
        "value": pa.float64(),
        "known_at": TIME,
        "received_at": TIME,
        "sequence": pa.int64(),
    }
)
"""The sequence rises in the order in which outcomes were accepted."""

ROWS_PER_PAYLOAD = 4_096
MOST_ROWS = 100_000
LARGEST = 1e100
"""Values beyond are absurd: their squares overflow."""

LONGEST_ID = 200
_PREDICTION = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[OutcomeRecord])


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """The truth about one prediction.

    Attributes
    ----------
    prediction : str
        The prediction's id; it may arrive before the prediction itself is in the table.
    value : float
        The raw value of the label's column.
    known_at : datetime or None
        When it became known; now unless given.
    id : str or None
        Of the outcome; made from the other fields unless given.
    """

    prediction: str
    value: float
    known_at: datetime | None = None
    id: str | None = None


def record_outcomes(rows: Sequence[OutcomeRow], *, stream: EventStream, clock: Clock) -> int:
    """Accept outcomes, all or none; when it returns they are durable.

    Returns
    -------
    int
        How many were accepted.

    Raises
    ------
    InvalidRequest
        For the first row that is wrong; names it and the fix.
    """
    if not rows:
        raise InvalidRequest("rows is empty", field="rows", fix="send at least one outcome")
    if len(rows) > MOST_ROWS:
        raise LimitExceeded(f"{len(rows):,} outcomes are too many at once", field="rows", fix=f"send {MOST_ROWS:,}")
    now = clock.now()
    records = [_record(row, place=place, now=now) for place, row in enumerate(rows)]
    stream.publish(TOPIC, [_encode(part) for part in _parts(records)])
    return len(records)


def ship_outcomes(stream: EventStream, tables: Tables, *, max_bytes: int = 16_000_000) -> int:
    """Append the next accepted outcomes to their table.

    How far the stream is shipped stands in the table itself, committed with the rows, so a crash at any point neither
    loses nor doubles one. One process at a time may ship.

    Returns
    -------
    int
        How many payloads were shipped; 0 at the end of the stream.

    Raises
    ------
    IntegrityError
        If the stream holds what are no outcomes.
    """
    start = max(tables.written(TABLE, WRITER), 0)
    payloads = stream.read(TOPIC, start=start, max_bytes=max_bytes)
    if not payloads:
        return 0
    shipped = [(offset, _decode(payload, offset=offset)) for offset, payload in payloads]
    if start == 0:
        tables.ensure(TABLE, SCHEMA)
    rows = _columns(shipped)
    tables.append(TABLE, rows, writer=WRITER, sequence=payloads[-1][0] + 1)
    return len(shipped)


def _record(row: OutcomeRow, *, place: int, now: datetime) -> OutcomeRecord:
    if not _PREDICTION.match(row.prediction):
        raise _refusal(
            place, "prediction", "is no id of a prediction", "send the id that the prediction was answered with"
        )
    if not math.isfinite(row.value) or abs(row.value) > LARGEST:
        raise _refusal(place, "value", "is not a finite number of a sensible size", "send the label's raw value")
    known_at = now if row.known_at is None else _checked_time(row.known_at, place=place, now=now)
    value, known_at_us = float(row.value) + 0.0, to_micros(known_at)
    return OutcomeRecord(
        id=_digest(row.prediction, value, known_at_us) if row.id is None else _checked_id(row.id, place=place),
        prediction=row.prediction,
        value=value,
        known_at_us=known_at_us,
        received_at_us=to_micros(now),
    )


def _checked_time(known_at: datetime, *, place: int, now: datetime) -> datetime:
    if known_at.tzinfo is None:
        raise _refusal(place, "known_at", "is a time without an offset", "send RFC 3339: 2013-07-01T12:00:00Z")
    if known_at.year < FIRST_YEAR:
        raise _refusal(
            place, "known_at", "is a time of an absurd year", f"send a time of the year {FIRST_YEAR} or later"
        )
    if known_at > now + timedelta(seconds=CLOCK_TOLERANCE_S):
        raise _refusal(
            place,
            "known_at",
            "lies in the future of the platform's clock",
            f"send outcomes once they are known (at most {CLOCK_TOLERANCE_S} s ahead), and check the sender's clock",
        )
    return known_at


def _checked_id(given: str, *, place: int) -> str:
    if not given or len(given) > LONGEST_ID or not given.isprintable():
        raise _refusal(place, "id", "cannot be an id", f"send 1 to {LONGEST_ID} printable characters, or leave it out")
    return given


def _digest(prediction: str, value: float, known_at_us: int) -> str:
    return hashlib.blake2b(f"{prediction} {value!r} {known_at_us}".encode(), digest_size=16).hexdigest()


def _refusal(place: int, field: str, what: str, fix: str) -> InvalidRequest:
    where = f"rows[{place}].{field}"
    return InvalidRequest(f"{where} {what}", field=where, fix=fix)


def _parts(records: Sequence[OutcomeRecord]) -> Iterator[Sequence[OutcomeRecord]]:
    for start in range(0, len(records), ROWS_PER_PAYLOAD):
        yield records[start : start + ROWS_PER_PAYLOAD]


def _decode(payload: bytes, *, offset: int) -> list[OutcomeRecord]:
    try:
        return _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise IntegrityError(
            f"payload {offset} of the topic {TOPIC!r} holds no outcomes: {error}; it was written by another release or "
            "changed",
            offset=offset,
        ) from error


def _columns(shipped: Sequence[tuple[int, Sequence[OutcomeRecord]]]) -> pa.Table:
    records = [record for _, payload in shipped for record in payload]
    order = [offset * ROWS_PER_PAYLOAD + row for offset, payload in shipped for row in range(len(payload))]
    return pa.table(
        [
            pa.array([r.id for r in records], pa.string()),
            pa.array([r.prediction for r in records], pa.string()),
            pa.array([r.value for r in records], pa.float64()),
            pa.array([r.known_at_us for r in records], pa.int64()).cast(TIME),
            pa.array([r.received_at_us for r in records], pa.int64()).cast(TIME),
            pa.array(order, pa.int64()),
        ],
        schema=SCHEMA,
    )
