"""Accepting events: into the stream, from where the pump carries them on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from octavo.clock import Clock
from octavo.definitions.sources import Source
from octavo.errors import InvalidRequest, NotFound
from octavo.features.events import decode_rows, decode_table
from octavo.features.payloads import encode_payload, topic_of
from octavo.stores.ports import EventStream

ROWS_PER_PAYLOAD = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of events that were sent.

    Attributes
    ----------
    rows : int
        Rows accepted. One sent before, or twice, is accepted and counts once.
    offset : int
        Where the source's stream ends now, in payloads: what the pump must have applied to have applied these.
    """

    source: str
    rows: int
    offset: int


def ingest_rows(rows: Sequence[Mapping[str, object]], source: Source, *, stream: EventStream, clock: Clock) -> Accepted:
    """Accept rows of JSON, all or none; when it returns they are durable.

    Raises
    ------
    InvalidRequest
        If a row is wrong.
    """
    batch = decode_rows(rows, source, now_us=clock.now_us())
    return _publish(batch, source, stream=stream)


def ingest_table(table: pa.Table | pa.RecordBatch, source: Source, *, stream: EventStream, clock: Clock) -> Accepted:
    """Accept the rows of a table, all or none; when it returns they are durable.

    Raises
    ------
    InvalidRequest
        If a column or row is wrong.
    """
    return _publish(decode_table(table, source, now_us=clock.now_us()), source, stream=stream)


def ingest_file(
    path: Path,
    source: Source,
    *,
    stream: EventStream,
    clock: Clock,
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
        If it cannot be read, or for the first row that is wrong; parts before it are accepted, and sending the
        corrected file again doubles nothing.
    """
    if not path.is_file():
        raise NotFound("file", str(path))
    accepted = Accepted(source=source.name, rows=0, offset=stream.end(topic_of(source.name)))
    for batch, fraction in _file_parts(path, source, now_us=clock.now_us()):
        published = _publish(batch, source, stream=stream)
        accepted = Accepted(source=source.name, rows=accepted.rows + published.rows, offset=published.offset)
        if progress:
            progress(fraction, f"{accepted.rows:,} rows of {source.name}")
    return accepted


def _publish(batch: pa.RecordBatch, source: Source, *, stream: EventStream) -> Accepted:
    parts = [batch.slice(start, ROWS_PER_PAYLOAD) for start in range(0, batch.num_rows, ROWS_PER_PAYLOAD)]
    offset = stream.publish(topic_of(source.name), [encode_payload(part) for part in parts])
    return Accepted(source=source.name, rows=batch.num_rows, offset=offset)


def _file_parts(path: Path, source: Source, *, now_us: int) -> Iterator[tuple[pa.RecordBatch, float]]:
    match path.suffix:
        case ".parquet":
            yield from _parquet_parts(path, source, now_us=now_us)
        case ".jsonl":
            yield from _jsonl_parts(path, source, now_us=now_us)
        case _:
            raise InvalidRequest(f"{path.name} is of no kind that can be read", fix="give a .parquet or .jsonl file")


def _parquet_parts(path: Path, source: Source, *, now_us: int) -> Iterator[tuple[pa.RecordBatch, float]]:
    try:
        with pq.ParquetFile(path) as file:
            total, done = max(file.metadata.num_rows, 1), 0
            for batch in file.iter_batches(batch_size=ROWS_PER_PAYLOAD):
                events = decode_table(batch, source, now_us=now_us, first_row=done)
                done += batch.num_rows
                yield events, done / total
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidRequest(f"{path.name} cannot be read as Parquet: {error}", fix="write the file again") from error


def _jsonl_parts(path: Path, source: Source, *, now_us: int) -> Iterator[tuple[pa.RecordBatch, float]]:
    size, done, read = max(path.stat().st_size, 1), 0, 0
    rows: list[Mapping[str, object]] = []
    with path.open("rb") as file:
        for number, line in enumerate(file):
            read += len(line)
            if line.strip():
                rows.append(_row_of(line, number))
            if len(rows) == ROWS_PER_PAYLOAD:
                yield decode_rows(rows, source, now_us=now_us, first_row=done), read / size
                done, rows = done + len(rows), []
    if rows:
        yield decode_rows(rows, source, now_us=now_us, first_row=done), 1.0


def _row_of(line: bytes, number: int) -> Mapping[str, object]:
    try:
        return msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"line {number + 1} is no JSON object: {error}", fix="write one object per line", line=number + 1
        ) from error
