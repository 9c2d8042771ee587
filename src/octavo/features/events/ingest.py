"""Accepting events: into the stream, from where the pump carries them on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import pyarrow as pa

from octavo.clock import Clock
from octavo.definitions.sources import Source
from octavo.features.events.dead_letters import keep_refused
from octavo.features.events.files import file_parts
from octavo.features.events.payloads import encode_payloads, topic_of
from octavo.features.events.places import split_by_partition
from octavo.features.events.sent import Sent, SentRows, SentTable
from octavo.stores.partitions import ends
from octavo.stores.ports import EventStream

ROWS_PER_PAYLOAD = 16_384
REFUSALS_TOLD = 100
"""How many of the rows that were kept as dead letters an answer tells of one by one."""


class BadRows(StrEnum):
    """What becomes of rows that are wrong."""

    REFUSE = "refuse"
    """One refuses all that were sent with it."""
    KEEP = "keep"
    """They are kept as dead letters, and the others are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRow:
    """A row that could not be taken, and is kept as a dead letter.

    Attributes
    ----------
    row : int
        Its place in what was sent.
    letter : str
        Id of the dead letter; the same for an event that is sent again.
    """

    row: int
    field: str
    reason: str
    letter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of events that were sent.

    Attributes
    ----------
    rows : int
        Rows accepted. One sent before, or twice, is accepted and counts once.
    offset : int
        Where the source's stream ends now, in payloads of all partitions.
    bad : int
        Rows that could not be taken, and are kept as dead letters.
    kept : tuple of KeptRow
        These rows, the first hundred.
    """

    source: str
    rows: int
    offset: int
    bad: int = 0
    kept: tuple[KeptRow, ...] = ()

    def then(self, later: "Accepted") -> "Accepted":
        """What became of these and of events that were sent after them."""
        kept = (*self.kept, *later.kept)[:REFUSALS_TOLD]
        rows, bad = self.rows + later.rows, self.bad + later.bad
        return Accepted(source=self.source, rows=rows, offset=later.offset, bad=bad, kept=kept)


def ingest(sent: Sent, source: Source, *, stream: EventStream, clock: Clock, bad: BadRows = BadRows.REFUSE) -> Accepted:
    """Accept events; when it returns they are durable, and so are the dead letters.

    Raises
    ------
    InvalidRequest
        If one is wrong and shall not be kept; none is accepted.
    """
    if bad is BadRows.REFUSE:
        return publish_events(sent.decode(source, now_us=clock.now_us()), source, stream=stream)
    found = sent.sort(source, now_us=clock.now_us())
    letters = keep_refused(found.refused, source=source.name, stream=stream, clock=clock)
    told = zip(found.refused[:REFUSALS_TOLD], letters, strict=False)
    kept = tuple(KeptRow(row=r.row, field=r.field, reason=r.reason, letter=letter) for r, letter in told)
    published = publish_events(found.events, source, stream=stream)
    return replace(published, bad=len(found.refused), kept=kept)


def ingest_rows(rows: Sequence[Mapping[str, object]], source: Source, *, stream: EventStream, clock: Clock) -> Accepted:
    """Accept rows of JSON, all or none; when it returns they are durable.

    Raises
    ------
    InvalidRequest
        If a row is wrong.
    """
    return ingest(SentRows(rows=rows), source, stream=stream, clock=clock)


def ingest_table(table: pa.Table | pa.RecordBatch, source: Source, *, stream: EventStream, clock: Clock) -> Accepted:
    """Accept the rows of a table, all or none; when it returns they are durable.

    Raises
    ------
    InvalidRequest
        If a column or row is wrong.
    """
    return ingest(SentTable(table=table), source, stream=stream, clock=clock)


def ingest_file(
    path: Path,
    source: Source,
    *,
    stream: EventStream,
    clock: Clock,
    bad: BadRows = BadRows.REFUSE,
    progress: Callable[[float, str], None] | None = None,
) -> Accepted:
    """Accept the rows of a file, in parts.

    Parameters
    ----------
    path : Path
        ``.parquet``, or ``.jsonl`` with one object per line.
    progress : callable
        ``progress(fraction, message)``.

    Raises
    ------
    NotFound
        If there is no such file.
    InvalidRequest
        If it cannot be read, or for the first row that is wrong and shall not be kept; parts before it are accepted,
        and sending the corrected file again doubles nothing.
    """
    accepted = Accepted(source=source.name, rows=0, offset=sum(ends(stream, topic_of(source.name))))
    for part, fraction in file_parts(path, rows_at_once=ROWS_PER_PAYLOAD):
        accepted = accepted.then(ingest(part, source, stream=stream, clock=clock, bad=bad))
        if progress:
            progress(fraction, f"{accepted.rows:,} rows of {source.name}")
    return accepted


def publish_events(batch: pa.RecordBatch, source: Source, *, stream: EventStream) -> Accepted:
    """Publish events that were checked; when it returns they are durable."""
    topic = topic_of(source.name)
    logs = stream.partitions(topic)
    for log, events in zip(logs, split_by_partition(batch, len(logs)), strict=True):
        if events.num_rows:
            parts = [events.slice(start, ROWS_PER_PAYLOAD) for start in range(0, events.num_rows, ROWS_PER_PAYLOAD)]
            stream.publish(log, [p for part in parts for p in encode_payloads(part, most_bytes=stream.payload_bytes)])
    return Accepted(source=source.name, rows=batch.num_rows, offset=sum(ends(stream, topic)))
