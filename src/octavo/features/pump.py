"""Carries events from the stream into the online states and into the table, each exactly once.

An event counts where it first stands in the stream: in the payload whose offset the seen-set holds for its id. The
seen-set, the states and how far they are are written together, so whatever is read again after a crash ends the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from octavo.clock import Clock
from octavo.definitions.project import Project
from octavo.features.keys import (
    decode_generation,
    encode_offset,
    generation_of,
    pointer_key,
    seen_mark,
    seen_prefix,
)
from octavo.features.payloads import EVENT_ID, OFFSET, decode_payload, table_of, table_schema, topic_of
from octavo.features.updates import StateUpdater
from octavo.stores.ports import OnlineStore, Stores

WRITER = "pump"
"""Name of the pump among the writers of a table of events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How far a source is, in payloads.

    Attributes
    ----------
    published : int
        Payloads in the stream.
    applied : int
        Payloads whose events are in the online states of all views.
    shipped : int
        Payloads whose events are in the table.
    """

    published: int
    applied: int
    shipped: int

    @property
    def unapplied(self) -> int:
        return self.published - self.applied

    @property
    def unshipped(self) -> int:
        return self.published - self.shipped


@dataclass(frozen=True, slots=True)
class _Payload:
    offset: int
    events: pa.RecordBatch
    ids: list[bytes]

    def only(self, rows: list[int]) -> "_Payload":
        return _Payload(self.offset, self.events.take(pa.array(rows, pa.int64())), [self.ids[row] for row in rows])


class Pump:
    """Carries the events of a project's sources. One process at a time may have one.

    Parameters
    ----------
    stores : Stores
    project : Project
    clock : Clock
    """

    def __init__(self, stores: Stores, project: Project, clock: Clock) -> None:
        self._stores = stores
        self._project = project
        self._clock = clock
        self._views = {name: [v for v in project.views.values() if v.source.name == name] for name in project.sources}
        self._updaters: dict[bytes, StateUpdater] = {}
        self._ensured: set[str] = set()

    def apply(self, source: str, *, max_bytes: int = 8_000_000) -> int:
        """Bring published events into the online states.

        Views that are behind the others, because they have just been materialized, catch up by as much again.

        Returns
        -------
        int
            How many new events were read from the stream; 0 when all are applied.
        """
        self._project.source(source)
        online = self._stores.online
        start = online.mark(seen_mark(source))
        updaters = self._live(source, fresh=start < 0)
        start = max(start, 0)
        marks = [max(online.mark(updater.generation.applied_mark), 0) for updater in updaters]
        behind = [(mark, updater) for mark, updater in zip(marks, updaters, strict=True) if mark < start]
        caught_up = sum(
            self._catch_up(source, updater, mark, end=start, max_bytes=max_bytes) for mark, updater in behind
        )
        level = [updater for mark, updater in zip(marks, updaters, strict=True) if mark == start]
        return caught_up + self._advance(source, level, start=start, max_bytes=max_bytes)

    def ship(self, source: str, *, max_bytes: int = 64_000_000) -> int:
        """Bring applied events into the source's table.

        Returns
        -------
        int
            How many payloads were shipped; 0 when all that are applied are there.
        """
        definition = self._project.source(source)
        tables, table = self._stores.tables, table_of(source)
        if source not in self._ensured:
            tables.ensure(table, table_schema(definition))
            self._ensured.add(source)
        start = max(tables.written(table, WRITER), 0)
        payloads = self._read(source, start=start, end=self._stores.online.mark(seen_mark(source)), max_bytes=max_bytes)
        if not payloads:
            return 0
        schema = table_schema(definition)
        rows = [_table_rows(first.events, first.offset, schema) for first in self._firsts(source, payloads)]
        tables.append(table, pa.concat_tables(rows), writer=WRITER, sequence=payloads[-1].offset + 1)
        return len(payloads)

    def backlog(self) -> dict[str, Backlog]:
        """How far each source is."""
        return {source: backlog(self._stores, self._project, source) for source in self._project.sources}

    def _live(self, source: str, *, fresh: bool) -> list[StateUpdater]:
        """Updaters of the live generations of a source.

        Views of a source that was never read begin empty. One that is added later waits for its materialization.
        """
        online, views = self._stores.online, self._views[source]
        pointers = online.read([pointer_key(view.name) for view in views])
        if fresh and None in pointers:
            begun = [generation_of(view) for view, pointer in zip(views, pointers, strict=True) if pointer is None]
            online.write({pointer_key(g.view): g.encode() for g in begun}, marks={g.applied_mark: 0 for g in begun})
            pointers = online.read([pointer_key(view.name) for view in views])
        updaters = [self._updater(pointer) for pointer in pointers if pointer is not None]
        return [updater for updater in updaters if updater.generation.source == source]

    def _updater(self, pointer: bytes) -> StateUpdater:
        if pointer not in self._updaters:
            generation = decode_generation(pointer)
            self._updaters[pointer] = StateUpdater(generation, self._project.source(generation.source))
        return self._updaters[pointer]

    def _advance(self, source: str, updaters: list[StateUpdater], *, start: int, max_bytes: int) -> int:
        """Take in payloads that no view has yet."""
        payloads = self._read(source, start=start, end=None, max_bytes=max_bytes)
        if not payloads:
            return 0
        prefix = seen_prefix(source)
        firsts = list(self._firsts(source, payloads))
        values: dict[bytes, bytes | None] = {}
        for payload in firsts:
            values |= dict.fromkeys([prefix + event for event in payload.ids], encode_offset(payload.offset))
        values |= self._updated(updaters, firsts)
        end = payloads[-1].offset + 1
        marks = {seen_mark(source): end} | {updater.generation.applied_mark: end for updater in updaters}
        self._stores.online.write(values, marks=marks)
        return sum(len(payload.ids) for payload in payloads)

    def _catch_up(self, source: str, updater: StateUpdater, start: int, *, end: int, max_bytes: int) -> int:
        """Take payloads that are in the seen-set already into a view that is behind."""
        payloads = self._read(source, start=start, end=end, max_bytes=max_bytes)
        values = self._updated([updater], list(self._firsts(source, payloads)))
        self._stores.online.write(values, marks={updater.generation.applied_mark: payloads[-1].offset + 1})
        return sum(len(payload.ids) for payload in payloads)

    def _updated(self, updaters: list[StateUpdater], payloads: list[_Payload]) -> dict[bytes, bytes | None]:
        groups = [updater.group([updater.rows(payload.events) for payload in payloads]) for updater in updaters]
        found = iter(self._stores.online.read([key for group in groups for key in group]))
        now_us = self._clock.now_us()
        values: dict[bytes, bytes | None] = {}
        for updater, group in zip(updaters, groups, strict=True):
            values.update(updater.update(group, [next(found) for _ in group], now_us=now_us))
        return values

    def _read(self, source: str, *, start: int, end: int | None, max_bytes: int) -> list[_Payload]:
        topic = topic_of(source)
        if end is not None and start >= end:
            return []
        payloads = []
        for offset, payload in self._stores.stream.read(topic, start=start, max_bytes=max_bytes):
            if end is None or offset < end:
                events = decode_payload(payload, topic=topic, offset=offset)
                payloads.append(_Payload(offset, events, events.column(EVENT_ID).to_pylist()))
        return payloads

    def _firsts(self, source: str, payloads: list[_Payload]) -> Iterator[_Payload]:
        """The payloads with only those events that stand in the stream for the first time."""
        prefix = seen_prefix(source)
        found = iter(self._stores.online.read([prefix + event for payload in payloads for event in payload.ids]))
        taken: set[bytes] = set()
        for payload in payloads:
            here, chosen = encode_offset(payload.offset), []
            for row, (event, stored) in enumerate(zip(payload.ids, found, strict=False)):
                if (stored is None or stored == here) and event not in taken:
                    taken.add(event)
                    chosen.append(row)
            yield payload if len(chosen) == len(payload.ids) else payload.only(chosen)


def backlog(stores: Stores, project: Project, source: str) -> Backlog:
    """How far a source is; may be asked by any process."""
    return Backlog(
        published=stores.stream.end(topic_of(source)),
        applied=applied_end(stores.online, project, source),
        shipped=max(stores.tables.written(table_of(source), WRITER), 0),
    )


def applied_end(online: OnlineStore, project: Project, source: str) -> int:
    """The stream offset up to which a source's events are in the online states of all views; quick to ask."""
    applied = [online.mark(seen_mark(source))]
    views = [view for view in project.views.values() if view.source.name == source]
    pointers = online.read([pointer_key(view.name) for view in views])
    live = [decode_generation(pointer) for pointer in pointers if pointer is not None]
    applied += [online.mark(generation.applied_mark) for generation in live if generation.source == source]
    return max(min(applied), 0)


def _table_rows(events: pa.RecordBatch, offset: int, schema: pa.Schema) -> pa.Table:
    """Events as rows of their source's table; a column that the source did not have yet is null."""
    names = events.schema.names
    columns = []
    for field in schema:
        if field.name == OFFSET:
            columns.append(pa.repeat(pa.scalar(offset, pa.int64()), events.num_rows))
        elif field.name in names:
            columns.append(events.column(field.name).cast(field.type))
        else:
            columns.append(pa.nulls(events.num_rows, field.type))
    return pa.Table.from_arrays(columns, schema=schema)
