"""A small platform in memory, fed with random events, for tests of online features."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import octavo as oc
from octavo.clock import ManualClock, from_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.definitions.project import Project, collect
from octavo.features.events.decode import decode_rows
from octavo.features.events.ingest import ingest_rows
from octavo.features.online.pump import Pump
from octavo.features.online.reader import OnlineReader, OnlineValues
from octavo.stores.memory import (
    MemoryArtifacts,
    MemoryEventStream,
    MemoryMetadata,
    MemoryNotifier,
    MemoryOnlineStore,
    MemoryTables,
)
from octavo.stores.ports import Stores
from tests.oracles.features import Event, features_at

SECOND = 1_000_000
START = 1_388_448_000 * SECOND

readings = oc.Source(
    "readings",
    event_time="happened",
    available_at="known",
    schema={
        "number": oc.Int64,
        "happened": oc.Timestamp,
        "known": oc.Timestamp,
        "machine": oc.String,
        "site": oc.Int64,
        "amount": oc.Float64,
        "pieces": oc.Int64,
        "passed": oc.Bool,
        "remark": oc.String,
        "shape": oc.Vector(3),
    },
    id=["number"],
)
machines = FeatureView(
    "machines",
    entity=oc.Entity("machine", key="machine"),
    source=readings,
    features=[
        oc.count(over=["12m", "1h", "24h", "20d"]),
        oc.count("remark", over="24h"),
        oc.mean("amount", over=["1h", "24h", "20d"]),
        oc.sum("pieces", over="24h"),
        oc.mean("passed", over="24h"),
        oc.min("amount", over=["1h", "24h"]),
        oc.max("pieces", over="24h"),
        oc.std("amount", over=["1h", "20d"]),
        oc.quantile("amount", 0.5, over=["1h", "24h"]),
        oc.quantile("amount", 0.9, over="24h"),
        oc.quantile("pieces", 0.1, over="20d"),
        oc.latest("amount", ttl="2h"),
        oc.latest("passed", ttl="7d"),
        oc.rate("amount > 1", name="large", over=["1h", "24h"]),
        oc.rate("passed == True or remark is None", name="odd", over="20d", where="not (pieces <= 5)"),
        oc.count(name="fine", over=["1h", "20d"], where="remark in ('fine', '')"),
        oc.mean("amount", name="sound", over="24h", where="passed == True and amount >= -7.5"),
        oc.quantile("pieces", 0.5, name="middle", over="24h", where="remark != 'fine'"),
        oc.std("amount", name="spread", over="24h", where="remark == 'fine' and passed is not None"),
        oc.latest("pieces", name="newest_fine", ttl="7d", where="remark == 'fine'"),
        oc.distinct("remark", over=["1h", "20d"]),
        oc.distinct("pieces", name="kinds", over="20d", where="passed == True"),
        oc.distinct("passed", over="24h"),
        oc.last("amount", over=["12m", "24h"]),
        oc.last("passed", name="passed_fine", over="20d", where="remark == 'fine'"),
        oc.latest("shape", ttl="2h"),
        oc.last("shape", name="fine_shape", over=["1h", "20d"], where="remark == 'fine'"),
        oc.count("shape", over="24h"),
        oc.count(over=["1m", "5m"]),
        oc.quantile("pieces", 0.5, name="short", over="90s"),
        oc.first("amount", over=["1m", "24h", "20d"]),
        oc.first("passed", name="first_fine", over="20d", where="remark == 'fine'"),
        oc.last_k("amount", 3, over=["24h", "20d"]),
        oc.last_k("pieces", 2, name="fine_pieces", over="20d", where="remark == 'fine'"),
        oc.decayed_sum("amount", half_life="1h", over=["24h", "2d"]),
        oc.decayed_sum("pieces", name="fading", half_life="1d", over="20d", where="passed == True"),
        oc.decayed_count(half_life="9h", over=["1h", "20d"]),
        oc.decayed_count(name="fading_fine", half_life="2d", over="20d", where="remark == 'fine'"),
    ],
)
sites = FeatureView(
    "sites",
    entity=oc.Entity("plant", key="plant", dtype=oc.Int64),
    key="site",
    source=readings,
    features=[oc.count(over="1h"), oc.latest("pieces", ttl="1h")],
)
views = (machines, sites)


def project_of(*declared: FeatureView) -> Project:
    module = ModuleType("plant")
    vars(module).update({view.name: view for view in declared}, readings=readings)
    return collect(module, name="plant", code={})


def memory_stores() -> Stores:
    return Stores(
        metadata=MemoryMetadata(),
        tables=MemoryTables(),
        online=MemoryOnlineStore(),
        stream=MemoryEventStream(),
        artifacts=MemoryArtifacts(),
        notifier=MemoryNotifier(),
    )


@dataclass
class Plant:
    """Stores, their pump, and all events that were sent."""

    stores: Stores = field(default_factory=memory_stores)
    clock: ManualClock = field(default_factory=lambda: ManualClock(from_micros(START)))
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    @property
    def now_us(self) -> int:
        return self.clock.now_us()

    def restart(self, *declared: FeatureView) -> None:
        """Begin anew with nothing but what is in the stores."""
        self.pump = Pump(self.stores, project_of(*(declared or views)), self.clock)
        self.reader = OnlineReader(self.stores.online, tuple(plan_view(view) for view in views))

    def wait(self, micros: int) -> None:
        self.clock.advance(from_micros(self.now_us + micros))

    def send(self, events: Sequence[Event]) -> None:
        """Send events together; the oracle's copies get the ids that the product gave them."""
        rows = [{column: _wire(column, value) for column, value in event.items()} for event in events]
        ingest_rows(rows, readings, stream=self.stores.stream, clock=self.clock)
        ids = decode_rows(rows, readings, now_us=self.now_us).column("_event_id").to_pylist()
        self.events += [{**event, "_event_id": given} for event, given in zip(events, ids, strict=True)]

    def apply(self) -> None:
        while self.pump.apply("readings"):
            pass

    def ship(self) -> None:
        while self.pump.ship("readings"):
            pass

    def read(self, at_us: int) -> OnlineValues:
        return self.reader.read([{"machine": m, "plant": p} for m, p in ENTITIES], at_us=at_us)


ENTITIES: list[tuple[str | None, int | None]] = [("a", 1), ("b", 2), ("nobody", 99), (None, None)]


def _wire(column: str, value: object) -> object:
    return from_micros(value).isoformat() if column in ("happened", "known") and isinstance(value, int) else value


def check(values: OnlineValues, events: Sequence[Event], at_us: int) -> None:
    """Assert that values read for `ENTITIES` are those of the oracle."""
    for row, keys in enumerate(ENTITIES):
        wanted = [features_at(events, view, key=key, at_us=at_us) for view, key in zip(views, keys, strict=True)]
        expected = [(name, value) for of_view in wanted for name, value in of_view.items()]
        for place, (name, value) in enumerate(expected):
            got = float(values.values[row, place])
            if value is None:
                assert math.isnan(got), (name, keys, got)
                assert values.status[row, place] in (1, 2)
            else:
                assert math.isclose(got, value, rel_tol=1e-5, abs_tol=1e-4), (name, keys, got, value)
                assert values.status[row, place] == 0


AMOUNTS = (None, 0.0, -0.0, 1.0, -7.5, 127.0, 128.0, 129.0)
SPANS_S = (0, 0, 1, 60, 3_599, 3_600, 86_400, 20 * 86_400)


def random_events(chance: random.Random, *, now_us: int, n: int) -> list[Event]:
    """Events known about now, that happened any time before."""
    return [_random_event(chance, now_us) for _ in range(n)]


def _random_event(chance: random.Random, now_us: int) -> dict[str, Any]:
    known = now_us - chance.choice([0, 0, 1, SECOND, 3 * SECOND, 3_600 * SECOND, -5 * SECOND])
    span = chance.choice([chance.choice(SPANS_S) * SECOND, chance.randrange(22 * 86_400 * SECOND)])
    return {
        "number": chance.randrange(2**40),
        "happened": known - span,
        "known": known,
        "machine": chance.choice(["a", "a", "b", None]),
        "site": chance.choice([1, 2, None]),
        "amount": chance.choice([*AMOUNTS, chance.uniform(-1e4, 1e4)]),
        "pieces": chance.choice([None, chance.randint(-3, 300)]),
        "passed": chance.choice([None, True, False]),
        "remark": chance.choice([None, "", "fine"]),
        "shape": chance.choice([None, [chance.uniform(-1, 1), 0.0, 1e6]]),
    }
