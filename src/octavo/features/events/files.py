"""Files of events, read in parts."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from octavo.errors import InvalidRequest, NotFound
from octavo.features.events.sent import Sent, SentLines, SentTable


def file_parts(path: Path, *, rows_at_once: int) -> Iterator[tuple[Sent, float]]:
    """The events in a file, each part with the fraction of the file up to its end.

    Parameters
    ----------
    path : Path
        ``.parquet``, or ``.jsonl`` with one object per line.

    Raises
    ------
    NotFound
        If there is no such file.
    InvalidRequest
        If it cannot be read.
    """
    if not path.is_file():
        raise NotFound("file", str(path))
    match path.suffix:
        case ".parquet":
            yield from _parquet_parts(path, rows_at_once=rows_at_once)
        case ".jsonl":
            yield from _jsonl_parts(path, rows_at_once=rows_at_once)
        case _:
            raise InvalidRequest(f"{path.name} is of no kind that can be read", fix="give a .parquet or .jsonl file")


def _parquet_parts(path: Path, *, rows_at_once: int) -> Iterator[tuple[Sent, float]]:
    try:
        with pq.ParquetFile(path) as file:
            total, done = max(file.metadata.num_rows, 1), 0
            for batch in file.iter_batches(batch_size=rows_at_once):
                part = SentTable(table=batch, first_row=done)
                done += batch.num_rows
                yield part, done / total
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidRequest(f"{path.name} cannot be read as Parquet: {error}", fix="write the file again") from error


def _jsonl_parts(path: Path, *, rows_at_once: int) -> Iterator[tuple[Sent, float]]:
    size, done, read = max(path.stat().st_size, 1), 0, 0
    lines: list[bytes] = []
    numbers: list[int] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            read += len(line)
            if line.strip():
                lines.append(line.strip())
                numbers.append(number)
            if len(lines) == rows_at_once:
                yield SentLines(lines=lines, numbers=numbers, first_row=done), read / size
                done, lines, numbers = done + len(lines), [], []
    if lines:
        yield SentLines(lines=lines, numbers=numbers, first_row=done), 1.0
