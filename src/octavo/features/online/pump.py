"""Carries events from the stream into the online states and into the table, each exactly once.

An event counts where it first stands in the stream: in the payload whose place the seen-set holds for its id. The
seen-set, the states and how far they are are written together, so whatever is read again after a crash ends the same.
Each partition of a source's topic is carried as a log of its own; the seen-set, which all share, is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from octavo.clock import Clock
from octavo.definitions.project import Project
from octavo.features.events.dead_letters import keep_refused
from octavo.features.events.foreign import decode_message
from octavo.features.events.payloads import EVENT_ID, OFFSET, table_of, table_schema, topic_of
from octavo.features.events.places import place_of
from octavo.features.online.backlog import Backlog, backlog
from octavo.features.online.keys import (
    decode_generation,
    encode_place,
    generation_of,
    pointer_key,
    seen_mark,
    seen_prefix,
)
from octavo.features.online.materialize import materialize
from octavo.features.online.seen import WRITER, renew_seen, was_read
from octavo.features.online.stretches import Payload, Stretch, Waiting
from octavo.features.online.updates import StateUpdater
from octavo.stores.partitions import partition_name
from octavo.stores.ports import ConsumerGroup, Stores

_WAITING_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class _Partition:
    source: str
    log: str
    number: int

    def named(self, name: str) -> str:
        """The name of a mark or writer that this partition has for itself."""
        return partition_name(name, self.number)


class Pump:
    """Carries the events of a project's sources. One process at a time may have one.

    Parameters
    ----------
    stores : Stores
    project : Project
    clock : Clock
    group : ConsumerGroup or None
        Says which partitions are this pump's; all without one.
    """

    def __init__(self, stores: Stores, project: Project, clock: Clock, *, group: ConsumerGroup | None = None) -> None:
        self._stores = stores
        self._project = project
        self._clock = clock
        self._group = group
        self._views = {name: [v for v in project.views.values() if v.source.name == name] for name in project.sources}
        self._updaters: dict[bytes, StateUpdater] = {}
        self._ensured: set[str] = set()
        self._waiting = Waiting(_WAITING_BYTES)

    def apply(self, source: str, *, max_bytes: int = 8_000_000) -> int:
        """Bring published events into the online states.

        Views that are behind the others, because they have just been materialized, catch up by as much again.

        Parameters
        ----------
        max_bytes : int
            How much is read of each partition.

        Returns
        -------
        int
            How many new events were read from the stream; 0 when all are applied.
        """
        self._project.source(source)
        updaters = self._live(source)
        return sum(self._apply(partition, updaters, max_bytes=max_bytes) for partition in self._mine(source))

    def ship(self, source: str, *, max_bytes: int = 64_000_000) -> int:
        """Bring applied events into the source's table.

        Returns
        -------
        int
            How many payloads were shipped; 0 when all that are applied are there.
        """
        definition = self._project.source(source)
        if source not in self._ensured:
            self._stores.tables.ensure(table_of(source), table_schema(definition))
            self._ensured.add(source)
        return sum(self._ship(partition, max_bytes=max_bytes) for partition in self._mine(source))

    def backlog(self) -> dict[str, Backlog]:
        """How far each source is."""
        return {source: backlog(self._stores, self._project, source) for source in self._project.sources}

    def _mine(self, source: str) -> list[_Partition]:
        topic = topic_of(source)
        every = self._stores.stream.partitions(topic)
        mine = every if self._group is None else self._group.mine(topic)
        return [_Partition(source, log, number) for number, log in enumerate(every) if log in mine]

    def _live(self, source: str) -> list[StateUpdater]:
        """Updaters of the live generations of a source. A view that is added later waits for its materialization."""
        if not was_read(self._stores, source):
            self._begin(source)
        pointers = self._stores.online.read([pointer_key(view.name) for view in self._views[source]])
        updaters = [self._updater(pointer) for pointer in pointers if pointer is not None]
        return [updater for updater in updaters if updater.generation.source == source]

    def _begin(self, source: str) -> None:
        """Let the views of a source of which the online store knows nothing begin: empty, or as the table has it."""
        online, views = self._stores.online, self._views[source]
        if renew_seen(self._stores, source):
            materialize(self._stores, views, clock=self._clock)
            return
        pointers = online.read([pointer_key(view.name) for view in views])
        begun = [generation_of(view) for view, pointer in zip(views, pointers, strict=True) if pointer is None]
        if begun:
            online.write({pointer_key(g.view): g.encode() for g in begun}, marks={g.applied_mark: 0 for g in begun})

    def _updater(self, pointer: bytes) -> StateUpdater:
        if pointer not in self._updaters:
            generation = decode_generation(pointer)
            self._updaters[pointer] = StateUpdater(generation, self._project.source(generation.source))
        return self._updaters[pointer]

    def _apply(self, partition: _Partition, updaters: list[StateUpdater], *, max_bytes: int) -> int:
        online = self._stores.online
        start = max(online.mark(partition.named(seen_mark(partition.source))), 0)
        marks = [max(online.mark(partition.named(u.generation.applied_mark)), 0) for u in updaters]
        behind = [(mark, updater) for mark, updater in zip(marks, updaters, strict=True) if mark < start]
        caught_up = sum(
            self._catch_up(partition, updater, mark, end=start, max_bytes=max_bytes) for mark, updater in behind
        )
        level = [updater for mark, updater in zip(marks, updaters, strict=True) if mark == start]
        return caught_up + self._advance(partition, level, start=start, max_bytes=max_bytes)

    def _advance(self, partition: _Partition, updaters: list[StateUpdater], *, start: int, max_bytes: int) -> int:
        """Take in payloads that no view has yet."""
        stretch = self._read(partition, start=start, end=None, max_bytes=max_bytes)
        if stretch.reached == start:
            return 0
        self._keep_refused(partition.source, stretch.payloads)
        prefix = seen_prefix(partition.source)
        firsts = list(self._firsts(partition.source, stretch.payloads, is_new=True))
        values: dict[bytes, bytes | None] = {}
        for payload in firsts:
            values |= dict.fromkeys([prefix + event for event in payload.ids], encode_place(payload.place))
        values |= self._updated(updaters, firsts)
        names = (seen_mark(partition.source), *(updater.generation.applied_mark for updater in updaters))
        self._stores.online.write(values, marks={partition.named(name): stretch.reached for name in names})
        self._waiting.keep(partition.log, Stretch(start, firsts, stretch.reached))
        if self._group is not None:
            self._group.applied(partition.log, stretch.reached)
        return stretch.rows

    def _keep_refused(self, source: str, payloads: list[Payload]) -> None:
        """Make dead letters of what cannot be taken, before it is passed over for good; twice is once."""
        refused = [event for payload in payloads for event in payload.refused]
        if refused:
            keep_refused(refused, source=source, stream=self._stores.stream, clock=self._clock)

    def _catch_up(self, partition: _Partition, updater: StateUpdater, start: int, *, end: int, max_bytes: int) -> int:
        """Take payloads that are in the seen-set already into a view that is behind."""
        stretch = self._read(partition, start=start, end=end, max_bytes=max_bytes)
        values = self._updated([updater], list(self._firsts(partition.source, stretch.payloads)))
        mark = partition.named(updater.generation.applied_mark)
        self._stores.online.write(values, marks={mark: stretch.reached})
        return stretch.rows

    def _ship(self, partition: _Partition, *, max_bytes: int) -> int:
        tables, table = self._stores.tables, table_of(partition.source)
        writer = partition.named(WRITER)
        start = max(tables.written(table, writer), 0)
        end = max(self._stores.online.mark(partition.named(seen_mark(partition.source))), 0)
        if end <= start:
            return 0
        stretch = self._waiting.take(partition.log, start=start, max_bytes=max_bytes)
        if stretch is None:
            read = self._read(partition, start=start, end=end, max_bytes=max_bytes)
            stretch = Stretch(start, list(self._firsts(partition.source, read.payloads)), read.reached)
        schema = table_schema(self._project.source(partition.source))
        rows = [_table_rows(first.events, first.place, schema) for first in stretch.payloads]
        tables.append(table, pa.concat_tables([schema.empty_table(), *rows]), writer=writer, sequence=stretch.reached)
        return max(len(stretch.payloads), 1)

    def _updated(self, updaters: list[StateUpdater], payloads: list[Payload]) -> dict[bytes, bytes | None]:
        groups = [updater.group([updater.rows(payload.events) for payload in payloads]) for updater in updaters]
        found = iter(self._stores.online.read([key for group in groups for key in group.keys]))
        now_us = self._clock.now_us()
        values: dict[bytes, bytes | None] = {}
        for updater, group in zip(updaters, groups, strict=True):
            values.update(updater.update(group, [next(found) for _ in group.keys], now_us=now_us))
        return values

    def _read(self, partition: _Partition, *, start: int, end: int | None, max_bytes: int) -> Stretch:
        """Payloads from `start` to before `end`, or to where the log ended when it was asked."""
        stream = self._stores.stream
        until = stream.end(partition.log) if end is None else end
        if start == until:
            return Stretch(start, [], start)
        found = [at for at in stream.read(partition.log, start=start, max_bytes=max_bytes) if at[0] < until]
        payloads = [self._decoded(partition, offset, payload) for offset, payload in found]
        return Stretch(start, payloads, found[-1][0] + 1 if found else until)

    def _decoded(self, partition: _Partition, offset: int, payload: bytes) -> Payload:
        source = self._project.source(partition.source)
        message = decode_message(payload, source, log=partition.log, offset=offset, now_us=self._clock.now_us())
        ids = message.events.column(EVENT_ID).to_pylist()
        return Payload(place_of(partition.number, offset), message.events, ids, message.refused)

    def _firsts(self, source: str, payloads: list[Payload], *, is_new: bool = False) -> Iterator[Payload]:
        """The payloads with only those events that stand in the stream for the first time.

        Parameters
        ----------
        is_new : bool
            Whether an event that the seen-set does not have is one; else it was refused when it was read first.
        """
        prefix = seen_prefix(source)
        found = iter(self._stores.online.read([prefix + event for payload in payloads for event in payload.ids]))
        taken: set[bytes] = set()
        for payload in payloads:
            here, chosen = encode_place(payload.place), []
            for row, (event, stored) in enumerate(zip(payload.ids, found, strict=False)):
                if (stored == here or (is_new and stored is None)) and event not in taken:
                    taken.add(event)
                    chosen.append(row)
            yield payload if len(chosen) == len(payload.ids) else payload.only(chosen)


def _table_rows(events: pa.RecordBatch, place: int, schema: pa.Schema) -> pa.Table:
    """Events as rows of their source's table; a column that the source did not have yet is null."""
    names = events.schema.names
    columns = []
    for field in schema:
        if field.name == OFFSET:
            columns.append(pa.repeat(pa.scalar(place, pa.int64()), events.num_rows))
        elif field.name in names:
            columns.append(events.column(field.name).cast(field.type))
        else:
            columns.append(pa.nulls(events.num_rows, field.type))
    return pa.Table.from_arrays(columns, schema=schema)
