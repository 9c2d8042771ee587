"""Where an event stands in its source's stream: the partition and the offset of its payload, as one number.

The first partition's places are its offsets, so a table that was written when a topic had one partition stays readable.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from octavo.features.events.payloads import EVENT_ID, OFFSET

_OFFSET_BITS = 48
"""Leaves 15 bits for the partition: 32,768 of them."""


def place_of(number: int, offset: int) -> int:
    """The place of a payload in a partition; fits a signed 64-bit number."""
    return number << _OFFSET_BITS | offset


def partition_of(place: int) -> int:
    """The number of the partition that a place is in."""
    return place >> _OFFSET_BITS


def before_sql(ends: Sequence[int]) -> str:
    """Condition that a row of a source's table stands before the end of its partition."""
    return _any_sql((place_of(number, 0), place_of(number, end)) for number, end in enumerate(ends))


def between_sql(starts: Sequence[int], ends: Sequence[int]) -> str:
    """Condition that a row of a source's table stands from a start to before an end of its partition."""
    return _any_sql(
        (place_of(number, start), place_of(number, end))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    )


def split_by_partition(events: pa.RecordBatch, count: int) -> list[pa.RecordBatch]:
    """The events of each partition, chosen by their ids, so that one sent twice meets itself; order is kept."""
    if count == 1:
        return [events]
    ids = events.column(EVENT_ID)
    halves = np.frombuffer(ids.buffers()[1], "<u8")[2 * ids.offset :][: 2 * len(ids)]
    chosen = halves[::2] % np.uint64(count)
    return [events.take(pa.array(np.flatnonzero(chosen == number))) for number in range(count)]


def _any_sql(ranges: Iterable[tuple[int, int]]) -> str:
    return "(" + " OR ".join(f"({OFFSET} >= {low} AND {OFFSET} < {high})" for low, high in ranges) + ")"
