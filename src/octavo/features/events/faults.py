"""What can be wrong with the values of events, found for all rows at once."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from octavo.clock import EPOCH, to_micros
from octavo.definitions.sources import Source
from octavo.definitions.types import LONGEST_LIST, DType, Field
from octavo.errors import InvalidRequest
from octavo.features.events.payloads import micros

FIRST_YEAR, LAST_YEAR = 1900, 2200
LONGEST_STRING = 1024
"""Characters."""
CLOCK_TOLERANCE_S = 300
"""How far ahead of the platform's clock a caller's may be."""

WANTED = {
    DType.FLOAT64: "a finite number",
    DType.INT64: "a whole number of 64 bits",
    DType.BOOL: "true or false",
    DType.STRING: f"a string of at most {LONGEST_STRING} characters, none a control character but tab and line break",
    DType.TIMESTAMP: (
        f'an RFC 3339 time with an offset, of a year from {FIRST_YEAR} to {LAST_YEAR}: "2026-01-31T09:30:00+01:00"'
    ),
}
_MICROSECOND = 1_000_000
_EARLIEST_US = to_micros(EPOCH.replace(year=FIRST_YEAR))
_LATEST_US = to_micros(EPOCH.replace(year=LAST_YEAR + 1))
_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{80}-\x{9f}]"
_CONTROL_BYTES = np.isin(np.arange(256), [*range(9), 11, 12, *range(14, 32), 127])
_C1_LEAD = 0xC2
"""The first byte, in UTF-8, of the control characters from U+0080 on, and of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The same fault in one column of some rows.

    Attributes
    ----------
    rows : ndarray of int64
        Which, rising, counted in their batch; at least one.
    what : str
        As the end of a sentence that begins with the field: ``is not a finite number``.
    """

    rows: npt.NDArray[np.int64]
    field: str
    what: str
    fix: str

    def refusal(self, *, first_row: int = 0) -> InvalidRequest:
        """The error for the first of the rows."""
        place = f"rows[{first_row + int(self.rows[0])}].{self.field}"
        return InvalidRequest(f"{place} {self.what}", field=place, fix=self.fix)


def find_faults(columns: pa.RecordBatch, source: Source, *, now_us: int) -> Iterator[Fault]:
    """What is wrong with the values of events, column by column.

    Parameters
    ----------
    columns : RecordBatch
        In the schema of `octavo.features.events.payloads.column_schema`.
    """
    required = {source.event_time, source.available_at}
    for field in source.schema:
        column = columns.column(field.name)
        for wrong, what in _column_faults(column, field, is_required=field.name in required):
            rows = np.flatnonzero(wrong.fill_null(False).to_numpy(zero_copy_only=False))
            if len(rows):
                yield Fault(rows=rows, field=field.name, what=what, fix=f"send {wanted(field.name, source)}")
    yield from _order_faults(columns, source, now_us=now_us)


def wanted(column: str, source: Source) -> str:
    """What a column takes, in words."""
    field, nullable = source.field(column), column not in (source.event_time, source.available_at)
    return _wanted(field) + (", or null" if nullable else "")


def _wanted(field: Field) -> str:
    if field.dtype is DType.VECTOR:
        return f"a list of {field.length} finite numbers"
    if field.item:
        return f"a list of at most {LONGEST_LIST:,} values, each {WANTED[field.item]}"
    return WANTED[field.dtype]


def _column_faults(column: pa.Array, field: Field, *, is_required: bool) -> Iterator[tuple[pa.Array, str]]:
    if is_required and column.null_count:
        yield column.is_null(), "is null"
    if field.dtype is DType.TIMESTAMP:
        since_epoch = column.cast(pa.int64())
        absurd = pc.or_(pc.less(since_epoch, _EARLIEST_US), pc.greater_equal(since_epoch, _LATEST_US))
        yield absurd, "is a time of an absurd year"
    elif field.dtype is DType.FLOAT64:
        yield pc.invert(pc.is_finite(column)), "is not a finite number"
    elif field.dtype is DType.VECTOR:
        yield _has_no_finite_number(column), "holds something that is no finite number"
    elif field.item:
        yield from _list_faults(column, replace(field, dtype=field.item, item=None))
    elif field.dtype is DType.STRING:
        yield pc.greater(pc.utf8_length(column), LONGEST_STRING), "is too long"
        if _may_hold_controls(column):
            yield pc.match_substring_regex(column, _CONTROLS), "holds a control character"


def _list_faults(lists: pa.Array, item: Field) -> Iterator[tuple[pa.Array, str]]:
    yield pc.greater(pc.list_value_length(lists), LONGEST_LIST), f"holds more than {LONGEST_LIST:,} values"
    values, of = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    for wrong, what in [(values.is_null(), "is null"), *_column_faults(values, item, is_required=False)]:
        rows = np.zeros(len(lists), np.bool_)
        rows[of[wrong.fill_null(False).to_numpy(zero_copy_only=False)]] = True
        yield pa.array(rows), f"holds a value that {what}"


def _has_no_finite_number(vectors: pa.Array) -> pa.Array:
    """Whether some number of a vector is null, NaN or infinite; null for no vector."""
    numbers = vectors.filter(vectors.is_valid()).flatten()
    finite = pc.is_finite(numbers).fill_null(False).to_numpy(zero_copy_only=False).reshape(-1, vectors.type.list_size)
    wrong = np.zeros(len(vectors), np.bool_)
    wrong[vectors.is_valid().to_numpy(zero_copy_only=False)] = ~finite.all(axis=1)
    return pa.array(wrong)


def _may_hold_controls(column: pa.Array) -> bool:
    """Whether any byte of the text may belong to a control character; much quicker than to look at each string."""
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return False
    ends = np.frombuffer(offsets, np.int32, count=len(column) + 1, offset=4 * column.offset)
    found = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    return bool(_CONTROL_BYTES[found].any() or (found == _C1_LEAD).any())


def _order_faults(columns: pa.RecordBatch, source: Source, *, now_us: int) -> Iterator[Fault]:
    times = columns.column(source.event_time), columns.column(source.available_at)
    known = np.logical_and(*(time.is_valid().to_numpy(zero_copy_only=False) for time in times))
    event_us, available_us = micros(times[0].fill_null(0)), micros(times[1].fill_null(0))
    early = np.flatnonzero(known & (event_us > available_us))
    if len(early):
        yield Fault(
            rows=early,
            field=source.available_at,
            what=f"is before {source.event_time}: nothing can be known before it happens",
            fix=f"send the time at which the event became known, {source.event_time} or later",
        )
    ahead = np.flatnonzero(known & (available_us > now_us + CLOCK_TOLERANCE_S * _MICROSECOND))
    if len(ahead):
        yield Fault(
            rows=ahead,
            field=source.available_at,
            what="lies in the future of the platform's clock",
            fix=f"send events once they are known (at most {CLOCK_TOLERANCE_S} s ahead), and check the sender's clock",
        )
