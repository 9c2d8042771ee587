"""Online features of a flight-like project in LMDB: microseconds per read, bytes per value, and time to apply events.

python benchmarks/online_features.py
"""

import random
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import octavo as oc
from octavo.clock import ManualClock, from_micros
from octavo.definitions.plans import plan_view
from octavo.definitions.project import Project, collect
from octavo.features.ingest import ingest_rows
from octavo.features.keys import decode_generation, entity_key, pointer_key
from octavo.features.materialize import materialize
from octavo.features.online import OnlineReader
from octavo.features.pump import Pump
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.log import LocalLog
from octavo.stores.memory import MemoryArtifacts, MemoryMetadata, MemoryNotifier, MemoryTables
from octavo.stores.ports import Stores

SECOND, DAY = 1_000_000, 86_400_000_000
START = 1_357_000_000 * SECOND
KEYS = {"origin": 3, "carrier": 16, "dest": 105, "tailnum": 3_000}

flights = oc.Source(
    "flights",
    event_time="departed",
    available_at="arrived",
    schema={"flight": oc.Int64, "departed": oc.Timestamp, "arrived": oc.Timestamp}
    | dict.fromkeys(KEYS, oc.String)
    | {"dep_delay": oc.Float64, "arr_delay": oc.Float64},
    id=["flight"],
)
views = {
    key: oc.FeatureView(
        f"by_{key}",
        entity=oc.Entity(key, key=key),
        source=flights,
        features=[
            oc.count(over=["1h", "24h"]),
            oc.mean("dep_delay", over=["1h", "24h", "7d"]),
            oc.mean("arr_delay", over=["1h", "24h", "7d"]),
            oc.quantile("arr_delay", 0.9, over="7d"),
            oc.latest("arr_delay", ttl="24h"),
        ],
    )
    for key in KEYS
}


def main(days: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stores = Stores(
            metadata=MemoryMetadata(),
            tables=MemoryTables(),
            online=LmdbOnlineStore(Path(folder) / "online"),
            stream=LocalLog(Path(folder) / "stream", sync=True),
            artifacts=MemoryArtifacts(),
            notifier=MemoryNotifier(),
        )
        module = ModuleType("flights")
        vars(module).update(views)
        run(stores, collect(module, name="flights", code={}), days=days)


def run(stores: Stores, project: Project, *, days: int) -> None:
    chance = random.Random(1)
    rows = flights_of(chance, days=days, per_day=900)
    clock = ManualClock(from_micros(START + days * DAY))
    pump = Pump(stores, project, clock)
    with timed(f"accept {len(rows):,} events"):
        ingest_rows(rows, flights, stream=stores.stream, clock=clock)
    with timed("apply them to 4 views"):
        while pump.apply("flights"):
            pass
    with timed("ship them to a table"):
        while pump.ship("flights"):
            pass
    with timed("materialize the 4 views from the table"):
        materialize(stores, tuple(project.views.values()), clock=clock, force=True)
    small_batches(stores, pump, clock, chance)
    reads(stores, project, clock, chance)
    sizes(stores, project)


def small_batches(stores: Stores, pump: Pump, clock: ManualClock, chance: random.Random) -> None:
    spent = []
    for number in range(1_000):
        clock.advance(from_micros(clock.now_us() + 150 * SECOND))
        rows = [flight(chance, known=clock.now_us(), number=10**9 + 3 * number + n) for n in range(3)]
        ingest_rows(rows, flights, stream=stores.stream, clock=clock)
        start = time.perf_counter()
        pump.apply("flights")
        spent.append(time.perf_counter() - start)
    print_spread("apply 3 events to 4 views", spent)


def reads(stores: Stores, project: Project, clock: ManualClock, chance: random.Random) -> None:
    reader = OnlineReader(stores.online, tuple(plan_view(view) for view in project.views.values()))
    for rows in (1, 100):
        spent = []
        for _ in range(3_000 // rows):
            batch = [{key: f"{key}{chance.randrange(n)}" for key, n in KEYS.items()} for _ in range(rows)]
            start = time.perf_counter()
            reader.read(batch, at_us=clock.now_us())
            spent.append((time.perf_counter() - start) / rows)
        print_spread(f"read a row (40 features of 4 views), {rows} in a request", spent)


def sizes(stores: Stores, project: Project) -> None:
    for key, n in KEYS.items():
        [pointer] = stores.online.read([pointer_key(f"by_{key}")])
        assert pointer is not None
        prefix = decode_generation(pointer).prefix
        found = stores.online.read([prefix + entity_key(f"{key}{number}") for number in range(n)])
        states = [len(state) for state in found if state]
        mean = sum(states) / len(states)
        per_value = mean / len(project.views[f"by_{key}"].features)
        print(f"by_{key:8} {len(states):6,} states, {mean:8,.0f} bytes each, {per_value:6,.0f} per value")


def flights_of(chance: random.Random, *, days: int, per_day: int) -> list[dict[str, object]]:
    every = DAY // per_day
    return [flight(chance, known=START + n * every, number=n) for n in range(days * per_day)]


def flight(chance: random.Random, *, known: int, number: int) -> dict[str, object]:
    return {
        "flight": number,
        "departed": from_micros(known - chance.randrange(1, 5 * 3_600) * SECOND),
        "arrived": from_micros(known),
        **{key: f"{key}{chance.randrange(n)}" for key, n in KEYS.items()},
        "dep_delay": round(chance.expovariate(1 / 20)) - 8.0,
        "arr_delay": round(chance.gauss(7, 40)) * 1.0,
    }


class timed:  # noqa: N801 - read as a verb
    """Prints how long a block took."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        print(f"{self.what}: {time.perf_counter() - self.start:.2f} s")


def print_spread(what: str, spent: list[float]) -> None:
    spent = sorted(spent)
    middle, late = spent[len(spent) // 2], spent[len(spent) * 99 // 100]
    print(f"{what}: {middle * 1e6:,.0f} us (p99 {late * 1e6:,.0f})")


if __name__ == "__main__":
    main(days=int(sys.argv[1]) if len(sys.argv) > 1 else 90)
