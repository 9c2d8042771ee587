"""Whatever is declared and sent, of any schema, windows and zones, means the same offline, online and to the oracle."""

import math
from dataclasses import dataclass
from datetime import timedelta, timezone
from types import ModuleType
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.clock import ManualClock, from_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.definitions.project import collect
from octavo.definitions.types import ColumnType, DType
from octavo.features.events.decode import decode_rows
from octavo.features.events.ingest import ingest_rows
from octavo.features.events.payloads import ARROW_TYPES
from octavo.features.offline.historical import historical_features
from octavo.features.online.pump import Pump
from octavo.features.online.reader import OnlineReader
from tests.oracles.features import Event, features_at
from tests.plants import SECOND, START, memory_stores

VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    oc.Float64: st.sampled_from([0.0, -0.0, 1.0, -7.5, 127.0, 1e-3, 129.0]),
    oc.Int64: st.integers(-200, 200),
    oc.Bool: st.booleans(),
    oc.String: st.sampled_from(["", "a", "b", "é", "a'b"]),
    oc.List(oc.String): st.lists(st.sampled_from(["", "a", "a'b"]), max_size=3),
    oc.List(oc.Int64): st.lists(st.sampled_from([0, -1, 2**62]), max_size=3),
    oc.List(oc.Float64): st.lists(st.sampled_from([0.0, -0.0, 0.1]), max_size=3),
}
INSIDE = {oc.String: "'a\\'b'", oc.Int64: "-1", oc.Float64: "0"}
KEYS: dict[DType, list[Any]] = {oc.String: ["a", "1"], oc.Int64: [0, -1]}
WINDOWS = ["1m", "90s", "5m", "12m", "1h", "7h", "24h", "3d", "30d", "366d"]
UNITS_S = [1, 7, 60, 600, 3_600, 86_400, 9 * 86_400]


@dataclass(frozen=True)
class Declared:
    source: oc.Source
    view: FeatureView


@st.composite
def declarations(draw: st.DrawFn) -> Declared:
    columns = {f"c{n}": draw(st.sampled_from(list(VALUES))) for n in range(draw(st.integers(1, 4)))}
    key_type = draw(st.sampled_from(list(KEYS)))
    is_late = draw(st.booleans())
    times = {"happened": oc.Timestamp} | ({"known": oc.Timestamp} if is_late else {})
    source = oc.Source(
        "things",
        event_time="happened",
        available_at="known" if is_late else None,
        schema={"number": oc.Int64, "thing": key_type} | times | columns,
        id=["number"],
    )
    made = draw(st.lists(aggregates(columns), min_size=1, max_size=6))
    features = [aggregate(f"f{n}") for n, aggregate in enumerate(made)]
    entity = oc.Entity("thing", key="asked", dtype=key_type)
    return Declared(source, FeatureView("seen", entity=entity, key="thing", source=source, features=features))


@st.composite
def aggregates(draw: st.DrawFn, columns: dict[str, ColumnType]) -> Any:
    """A function of a name that makes an aggregate."""
    column = draw(st.sampled_from(list(columns)))
    if isinstance(listed := columns[column], oc.List):
        return draw(aggregates_of_lists(column, f"{INSIDE[listed.item]} in {column}"))
    over = draw(st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=3, unique=True))
    holds = "== True" if columns[column] is oc.Bool else "> 0"
    makers = [lambda name: oc.count(over=over, name=name), lambda name: oc.count(column, over=over, name=name)]
    if columns[column] is not oc.Float64:
        makers.append(lambda name: oc.distinct(column, over=over, name=name))
    if columns[column].is_numeric:
        plain = (oc.sum, oc.mean, oc.min, oc.max, oc.std, oc.first, oc.last)
        makers += [lambda name, make=make: make(column, over=over, name=name) for make in plain]
        makers += [
            lambda name: oc.quantile(column, 0.7, over=over, name=name),
            lambda name: oc.last_k(column, 2, over=over, name=name),
            lambda name: oc.latest(column, ttl=over[0], name=name),
            lambda name: oc.decayed_sum(column, half_life="1h", over="24h", name=name),
            lambda name: oc.rate(f"{column} {holds}", over=over, name=name),
        ]
    return draw(st.sampled_from(makers))


@st.composite
def aggregates_of_lists(draw: st.DrawFn, column: str, holds: str) -> Any:
    over = draw(st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=3, unique=True))
    makers = [
        lambda name: oc.count(column, over=over, name=name),
        lambda name: oc.count(over=over, where=holds, name=name),
        lambda name: oc.rate(f"not {holds}", over=over, name=name),
        lambda name: oc.rate(f"len({column}) > 1 or {column} is None", over=over, name=name),
        lambda name: oc.mean(f"len({column})", over=over, name=name),
        lambda name: oc.distinct(f"len({column})", over=over, name=name),
        lambda name: oc.latest(f"len({column})", ttl=over[0], name=name),
        lambda name: oc.max(f"len({column})", over=over, where=f"len({column}) < 3", name=name),
    ]
    return draw(st.sampled_from(makers))


@st.composite
def events_of(draw: st.DrawFn, source: oc.Source) -> list[Event]:
    """Events that end at the start, by scales from a second to days; each known at once or later."""
    events = []
    for number in range(draw(st.integers(0, 20))):
        spans = [draw(st.integers(0, 20)) * draw(st.sampled_from(UNITS_S)) * SECOND for _ in range(2)]
        event: dict[str, object] = {"number": number, "happened": START - sum(spans)}
        for field in source.schema:
            if field.name == "known":
                event["known"] = START - spans[0]
            elif field.name == "thing":
                event["thing"] = draw(st.sampled_from([*KEYS[field.dtype], None]))
            elif field.name.startswith("c"):
                event[field.name] = draw(st.none() | VALUES[oc.List(field.item) if field.item else field.dtype])
        events.append(event)
    return events


def wire(event: Event, source: oc.Source, hours: int) -> dict[str, object]:
    """An event as it is sent, its times in some zone."""
    zone = timezone(timedelta(hours=hours))
    times = {source.event_time, source.available_at}
    return {
        name: from_micros(int(str(value))).astimezone(zone).isoformat() if name in times else value
        for name, value in event.items()
    }


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_offline_and_online_are_what_the_oracle_says(data: st.DataObject) -> None:
    declared = data.draw(declarations())
    source, view = declared.source, declared.view
    events = data.draw(events_of(source))
    stores, clock = memory_stores(), ManualClock(from_micros(START))
    module = ModuleType("things")
    vars(module).update(view=view)
    project = collect(module, name="things", code={})
    pump, known = Pump(stores, project, clock), list[Event]()
    for part in (events[::2], events[1::2], events[: data.draw(st.integers(0, 3))]):
        if part:
            rows = [wire(event, source, data.draw(st.sampled_from([0, -11, 9]))) for event in part]
            ingest_rows(rows, source, stream=stores.stream, clock=clock)
            ids = decode_rows(rows, source, now_us=START).column("_event_id").to_pylist()
            known += [{**event, "_event_id": given} for event, given in zip(part, ids, strict=True)]
        if data.draw(st.booleans()):
            pump.apply("things")
            pump = Pump(stores, project, clock)  # begins anew
    while pump.apply("things") or pump.ship("things"):
        pass
    clock.advance(from_micros(at_us := START + data.draw(st.sampled_from([1, SECOND, 3_600 * SECOND]))))
    reader = OnlineReader(stores.online, (plan_view(view),))
    asked = KEYS[view.entities[0].dtype]
    online = reader.read([{"asked": key} for key in asked], at_us=at_us).values
    moments = pa.array([from_micros(at_us)] * len(asked), pa.timestamp("us", tz="UTC"))
    spine = pa.table({"asked": pa.array(asked, ARROW_TYPES[view.entities[0].dtype]), "at": moments})
    offline = historical_features(stores.tables, [view], spine=spine, at="at")
    for row, key in enumerate(asked):
        wanted = features_at(known, view, key=key, at_us=at_us)
        for place, (name, value) in enumerate(wanted.items()):
            same(float(online[row, place]), value, name)
            got = offline.column(f"seen__{name}")[row].as_py()
            same(math.nan if got is None else got, value, name)


def same(got: float, wanted: float | None, name: str) -> None:
    if wanted is None:
        assert math.isnan(got), name
    else:
        assert math.isclose(got, wanted, rel_tol=1e-5, abs_tol=1e-5), (name, got, wanted)
