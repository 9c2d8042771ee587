"""A made-up airline: the events, features and model of all benchmarks."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import octavo as oc
from octavo.definitions.project import Project, collect
from octavo.features.events.payloads import TIME
from octavo.stores.delta import DeltaTables
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.log import LocalLog
from octavo.stores.memory import MemoryArtifacts, MemoryMetadata, MemoryNotifier
from octavo.stores.ports import Stores

SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
START = 1_357_000_000 * SECOND
KEYS = {"origin": 3, "carrier": 16, "dest": 105, "tailnum": 3_000}
PER_DAY = 900

flights = oc.Source(
    "flights",
    event_time="departed",
    available_at="arrived",
    schema={"flight": oc.Int64, "departed": oc.Timestamp, "arrived": oc.Timestamp}
    | dict.fromkeys(KEYS, oc.String)
    | {"distance": oc.Float64, "dep_delay": oc.Float64, "arr_delay": oc.Float64},
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


def project_of(**declared: Any) -> Project:
    """The airline as a project, with further definitions."""
    module = ModuleType("airline")
    vars(module).update(views, **declared)
    return collect(module, name="airline", code={})


def local_stores(folder: Path, *, sync: bool = True) -> Stores:
    """Stores on local disk for everything that events come through."""
    return Stores(
        metadata=MemoryMetadata(),
        tables=DeltaTables(folder / "tables"),
        online=LmdbOnlineStore(folder / "online"),
        stream=LocalLog(folder / "stream", sync=sync),
        artifacts=MemoryArtifacts(),
        notifier=MemoryNotifier(),
    )


def flights_table(n: int, *, first: int = 0, per_day: int = PER_DAY, seed: int = 1) -> pa.Table:
    """Flights in the order in which they became known; each arrives up to five hours after its departure."""
    random = np.random.default_rng(seed)
    arrived = START + (np.arange(first, first + n) * (DAY / per_day)).astype(np.int64)
    departed = arrived - random.integers(1, 5 * 3_600, n) * SECOND
    return pa.table(
        {
            "flight": np.arange(first, first + n),
            "departed": times(departed),
            "arrived": times(arrived),
            **{key: pa.array(np.char.add(key, random.integers(0, size, n).astype(str))) for key, size in KEYS.items()},
            "distance": np.round(random.uniform(100, 3_000, n)),
            "dep_delay": np.round(random.exponential(20, n)) - 8,
            "arr_delay": np.round(random.normal(7, 40, n)),
        }
    )


def end_of(table: pa.Table) -> int:
    """The moment at which all flights are known, microseconds since 1970."""
    last: int = table.column("arrived").cast(pa.int64())[-1].as_py()
    return last + SECOND


def times(micros: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(micros, TIME)


def keys_of(number: int) -> dict[str, str]:
    """The entities of the request with a number; the same ones each time."""
    random = np.random.default_rng(number)
    return {key: f"{key}{random.integers(0, size)}" for key, size in KEYS.items()}
