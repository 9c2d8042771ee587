"""Events that could not be taken, kept with the reason: in a durable topic, and from there in a table.

Both hold what happened to a letter, one entry after another, and the last entry says how it stands. A letter is known
by what it says, so an event that is sent twice and refused twice is one letter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import msgspec
import pyarrow as pa

from octavo.clock import Clock
from octavo.errors import IntegrityError
from octavo.features.events.refusals import PayloadKind, Refused
from octavo.stores.columns import TIME
from octavo.stores.ports import EventStream, Tables

WRITER = "shipper"
LONGEST_PAYLOAD_BYTES = 65_536
"""More of an event is not kept; it cannot be replayed."""
SCHEMA = pa.schema(
    {
        "letter": pa.string(),
        "at": TIME,
        "state": pa.string(),
        "field": pa.string(),
        "reason": pa.string(),
        "kind": pa.string(),
        "payload": pa.binary(),
        "size_bytes": pa.int64(),
        "sequence": pa.int64(),
    }
)
"""An entry about a letter; kind, payload and size stand in the entries that came with the event itself."""

_ENTRIES_PER_PAYLOAD, _BYTES_PER_PAYLOAD = 4_096, 500_000
_SHIPPED_BYTES = 16_000_000


class LetterState(StrEnum):
    """How a dead letter stands."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that happened to a letter.

    Attributes
    ----------
    payload : bytes or None
        The event as it was sent, or its first `LONGEST_PAYLOAD_BYTES`; None if an earlier entry has it.
    size_bytes : int
        Of the event as it was sent.
    """

    letter: str
    at_us: int
    state: LetterState
    field: str
    reason: str
    kind: PayloadKind | None = None
    payload: bytes | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter as it stands.

    Attributes
    ----------
    received_at, changed_at : datetime
        When it was first refused, and when its state or reason last changed.
    field : str
        The column at fault; empty if it is none in particular.
    reason : str
        Why it could not be taken, the last time that was tried; of one that was discarded, why that was.
    """

    id: str
    source: str
    received_at: datetime
    changed_at: datetime
    state: LetterState
    field: str
    reason: str
    kind: PayloadKind
    payload: bytes
    size_bytes: int

    @property
    def is_cut(self) -> bool:
        """Whether not all of the event was kept."""
        return self.size_bytes > len(self.payload)


def topic_of_letters(source: str) -> str:
    """The stream topic of a source's dead letters."""
    return f"dead.{source}"


def table_of_letters(source: str) -> str:
    """The table of a source's dead letters."""
    return f"dead_letters/{source}"


def letter_id(event: Refused, *, source: str) -> str:
    """By which a refused event is known again: 32 hex digits."""
    digest = blake2b(f"{source} {event.kind} ".encode(), digest_size=16)
    digest.update(event.payload)
    return digest.hexdigest()


def keep_refused(events: Sequence[Refused], *, source: str, stream: EventStream, clock: Clock) -> tuple[str, ...]:
    """Keep events that could not be taken; when it returns they are durable.

    Returns
    -------
    tuple of str
        The id of the letter of each.
    """
    now_us = clock.now_us()
    entries = [
        Entry(
            letter=letter_id(event, source=source),
            at_us=now_us,
            state=LetterState.WAITING,
            field=event.field,
            reason=event.reason,
            kind=event.kind,
            payload=event.payload[:LONGEST_PAYLOAD_BYTES],
            size_bytes=len(event.payload),
        )
        for event in events
    ]
    add_entries(entries, source=source, stream=stream)
    return tuple(entry.letter for entry in entries)


def add_entries(entries: Sequence[Entry], *, source: str, stream: EventStream) -> None:
    """Note what happened to letters; when it returns it is durable."""
    payloads = [_encode(part) for part in _parts(entries)]
    if payloads:
        stream.publish(topic_of_letters(source), payloads)


def ship_letters(source: str, stream: EventStream, tables: Tables, *, max_bytes: int = _SHIPPED_BYTES) -> int:
    """Append the next entries about a source's letters to their table.

    How far the topic is shipped stands in the table itself, committed with the rows, so a crash at any point neither
    loses nor doubles one. One process at a time may ship.

    Returns
    -------
    int
        How many payloads were shipped; 0 at the end of the topic.
    """
    table = table_of_letters(source)
    start = max(tables.written(table, WRITER), 0)
    entries, end = _read(source, stream, start=start, max_bytes=max_bytes)
    if end == start:
        return 0
    if start == 0:
        tables.ensure(table, SCHEMA)
    tables.append(table, entries, writer=WRITER, sequence=end)
    return end - start


def find_letters(
    source: str,
    *,
    stream: EventStream,
    tables: Tables,
    state: LetterState | None = LetterState.WAITING,
    reason: str = "",
    ids: Sequence[str] = (),
    after: str | None = None,
    limit: int = 100,
) -> list[Letter]:
    """Letters of a source, shipped or not.

    Parameters
    ----------
    state : LetterState or None
        All if None.
    reason : str
        What the reason contains, whatever the case of its letters.
    ids : sequence of str
        These only, if any is given.
    after : str or None
        If given, those whose id is beyond it, by id; else those that were received last come first.
    """
    order = "received_at DESC, letter" if after is None else "letter"
    found = tables.query(
        f"SELECT * FROM ({_LETTERS}) WHERE ($state = '' OR state = $state) AND contains(lower(reason), lower($reason))"
        f" AND (len($ids) = 0 OR list_contains($ids, letter)) AND letter > $after ORDER BY {order} LIMIT $limit",
        **_relations(source, stream, tables),
        parameters={
            "state": state or "",
            "reason": reason,
            "ids": list(ids),
            "after": after or "",
            "limit": limit,
        },
    )
    return [_letter(row, source) for row in found.to_pylist()]


def count_letters(source: str, *, stream: EventStream, tables: Tables) -> dict[LetterState, int]:
    """How many letters of a source stand how."""
    found = tables.query(
        f"SELECT state, count(*) AS letters FROM ({_LETTERS}) GROUP BY state", **_relations(source, stream, tables)
    )
    return {LetterState(row["state"]): row["letters"] for row in found.to_pylist()}


_LETTERS = """
    SELECT letter, min("at") AS received_at, max("at") AS changed_at, arg_max(state, sequence) AS state,
        arg_max(field, sequence) AS field, arg_max(reason, sequence) AS reason, any_value(kind) AS kind,
        any_value(payload) AS payload, any_value(size_bytes) AS size_bytes
    FROM (SELECT * FROM shipped UNION ALL BY NAME SELECT * FROM waiting) GROUP BY letter
"""


def _relations(source: str, stream: EventStream, tables: Tables) -> dict[str, Any]:
    """The entries in the table, and those that are not there yet; some may be in both, which changes nothing."""
    table = table_of_letters(source)
    start = max(tables.written(table, WRITER), 0)
    parts = [SCHEMA.empty_table()]
    while (read := _read(source, stream, start=start, max_bytes=_SHIPPED_BYTES))[1] > start:
        parts.append(read[0])
        start = read[1]
    waiting = pa.concat_tables(parts)
    if tables.version(table) < 0:
        return {"tables": {}, "frames": {"shipped": SCHEMA.empty_table(), "waiting": waiting}}
    return {"tables": {"shipped": table}, "frames": {"waiting": waiting}}


def _read(source: str, stream: EventStream, *, start: int, max_bytes: int) -> tuple[pa.Table, int]:
    """The next entries of a topic, and the offset after them."""
    topic = topic_of_letters(source)
    payloads = stream.read(topic, start=start, max_bytes=max_bytes)
    read = [(offset, _decode(payload, topic=topic, offset=offset)) for offset, payload in payloads]
    return _columns(read), payloads[-1][0] + 1 if payloads else start


def _parts(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Entries in parts that streams take."""
    part: list[Entry] = []
    size = 0
    for entry in entries:
        if part and (len(part) == _ENTRIES_PER_PAYLOAD or size > _BYTES_PER_PAYLOAD):
            yield part
            part, size = [], 0
        part.append(entry)
        size += len(entry.payload or b"") + len(entry.reason)
    if part:
        yield part


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[Entry])


def _decode(payload: bytes, *, topic: str, offset: int) -> list[Entry]:
    try:
        return _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise IntegrityError(
            f"payload {offset} of the topic {topic!r} holds no dead letters: {error}; it was changed, or written by "
            "another release",
            topic=topic,
            offset=offset,
        ) from error


def _columns(read: Sequence[tuple[int, Sequence[Entry]]]) -> pa.Table:
    entries = [entry for _, payload in read for entry in payload]
    order = [offset * _ENTRIES_PER_PAYLOAD + place for offset, payload in read for place in range(len(payload))]
    columns = {
        "at": pa.array([entry.at_us for entry in entries], pa.int64()).cast(TIME),
        "sequence": pa.array(order, pa.int64()),
    }
    return pa.table(
        [
            columns[field.name]
            if field.name in columns
            else pa.array([getattr(entry, field.name) for entry in entries], field.type)
            for field in SCHEMA
        ],
        schema=SCHEMA,
    )


def _letter(row: Mapping[str, Any], source: str) -> Letter:
    return Letter(
        id=row["letter"],
        source=source,
        received_at=row["received_at"],
        changed_at=row["changed_at"],
        state=LetterState(row["state"]),
        field=row["field"],
        reason=row["reason"],
        kind=PayloadKind(row["kind"]),
        payload=row["payload"],
        size_bytes=row["size_bytes"],
    )
