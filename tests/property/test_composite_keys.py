"""Features of several entities together: the same offline, online and by the oracle, whatever their keys are."""

import math
import random
from collections.abc import Sequence
from types import ModuleType

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.clock import ManualClock, from_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.definitions.project import collect
from octavo.features.composite import entity_column
from octavo.features.datasets.recipes import recipe_of_grid
from octavo.features.events.decode import decode_rows
from octavo.features.events.ingest import ingest_rows
from octavo.features.offline.historical import historical_features
from octavo.features.online.keys import composite_key, entity_key
from octavo.features.online.materialize import materialize
from octavo.features.online.pump import Pump
from octavo.features.online.reader import OnlineReader
from tests.oracles.features import Event, features_at
from tests.plants import SECOND, START, memory_stores

payments = oc.Source(
    "payments",
    event_time="paid",
    schema={
        "number": oc.Int64,
        "paid": oc.Timestamp,
        "customer": oc.String,
        "shop": oc.String,
        "branch": oc.Int64,
        "amount": oc.Float64,
    },
    id=["number"],
)
customer, merchant = oc.Entity("customer", key="customer_id"), oc.Entity("merchant", key="merchant_id")
branch = oc.Entity("branch", key="branch", dtype=oc.Int64)
FEATURES = [
    oc.count(over=["1h", "20d"]),
    oc.sum("amount", over="24h"),
    oc.quantile("amount", 0.5, over="20d"),
    oc.latest("amount", ttl="2h"),
    oc.last("amount", over="20d"),
]
at_shop = FeatureView(
    "at_shop", entity=(customer, merchant), key=("customer", "shop"), source=payments, features=FEATURES
)
at_branch = FeatureView(
    "at_branch",
    entity=(branch, customer, merchant),
    key=("branch", "customer", "shop"),
    source=payments,
    features=FEATURES,
)
views = (at_shop, at_branch)
TEXTS: list[str | None] = [
    "a", "b", "ab", "", "a:b", "1:a", "3:s1:a", "i1", "s1", "1", "-1", "é", "e\u0301", "а", "𝔞", "￿",
    "x" * 300, "x" * 299 + "y", None,
]  # fmt: skip
NUMBERS: list[int | None] = [0, 1, -1, 11, 2**63 - 1, -(2**63), None]
texts = st.text(max_size=8) | st.sampled_from(TEXTS).filter(bool).map(str)
keys = texts | st.integers(-(2**63), 2**63 - 1)


class Shops:
    """Payments on their way into tables and online states, and what is read of them."""

    def __init__(self) -> None:
        self.stores, self.clock = memory_stores(), ManualClock(from_micros(START))
        module = ModuleType("shops")
        vars(module).update(at_shop=at_shop, at_branch=at_branch)
        self.pump = Pump(self.stores, collect(module, name="shops", code={}), self.clock)
        self.events: list[Event] = []

    def send(self, events: Sequence[Event]) -> None:
        rows = [{**event, "paid": from_micros(int(str(event["paid"]))).isoformat()} for event in events]
        ingest_rows(rows, payments, stream=self.stores.stream, clock=self.clock)
        ids = decode_rows(rows, payments, now_us=self.clock.now_us()).column("_event_id").to_pylist()
        self.events += [{**event, "_event_id": given} for event, given in zip(events, ids, strict=True)]

    def settle(self) -> None:
        while self.pump.apply("payments") or self.pump.ship("payments"):
            pass

    def online(self, asked: Sequence[dict[str, object]]) -> list[list[float]]:
        reader = OnlineReader(self.stores.online, tuple(plan_view(view) for view in views))
        found: list[list[float]] = reader.read(asked, at_us=self.clock.now_us()).values.tolist()
        return found

    def offline(self, asked: Sequence[dict[str, object]]) -> list[list[float]]:
        types = {"customer_id": pa.string(), "merchant_id": pa.string(), "branch": pa.int64()}
        spine = pa.table({name: pa.array([row[name] for row in asked], kind) for name, kind in types.items()})
        moments = pa.array([self.clock.now_us()] * len(asked), pa.timestamp("us", tz="UTC"))
        answer = historical_features(self.stores.tables, views, spine=spine.append_column("at", moments), at="at")
        rows = answer.drop_columns([*types, "at"]).to_pylist()
        return [[math.nan if value is None else value for value in row.values()] for row in rows]

    def wanted(self, row: dict[str, object]) -> list[float]:
        found: list[float] = []
        for view in views:
            key = tuple(row[name] for name in view.entity_keys)
            values = features_at(self.events, view, key=key, at_us=self.clock.now_us()).values()
            found += [math.nan if value is None else value for value in values]
        return found


def random_payment(chance: random.Random, texts: Sequence[str | None]) -> Event:
    return {
        "number": chance.randrange(2**40),
        "paid": START - chance.choice([0, 1, 60 * SECOND, 7_200 * SECOND, chance.randrange(21 * 86_400 * SECOND)]),
        "customer": chance.choice(texts),
        "shop": chance.choice(texts),
        "branch": chance.choice(NUMBERS[:3]),
        "amount": chance.choice([None, 0.5, 2.0, chance.randrange(-400, 400) / 8]),
    }


@given(st.integers(0, 2**32), st.lists(st.sampled_from(TEXTS), min_size=1, max_size=5), st.booleans())
@settings(max_examples=40, deadline=None)
def test_offline_and_online_are_what_the_oracle_says(seed: int, texts: list[str | None], rebuilt: bool) -> None:
    chance, shops = random.Random(seed), Shops()
    shops.send([random_payment(chance, texts) for _ in range(60)])
    shops.settle()
    shops.clock.advance(from_micros(START + chance.choice([1, 10 * SECOND, 3_600 * SECOND])))
    if rebuilt:
        materialize(shops.stores, views, clock=shops.clock, force=True)
    asked: list[dict[str, object]] = [
        {"customer_id": one, "merchant_id": other, "branch": chance.choice(NUMBERS)} for one in texts for other in texts
    ]
    online, offline = shops.online(asked), shops.offline(asked)
    for row, of_store, of_table in zip(asked, online, offline, strict=True):
        assert of_store == pytest.approx(shops.wanted(row), rel=1e-5, abs=1e-4, nan_ok=True), row
        assert of_table == pytest.approx(shops.wanted(row), rel=1e-5, abs=1e-4, nan_ok=True), row


@pytest.mark.parametrize("given_pairs", [[], [("ann", "b"), ("bob", None), ("bob", "a")]])
def test_a_grid_has_rows_for_each_combination_that_has_events(given_pairs: list[tuple[str, str | None]]) -> None:
    shops = Shops()
    pairs = [("ann", "a"), ("ann", "b"), ("ann", None), ("bob", "b"), (None, "b")]
    sent = {"branch": 1, "amount": 1.0, "paid": START - 1}
    shops.send([{**sent, "number": n, "customer": one, "shop": other} for n, (one, other) in enumerate(pairs)])
    shops.settle()
    moments = {"since": from_micros(START), "until": from_micros(START + 7_200 * SECOND)}
    grid = recipe_of_grid([at_shop], every_s=3_600, given=bool(given_pairs), **moments).spine
    entities = {"customer_id": [one for one, _ in given_pairs], "merchant_id": [other for _, other in given_pairs]}
    frames = {grid.frame: pa.table(entities)} if given_pairs else {}
    rows = shops.stores.tables.query(grid.sql, tables=grid.tables, frames=frames, parameters=grid.parameters)
    wanted = [("ann", "b")] if given_pairs else [("ann", "a"), ("ann", "b"), ("bob", "b")]
    assert list(zip(rows["customer_id"].to_pylist(), rows["merchant_id"].to_pylist(), strict=True)) == wanted * 2


@given(st.lists(keys, min_size=1, max_size=3), st.lists(keys, min_size=1, max_size=3))
def test_other_keys_are_another_entity(one: list[str | int], other: list[str | int]) -> None:
    found, of_other = composite_key(one), composite_key(other)
    assert found is not None
    assert of_other is not None
    assert (entity_key(found) == entity_key(of_other)) == (one == other)
    assert entity_key(found) not in {entity_key(key) for key in [*one, *other]}


@given(st.lists(st.tuples(st.text() | st.none(), st.integers(-(2**63), 2**63 - 1) | st.none()), max_size=6))
def test_events_and_requests_join_keys_alike(rows: list[tuple[str | None, int | None]]) -> None:
    events = pa.table(
        {"text": pa.array([text for text, _ in rows], pa.string()), "n": pa.array([n for _, n in rows], pa.int64())}
    )
    assert entity_column(events, ("text", "n")).to_pylist() == [composite_key(row) for row in rows]
