"""What a model learns from and what it is given are the same numbers, bit for bit, and neither knows the future.

Everything on the way is real: events are ingested into the durable log, carried by the pump into LMDB and Delta, looked
up by a predictor's own code at the moment of each decision, and later made into a training set.
"""

import asyncio
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.clock import ManualClock, from_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.models import Model
from octavo.definitions.plans import plan_lookup
from octavo.definitions.project import collect
from octavo.features.datasets.training_sets import build_training_set
from octavo.features.events.ingest import ingest_rows
from octavo.features.online.materialize import materialize
from octavo.features.online.pump import Pump
from octavo.serving.asked import AskedRows
from octavo.serving.functions import FunctionsHere
from octavo.serving.inputs import InputBuilder
from octavo.serving.lookup import FeatureLookup
from octavo.serving.requests import RequestDecoder
from octavo.stores.delta import DeltaTables
from octavo.stores.inline import InlineReader
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.log import LocalLog
from octavo.stores.memory import MemoryArtifacts, MemoryMetadata, MemoryNotifier
from octavo.stores.ports import Stores

SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
START = 1_388_448_000 * SECOND
AHEAD = 299 * SECOND
"""How long before it is known an event may be sent, at most."""
Array = npt.NDArray[Any]
Event = dict[str, Any]

trips = oc.Source(
    "trips",
    event_time="ended",
    available_at="reported",
    schema={
        "number": oc.Int64,
        "booked": oc.Timestamp,
        "ended": oc.Timestamp,
        "reported": oc.Timestamp,
        "driver": oc.String,
        "zone": oc.Int64,
        "distance": oc.Float64,
        "riders": oc.Int64,
        "is_paid": oc.Bool,
        "delay": oc.Float64,
        "style": oc.Vector(2),
    },
    id=["number"],
)
drivers = FeatureView(
    "drivers",
    entity=oc.Entity("driver", key="driver"),
    source=trips,
    features=[
        oc.count(over=["12m", "1h", "24h", "7d"]),
        oc.count("riders", over="24h"),
        oc.mean("delay", over=["1h", "24h", "7d"]),
        oc.sum("distance", over="24h"),
        oc.min("delay", over=["1h", "7d"]),
        oc.max("riders", over="24h", default=-1),
        oc.mean("is_paid", over="7d"),
        oc.quantile("delay", 0.5, over=["1h", "7d"]),
        oc.quantile("distance", 0.9, over="24h"),
        oc.latest("delay", ttl="2h", default=7.3),
        oc.latest("is_paid", ttl="7d"),
        oc.last("distance", over=["1h", "7d"]),
        oc.latest("style", ttl="12h"),
        oc.last("style", over="7d"),
        oc.first("delay", over=["1m", "24h"]),
        oc.last_k("delay", 2, over=["2h", "7d"]),
        oc.decayed_sum("distance", half_life="6h", over="7d"),
        oc.decayed_count(half_life="1d", over="7d"),
        oc.distinct("zone", over=["24h", "7d"]),
        oc.rate("delay > 15", name="late", over="24h"),
        oc.sum("distance", name="far_and_paid", over="7d", where="distance > 100 and is_paid == True"),
    ],
)
zones = FeatureView(
    "zones",
    entity=oc.Entity("pickup", key="zone", dtype=oc.Int64),
    source=trips,
    features=[oc.count(over="1h"), oc.std("delay", over="24h"), oc.latest("riders", ttl="1h")],
)
drivers_in_zones = FeatureView(
    "drivers_in_zones",
    entity=(*drivers.entities, *zones.entities),
    source=trips,
    features=[oc.count(over="7d"), oc.sum("delay", over="24h"), oc.latest("delay", ttl="2h")],
)


@oc.on_demand
def hour(booked: Array) -> Array:
    hours: Array = (booked - booked.astype("datetime64[D]")).astype("timedelta64[m]").astype(float) / 60
    return hours


@oc.on_demand(default=-0.5)
def distance_per_rider(distance: Array, riders: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Array = distance / riders
    return ratio


@oc.on_demand
def lateness_per_hour(drivers__delay_latest: Array, hour: Array, rider_hours: Array) -> Array:
    late: Array = np.nan_to_num(drivers__delay_latest, nan=-1.0) / (hour + 1) + np.nan_to_num(rider_hours)
    return late


@oc.on_demand(default=4.0)
def rider_hours(hour: Array, riders: Array, distance_per_rider: Array, zones__delay_std_24h: Array) -> Array:
    hours: Array = hour * np.nan_to_num(riders.astype(float)) + distance_per_rider - zones__delay_std_24h
    return hours


@oc.on_demand
def is_known_driver(driver: Array) -> Array:
    return np.array([name is not None and name.startswith("a") for name in driver])


@oc.model(
    features=[
        drivers,
        zones,
        drivers_in_zones,
        lateness_per_hour,
        hour,
        rider_hours,
        distance_per_rider,
        is_known_driver,
        oc.request("number", oc.Int64),
        oc.request("booked", oc.Timestamp),
        oc.request("driver", oc.String),
        oc.request("zone", oc.Int64),
        oc.request("distance", oc.Float64, required=False),
        oc.request("riders", oc.Int64, default=0.1),
        oc.request("is_paid", oc.Bool, required=False),
    ],
    label=oc.Label(trips, "delay", at="booked"),
    metrics=["mae"],
    holdout="1d",
)
def trip_delay(train: oc.Dataset) -> None:
    raise AssertionError("not trained here")


@dataclass
class City:
    """A platform in a folder, its predictor's way of making inputs, and what that made at each decision."""

    folder: Path
    clock: ManualClock = field(default_factory=lambda: ManualClock(from_micros(START)))
    asked: dict[float, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stores = Stores(
            metadata=MemoryMetadata(),
            tables=DeltaTables(self.folder / "tables"),
            online=LmdbOnlineStore(self.folder / "online"),
            stream=LocalLog(self.folder / "stream", sync=False),
            artifacts=MemoryArtifacts(),
            notifier=MemoryNotifier(),
        )
        module = ModuleType("city")
        vars(module).update(trips=trips, drivers=drivers, zones=zones, drivers_in_zones=drivers_in_zones)
        self.pump = Pump(self.stores, collect(module, name="city", code={}), self.clock)
        plan = plan_lookup(trip_delay)
        self.decoder = RequestDecoder(plan.fields, max_rows=1_000)
        self.builder = InputBuilder(
            plan,
            functions=FunctionsHere(trip_delay.on_demand),
            lookup=FeatureLookup.of_plan(InlineReader(self.stores.online), plan),
            names=self.decoder.names,
        )

    def send(self, events: Sequence[Event]) -> None:
        if events:
            ingest_rows([wire(event) for event in events], trips, stream=self.stores.stream, clock=self.clock)
        while self.pump.apply("trips"):
            pass

    def ask(self, trips_booked: Sequence[Event]) -> Array:
        """Make the inputs of trips at their booking, which is now, from a request as a caller sends it."""
        sent = [
            {name: value for name, value in wire(trip).items() if name in self.decoder.names} for trip in trips_booked
        ]
        rows = self.decoder.decode(json.dumps({"rows": sent}).encode())
        asked = AskedRows(rows)
        looked_up = asyncio.run(self.builder.look_up(asked, at_us=self.clock.now_us()))
        computed = asyncio.run(self.builder.compute(asked, looked_up))
        matrix = self.builder.build(asked, looked_up, computed).matrix
        self.asked |= {trip["number"]: canonical(row) for trip, row in zip(trips_booked, matrix, strict=True)}
        return matrix

    def learned(self, model: Model = trip_delay) -> dict[float, bytes]:
        """The rows of the training set by the number of their trip."""
        while self.pump.ship("trips"):
            pass
        made = build_training_set(self.stores.tables, model, as_of=from_micros(self.clock.now_us()))
        rows = np.concatenate([made.train.X, made.holdout.X])
        place = made.train.columns.index("number")
        return {int(row[place]): canonical(row) for row in rows}


@contextmanager
def city() -> Iterator[City]:
    with tempfile.TemporaryDirectory() as folder:
        made = City(Path(folder))
        yield made
        made.stores.online.close()
        made.stores.stream.close()


def canonical(row: Array) -> bytes:
    """The bits of a row as float32, in which every NaN and either zero is the same."""
    numbers = row.astype(np.float32) + np.float32(0)
    return np.where(np.isnan(numbers), np.float32(np.nan), numbers).astype("<f4").tobytes()


def wire(event: Event) -> dict[str, Any]:
    times = ("booked", "ended", "reported")
    return {name: from_micros(value).isoformat() if name in times else value for name, value in event.items()}


def random_trip(chance: random.Random, number: int) -> Event:
    """A trip with values whose sums are exact, so that they have the same bits in every order."""
    booked = START + chance.choice([chance.randrange(9 * DAY), chance.randrange(9 * 24) * HOUR])
    ended = booked + chance.choice([0, 1, 5 * MINUTE, HOUR, chance.randrange(DAY)])
    return {
        "number": number,
        "booked": booked,
        "ended": ended,
        "reported": ended + chance.choice([0, 0, 1, 90 * SECOND, HOUR, chance.randrange(2 * DAY)]),
        "driver": chance.choice(["ann", "ann", "bob", "é"]),
        "zone": chance.choice([1, 1, 2, -7]),
        "distance": chance.choice([None, 0.5, chance.randrange(4_000) / 8]),
        "riders": chance.choice([None, 0, 1, 2, 3]),
        "is_paid": chance.choice([None, True, False]),
        "delay": chance.choice([None, chance.randrange(-200, 2_000) / 4, chance.randrange(-200, 2_000) / 4]),
        "style": chance.choice([None, [chance.random(), -1.0]]),
    }


def live_through(city: City, events: Sequence[Event], chance: random.Random) -> None:
    """Let time pass: trips are booked, end, and are reported, some of them early, late or twice."""
    sending = [(max(e["reported"] - chance.choice([0, 0, SECOND, AHEAD]), START), "send", e) for e in events]
    again = [(at + chance.randrange(2 * DAY), "send", e) for at, _, e in sending if chance.random() < 0.2]
    asking = [(e["booked"], "ask", e) for e in events]
    turning = [(START + chance.randrange(9 * DAY), "materialize", {}) for _ in range(2)]
    moments: dict[int, list[tuple[str, Event]]] = {}
    for at, what, event in sending + again + asking + turning:
        moments.setdefault(at, []).append((what, event))
    for at in sorted(moments):
        city.clock.advance(from_micros(at))
        by_what = {what: [e for w, e in moments[at] if w == what] for what, _ in moments[at]}
        city.send(by_what.get("send", []))
        if "materialize" in by_what:
            while city.pump.ship("trips"):
                pass
            materialize(city.stores, [drivers, zones, drivers_in_zones], clock=city.clock, force=True)
            city.send([])
        if "ask" in by_what:
            city.ask(by_what["ask"])
    city.clock.advance(from_micros(START + 30 * DAY))


@given(st.integers(0, 2**32), st.integers(1, 60))
@settings(max_examples=8, deadline=None)
def test_training_and_requests_see_the_same_bits(seed: int, n_trips: int) -> None:
    chance = random.Random(seed)
    events = [random_trip(chance, number) for number in range(n_trips)]
    with city() as place:
        live_through(place, events, chance)
        learned = place.learned()
    labelled = {e["number"] for e in events if e["delay"] is not None and e["reported"] >= e["booked"]}
    assert set(learned) == labelled
    columns = trip_delay.input_names
    for number, row in learned.items():
        told, given = (np.frombuffer(bits, "<f4") for bits in (place.asked[number], row))
        differing = [c for c, a, b in zip(columns, told, given, strict=True) if a.tobytes() != b.tobytes()]
        assert row == place.asked[number], (number, differing, told, given)


@pytest.mark.parametrize("known_after_us", [0, 1, SECOND, AHEAD])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_a_planted_future_value_never_leaks(known_after_us: int, seed: int) -> None:
    chance = random.Random(seed)
    events = [random_trip(chance, number) for number in range(20)]
    decision = max(e["reported"] for e in events) + 1
    asked = {
        **random_trip(chance, 50),
        "booked": decision,
        "ended": decision + HOUR,
        "reported": decision + HOUR,
        "delay": 1.0,
    }
    planted = {
        **asked,
        "number": 99,
        "booked": decision - HOUR,
        "ended": decision - MINUTE,
        "reported": decision + known_after_us,
        "delay": 1e6,
        "distance": 1e6,
        "riders": 1_000,
        "is_paid": True,
    }
    rows = []
    for others in ([], [planted]):
        with city() as place:
            place.clock.advance(from_micros(decision))
            place.send([*events, *others])
            online = place.ask([asked])
            place.clock.advance(from_micros(decision + 2 * HOUR))
            place.send([asked])
            rows += [canonical(online[0]), place.learned()[50]]
    assert len(set(rows)) == 1, "with and without it, online and offline"


def test_a_value_known_a_microsecond_before_the_decision_is_seen_by_both() -> None:
    chance = random.Random(1)
    decision = START + DAY
    asked = {**random_trip(chance, 1), "booked": decision, "ended": decision, "reported": decision, "delay": 1.0}
    known = {
        **asked,
        "number": 2,
        "booked": decision - HOUR,
        "ended": decision - 1,
        "reported": decision - 1,
        "delay": 7.0,
    }
    with city() as place:
        place.clock.advance(from_micros(decision))
        place.send([known, asked])
        online = place.ask([asked])[0]
        place.clock.advance(from_micros(decision + 2 * DAY))
        assert online[trip_delay.input_names.index("drivers__delay_latest")] == 7
        assert place.learned()[1] == canonical(online)
