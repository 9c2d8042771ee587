"""One build of a view's states from the table of its source's events: in parts, so that it goes on where it was killed.

A build takes the events that the table held when it began, up to an offset in each partition, and no others however
long it lasts: the pump brings on what follows. It is written down before its first state, and with the last states of
each part how many parts there are. So a build that was killed goes on with the same events in the same generation, and
a part of which some states were written is written again, with the same values.

    b"build\\0<view>"      build under way: `Build`, msgpack
    b"replaced\\0<view>"   generation whose states are to be deleted, msgpack
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from octavo.clock import from_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.measures import parse_measure
from octavo.features.composite import entity_column
from octavo.features.events.payloads import EVENT_ID, table_of, topic_of
from octavo.features.events.places import before_sql
from octavo.features.measures import measure_sql
from octavo.features.offline.sql import all_known, quoted
from octavo.features.online.keys import Generation, decode_generation, entity_key, generation_of, pointer_key
from octavo.features.online.seen import WRITE_KEYS, batched, shipped_ends
from octavo.features.online.updates import READ_LAG_S, StateUpdater
from octavo.stores.partitions import partition_name
from octavo.stores.ports import OnlineStore, Stores

_PART_ROWS = 500_000
_KEPT_US = 86_400 * 1_000_000
"""How old a build may be and still be gone on with; the stream must hold what came since."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A generation that is being built.

    Attributes
    ----------
    ends : tuple of int
        Offset in each partition before which events are taken.
    rows, parts : int
        Rows that the table had, and into how many parts their entities are divided.
    engine : str
        What divided them: another release of it may do so otherwise.
    begun_us : int
        When it began; what was known well before may be folded into tiles.
    """

    generation: Generation
    ends: tuple[int, ...]
    rows: int
    parts: int
    engine: str
    begun_us: int

    @property
    def done_mark(self) -> str:
        """The mark with how many parts are written."""
        return f"built/{self.generation.view}/{self.generation.id.hex()}"

    @property
    def applied_marks(self) -> dict[str, int]:
        """What the pump goes on from."""
        return {partition_name(self.generation.applied_mark, n): end for n, end in enumerate(self.ends)}


def begin_build(stores: Stores, view: FeatureView, *, now_us: int) -> Build:
    """Begin to build a view's states anew, and write down that it has begun."""
    _abandon(stores, view.name)
    table = table_of(view.source.name)
    rows = 0
    if stores.tables.version(table) >= 0:
        counted = stores.tables.query("SELECT count(*) AS n FROM events", tables={"events": table})
        rows = int(counted.column("n")[0].as_py())
    count = len(stores.stream.partitions(topic_of(view.source.name)))
    build = Build(
        generation=generation_of(view),
        ends=shipped_ends(stores.tables, view.source.name, partitions=count),
        rows=rows,
        parts=-(-rows // _PART_ROWS),
        engine=_engine(stores),
        begun_us=now_us,
    )
    stores.online.write({_build_key(view.name): msgspec.msgpack.encode(build)}, marks={build.done_mark: 0})
    return build


def resume_build(stores: Stores, view: FeatureView, *, now_us: int) -> Build | None:
    """The build of a view's present definition that was interrupted; None if there is none to go on with."""
    build = _under_way(stores.online, view.name)
    if build is None or replace(generation_of(view), id=build.generation.id) != build.generation:
        return None
    is_recent = now_us - build.begun_us < _KEPT_US
    return build if is_recent and build.engine == _engine(stores) else None


def write_states(stores: Stores, view: FeatureView, build: Build, *, progress: Progress | None) -> int:
    """Write the states of a build that are not there yet, some entities at a time; how many there were."""
    done = max(stores.online.mark(build.done_mark), 0)
    updater, entities = StateUpdater(build.generation, view.source), 0
    pace = _Pace(view.name, rows=build.rows, parts=build.parts, first=done)
    for part in range(done, build.parts):
        states = _states_of(stores, view, build, updater, part=part)
        entities += len(states)
        for chunk in batched(states.items(), WRITE_KEYS):
            stores.online.write(dict(chunk), marks={})
        stores.online.write({}, marks={build.done_mark: part + 1})
        if progress is not None:
            progress((part + 1) / build.parts, pace.told(part + 1))
    return entities


def make_live(stores: Stores, build: Build) -> None:
    """Let a build that is complete take the place of the live states, in one step; then delete those."""
    online, view = stores.online, build.generation.view
    _delete_replaced(stores, view)
    live = online.read([pointer_key(view)])[0]
    values = {pointer_key(view): build.generation.encode(), _replaced_key(view): live, _build_key(view): None}
    online.write(values, marks=build.applied_marks)
    _delete_replaced(stores, view)


class _Pace:
    """How fast a build goes on, in words."""

    def __init__(self, view: str, *, rows: int, parts: int, first: int) -> None:
        self._view, self._rows, self._parts, self._first = view, rows, parts, first
        self._began_s = time.monotonic()

    def told(self, done: int) -> str:
        elapsed_s = max(time.monotonic() - self._began_s, 1e-6)
        rate = self._rows * (done - self._first) / self._parts / elapsed_s
        remaining_s = self._rows * (self._parts - done) / self._parts / rate
        rows = self._rows * done // self._parts
        return f"{self._view}: {rows:,} of {self._rows:,} rows, {rate:,.0f}/s, {remaining_s:,.0f} s to go"


def _states_of(
    stores: Stores, view: FeatureView, build: Build, updater: StateUpdater, *, part: int
) -> dict[bytes, bytes | None]:
    """The states of the entities of one part."""
    since_us = build.begun_us - (READ_LAG_S + _reach_s(build.generation)) * 1_000_000
    events = stores.tables.query(
        _events_query(view, build),
        tables={"events": table_of(view.source.name)},
        parameters={"since": from_micros(since_us), "parts": build.parts, "part": part},
    )
    states: dict[bytes, bytes | None] = {}
    for batch in events.combine_chunks().to_batches():
        group = updater.group([updater.rows(batch)])
        states |= updater.update(group, [None] * len(group.keys), now_us=build.begun_us)
    return states


def _events_query(view: FeatureView, build: Build) -> str:
    """Events that windows still reach, and the newest of each latest value however old it is."""
    source, keys = view.source, [quoted(key) for key in view.keys]
    times = (quoted(source.event_time), quoted(source.available_at))
    measures = build.generation.layout.columns
    taken = (column for measure in measures for column in parse_measure(measure).columns)
    names = dict.fromkeys((source.event_time, source.available_at, EVENT_ID, *view.keys, *taken))
    newest = (
        f"SELECT arg_max({EVENT_ID}, ({', '.join(times)}, {EVENT_ID})) FROM mine"
        f" WHERE ({measure_sql(measure, source)}) IS NOT NULL GROUP BY {', '.join(keys)}"
        for measure in measures
    )
    return (
        f"WITH mine AS (SELECT * FROM events"
        f" WHERE {all_known(keys)} AND {before_sql(build.ends)} AND hash({', '.join(keys)}) % $parts = $part)"
        f" SELECT {', '.join(quoted(name) for name in names)} FROM mine"
        f" WHERE {times[0]} >= $since{''.join(f' OR {EVENT_ID} IN ({query})' for query in newest)}"
    )


def _reach_s(generation: Generation) -> int:
    return max((group.retention_s + group.tile_s for group in generation.layout.groups), default=0)


def _engine(stores: Stores) -> str:
    return str(stores.tables.query("SELECT version() AS v", tables={}).column("v")[0].as_py())


def _under_way(online: OnlineStore, view: str) -> Build | None:
    """The build that is written down; None also for one that another release wrote otherwise."""
    data = online.read([_build_key(view)])[0]
    try:
        return None if data is None else msgspec.msgpack.decode(data, type=Build)
    except msgspec.MsgspecError:
        return None


def _abandon(stores: Stores, view: str) -> None:
    """Delete the states of a build that is not gone on with."""
    build = _under_way(stores.online, view)
    if build is not None:
        _delete_states(stores, build.generation)


def _delete_replaced(stores: Stores, view: str) -> None:
    """Delete the states of the generation that was live before."""
    data = stores.online.read([_replaced_key(view)])[0]
    if data is not None:
        _delete_states(stores, decode_generation(data))
        stores.online.write({_replaced_key(view): None}, marks={})


def _delete_states(stores: Stores, generation: Generation) -> None:
    """Delete the states of a generation, as far as the table knows their entities."""
    table, keys = table_of(generation.source), [quoted(key) for key in generation.keys]
    if stores.tables.version(table) < 0:
        return
    found = stores.tables.query(
        f"SELECT DISTINCT {', '.join(keys)} FROM events WHERE {all_known(keys)}", tables={"events": table}
    )
    for chunk in batched(entity_column(found, generation.keys).to_pylist(), WRITE_KEYS):
        stores.online.write({generation.prefix + entity_key(name): None for name in chunk}, marks={})


def _build_key(view: str) -> bytes:
    return b"build\0" + view.encode()


def _replaced_key(view: str) -> bytes:
    return b"replaced\0" + view.encode()
