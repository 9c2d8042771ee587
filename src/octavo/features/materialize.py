"""Building a feature view's online states from the table of its source's events.

The states are written beside the live ones and take their place in one step (see `octavo.features.keys`). The pump then
brings them up to date with the stream, from where the table ended.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from octavo.clock import Clock, from_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.measures import parse_measure
from octavo.definitions.project import Project
from octavo.features.keys import (
    Generation,
    decode_generation,
    encode_offset,
    entity_key,
    generation_of,
    pointer_key,
    seen_mark,
    seen_prefix,
)
from octavo.features.measures import measure_sql
from octavo.features.payloads import EVENT_ID, OFFSET, table_of
from octavo.features.pump import WRITER
from octavo.features.sql import quoted
from octavo.features.updates import READ_LAG_S, StateUpdater
from octavo.stores.ports import OnlineStore, Stores

_PART_ROWS = 500_000
_WRITE_KEYS = 20_000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Materialized:
    """What a materialization did.

    Attributes
    ----------
    entities : int
        States written; 0 if the view was up to date with its definition.
    applied : int
        Stream offset up to which events are in them.
    """

    view: str
    entities: int
    applied: int


def pending_views(online: OnlineStore, project: Project) -> tuple[FeatureView, ...]:
    """Views without online states, or with states of another definition than the project's."""
    views = tuple(project.views.values())
    pointers = online.read([pointer_key(view.name) for view in views])
    return tuple(view for view, pointer in zip(views, pointers, strict=True) if not _is_current(pointer, view))


def materialize(
    stores: Stores,
    views: Sequence[FeatureView],
    *,
    clock: Clock,
    force: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[Materialized, ...]:
    """Build the online states of views from their sources' tables.

    Idempotent. One that is interrupted leaves the states of finished views new and of the others as they were; run
    again, it goes on with these.

    Parameters
    ----------
    stores : Stores
        The online store must be open for writing.
    force : bool
        Whether to build anew also the views whose states are those of their definition.
    progress : callable
        ``progress(fraction, message)``.

    Raises
    ------
    Conflict
        If the online store is open for reading only.
    """
    done = []
    for place, view in enumerate(views):
        if progress:
            progress(place / len(views), f"materializing {view.name}")
        pointer = stores.online.read([pointer_key(view.name)])[0]
        if pointer is not None and not force and _is_current(pointer, view):
            applied = stores.online.mark(decode_generation(pointer).applied_mark)
            done.append(Materialized(view=view.name, entities=0, applied=applied))
        else:
            done.append(_build(stores, view, clock=clock, replaces=pointer))
    if progress:
        progress(1.0, f"materialized {len(views)} feature views")
    return tuple(done)


def _is_current(pointer: bytes | None, view: FeatureView) -> bool:
    """Whether a view's live generation is of its present definition."""
    if pointer is None:
        return False
    live = decode_generation(pointer)
    return replace(generation_of(view), id=live.id) == live


def _build(stores: Stores, view: FeatureView, *, clock: Clock, replaces: bytes | None) -> Materialized:
    online, tables, table = stores.online, stores.tables, table_of(view.source.name)
    generation = generation_of(view)
    end, entities = 0, 0
    if tables.version(table) >= 0:
        end = max(tables.written(table, WRITER), 0)
        entities = _write_states(stores, view, generation, end=end, now_us=clock.now_us())
        _renew_seen(stores, view.source.name, end=end)
    online.write({pointer_key(view.name): generation.encode()}, marks={generation.applied_mark: end})
    if replaces is not None:
        _delete_states(stores, decode_generation(replaces))
    return Materialized(view=view.name, entities=entities, applied=end)


def _write_states(stores: Stores, view: FeatureView, generation: Generation, *, end: int, now_us: int) -> int:
    """Write the states of a generation from the events of payloads before `end`, some entities at a time."""
    updater = StateUpdater(generation, view.source)
    table = table_of(view.source.name)
    rows = stores.tables.query("SELECT count(*) AS n FROM events", tables={"events": table}).column("n")[0].as_py()
    parts = -(-rows // _PART_ROWS)
    since = from_micros(now_us - (READ_LAG_S + _reach_s(generation)) * 1_000_000)
    entities = 0
    for part in range(parts):
        events = stores.tables.query(
            _events_query(view, generation),
            tables={"events": table},
            parameters={"since": since, "end": end, "parts": parts, "part": part},
        )
        for batch in events.combine_chunks().to_batches():
            groups = updater.group([updater.rows(batch)])
            states = updater.update(groups, [None] * len(groups), now_us=now_us)
            entities += len(states)
            for chunk in _batched(states.items(), _WRITE_KEYS):
                stores.online.write(dict(chunk), marks={})
    return entities


def _events_query(view: FeatureView, generation: Generation) -> str:
    """Events that windows still reach, and the newest of each latest value however old it is."""
    source, key = view.source, quoted(view.key)
    times = (quoted(source.event_time), quoted(source.available_at))
    measures = generation.layout.columns
    taken = (column for measure in measures for column in parse_measure(measure).columns)
    names = dict.fromkeys((source.event_time, source.available_at, EVENT_ID, view.key, *taken))
    newest = (
        f"SELECT arg_max({EVENT_ID}, ({', '.join(times)}, {EVENT_ID})) FROM mine"
        f" WHERE ({measure_sql(measure, source)}) IS NOT NULL GROUP BY {key}"
        for measure in measures
    )
    return (
        f"WITH mine AS (SELECT * FROM events"
        f" WHERE {key} IS NOT NULL AND {OFFSET} < $end AND hash({key}) % $parts = $part)"
        f" SELECT {', '.join(quoted(name) for name in names)} FROM mine"
        f" WHERE {times[0]} >= $since{''.join(f' OR {EVENT_ID} IN ({query})' for query in newest)}"
    )


def _reach_s(generation: Generation) -> int:
    return max((group.retention_s + group.tile_s for group in generation.layout.groups), default=0)


def _renew_seen(stores: Stores, source: str, *, end: int) -> None:
    """Complete the seen-set from the table where the online store was lost."""
    start = max(stores.online.mark(seen_mark(source)), 0)
    if start >= end:
        return
    events = stores.tables.query(
        f"SELECT {EVENT_ID}, {OFFSET} FROM events WHERE {OFFSET} >= $start AND {OFFSET} < $end",
        tables={"events": table_of(source)},
        parameters={"start": start, "end": end},
    )
    prefix = seen_prefix(source)
    pairs = zip(events.column(EVENT_ID).to_pylist(), events.column(OFFSET).to_pylist(), strict=True)
    for chunk in _batched(pairs, _WRITE_KEYS):
        stores.online.write({prefix + event: encode_offset(offset) for event, offset in chunk}, marks={})
    stores.online.write({}, marks={seen_mark(source): end})


def _delete_states(stores: Stores, generation: Generation) -> None:
    """Delete the states of a generation that is no longer live, as far as the table knows their entities."""
    table, key = table_of(generation.source), quoted(generation.key)
    if stores.tables.version(table) < 0:
        return
    found = stores.tables.query(
        f"SELECT DISTINCT {key} AS key FROM events WHERE {key} IS NOT NULL", tables={"events": table}
    )
    for chunk in _batched(found.column("key").to_pylist(), _WRITE_KEYS):
        stores.online.write({generation.prefix + entity_key(name): None for name in chunk}, marks={})


def _batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
