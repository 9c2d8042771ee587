"""The seen-set of a source, made again from its table where the online store was lost."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from octavo.features.events.payloads import EVENT_ID, OFFSET, table_of, topic_of
from octavo.features.events.places import between_sql
from octavo.features.online.keys import encode_place, seen_mark, seen_prefix
from octavo.stores.partitions import partition_name
from octavo.stores.ports import Stores, Tables

WRITER = "pump"
"""Name of the pump among the writers of a table of events; each partition has its own (see `partition_name`)."""

WRITE_KEYS = 20_000
"""How many values are written at once where they need not be written together."""

_T = TypeVar("_T")


def shipped_ends(tables: Tables, source: str, *, partitions: int) -> tuple[int, ...]:
    """The offset in each partition up to which a source's events are in its table."""
    table = table_of(source)
    return tuple(max(tables.written(table, partition_name(WRITER, number)), 0) for number in range(partitions))


def was_read(stores: Stores, source: str) -> bool:
    """Whether the online store knows of any event of a source."""
    count = len(stores.stream.partitions(topic_of(source)))
    return any(stores.online.mark(partition_name(seen_mark(source), number)) >= 0 for number in range(count))


def renew_seen(stores: Stores, source: str) -> bool:
    """Complete the seen-set by what the table holds and the online store does not; idempotent.

    What the table has taken stands where the table says, so this comes before anything is read from the stream.

    Returns
    -------
    bool
        Whether the table held any such.
    """
    if stores.tables.version(table_of(source)) < 0:
        return False
    count = len(stores.stream.partitions(topic_of(source)))
    ends = shipped_ends(stores.tables, source, partitions=count)
    names = [partition_name(seen_mark(source), number) for number in range(count)]
    starts = tuple(max(stores.online.mark(name), 0) for name in names)
    behind = {name: end for name, start, end in zip(names, starts, ends, strict=True) if start < end}
    if behind:
        _write(stores, source, starts=starts, ends=ends)
        stores.online.write({}, marks=behind)
    return bool(behind)


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of at most so many items."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _write(stores: Stores, source: str, *, starts: tuple[int, ...], ends: tuple[int, ...]) -> None:
    events = stores.tables.query(
        f"SELECT {EVENT_ID}, {OFFSET} FROM events WHERE {between_sql(starts, ends)}",
        tables={"events": table_of(source)},
    )
    prefix = seen_prefix(source)
    pairs = zip(events.column(EVENT_ID).to_pylist(), events.column(OFFSET).to_pylist(), strict=True)
    for chunk in batched(pairs, WRITE_KEYS):
        stores.online.write({prefix + event: encode_place(place) for event, place in chunk}, marks={})
