"""How long the point-in-time join of a realistic training set takes; the bound is wide, to catch a wrong algorithm."""

import time

import numpy as np
import pyarrow as pa
import pytest

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.features.historical import historical_features
from octavo.stores.memory import MemoryTables

MOMENT = pa.timestamp("us", tz="UTC")
START, SPAN = 1_357_000_000_000_000, 90 * 86_400_000_000
KEYS = {"origin": 3, "carrier": 16, "dest": 105, "plane": 3_300}
EVENTS, POINTS = 300_000, 80_000


def source(name: str) -> oc.Source:
    schema = {"at": oc.Timestamp, "known": oc.Timestamp, "delay": oc.Float64} | dict.fromkeys(KEYS, oc.String)
    return oc.Source(name, event_time="at", available_at="known", schema=schema)


def rows(random: np.random.Generator, *, count: int) -> pa.Table:
    """Half of the events are known at once, the others up to days later."""
    at = START + (random.random(count) * SPAN).astype(np.int64)
    late = np.where(random.random(count) < 0.5, 0, random.exponential(3 * 3_600e6, count)).astype(np.int64)
    keys = {name: pa.array(random.integers(0, size, count).astype(str)) for name, size in KEYS.items()}
    return pa.table(
        {
            "at": pa.array(at, MOMENT),
            "known": pa.array(at + late, MOMENT),
            "delay": np.round(random.gamma(1, 30, count) - 15),
            "_event_id": pa.array([place.to_bytes(4, "big") for place in range(count)]),
            **keys,
        }
    )


@pytest.mark.slow
def test_eighty_thousand_rows_by_forty_features_over_600_000_events_take_seconds() -> None:
    random = np.random.default_rng(1)
    tables, views = MemoryTables(), []
    for name in ("departures", "landings"):
        events = rows(random, count=EVENTS)
        tables.ensure(f"events/{name}", events.schema)
        tables.append(f"events/{name}", events, writer="test", sequence=1)
        views += [
            view_of(name, key="origin", means=["1h", "3h", "24h"], quantiles=["1h", "24h"]),
            view_of(name, key="carrier", means=["1h", "3h", "24h"], quantiles=["3h"]),
            view_of(name, key="dest", means=["24h", "7d"], quantiles=["24h"]),
            view_of(name, key="plane", means=["24h"], quantiles=[]),
        ]
    features = sum(len(view.features) for view in views)
    spine = rows(random, count=POINTS).select([*KEYS, "at"])
    started = time.perf_counter()
    historical_features(tables, views, spine=spine, at="at")
    seconds = time.perf_counter() - started
    print(f"{POINTS:,} rows by {features} features over {2 * EVENTS:,} events: {seconds:.1f} s")
    assert features >= 40
    assert seconds < 20


def view_of(source_name: str, *, key: str, means: list[str], quantiles: list[str]) -> FeatureView:
    return FeatureView(
        f"{key}_{source_name}",
        entity=oc.Entity(key, key=key),
        source=source(source_name),
        features=[
            oc.mean("delay", over=means),
            oc.count(over=means),
            *([oc.quantile("delay", 0.9, over=quantiles)] if quantiles else []),
            oc.latest("delay", ttl="24h"),
        ],
    )
