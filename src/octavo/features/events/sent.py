"""Events as they come in: rows, lines of JSON, columns. Each way is taken all or none, or sorted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import pyarrow as pa

from octavo.definitions.sources import Source
from octavo.errors import InvalidRequest
from octavo.features.events.decode import decode_rows, decode_table
from octavo.features.events.sorting import Sorted, sort_lines, sort_table


class Sent(Protocol):
    """Events that were sent in one way."""

    def decode(self, source: Source, *, now_us: int) -> pa.RecordBatch:
        """All of them, in the schema of `octavo.features.events.payloads.payload_schema`.

        Raises
        ------
        InvalidRequest
            For the first thing that is wrong.
        """

    def sort(self, source: Source, *, now_us: int) -> Sorted:
        """Those that can be taken, and the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRows:
    """Rows of JSON that were decoded already."""

    rows: Sequence[Mapping[str, object]]

    def decode(self, source: Source, *, now_us: int) -> pa.RecordBatch:
        return decode_rows(self.rows, source, now_us=now_us)

    def sort(self, source: Source, *, now_us: int) -> Sorted:
        lines = [json.dumps(row, default=str).encode() for row in self.rows]
        return sort_lines(lines, source, now_us=now_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentLines:
    """JSON, one object each.

    Attributes
    ----------
    numbers : sequence of int
        Of each line in its file, from 1.
    first_row : int
        Number of the first in the whole that these are a part of.
    """

    lines: Sequence[bytes]
    numbers: Sequence[int]
    first_row: int = 0

    def decode(self, source: Source, *, now_us: int) -> pa.RecordBatch:
        rows = [_row_of(line, number) for line, number in zip(self.lines, self.numbers, strict=True)]
        return decode_rows(rows, source, now_us=now_us, first_row=self.first_row)

    def sort(self, source: Source, *, now_us: int) -> Sorted:
        return sort_lines(self.lines, source, now_us=now_us, first_row=self.first_row)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTable:
    """Columns."""

    table: pa.Table | pa.RecordBatch
    first_row: int = 0

    def decode(self, source: Source, *, now_us: int) -> pa.RecordBatch:
        return decode_table(self.table, source, now_us=now_us, first_row=self.first_row)

    def sort(self, source: Source, *, now_us: int) -> Sorted:
        return sort_table(self.table, source, now_us=now_us, first_row=self.first_row)


def _row_of(line: bytes, number: int) -> Mapping[str, object]:
    try:
        return msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"line {number} is no JSON object: {error}", fix="write one object per line", line=number
        ) from error
