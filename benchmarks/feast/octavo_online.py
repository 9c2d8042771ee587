"""Online features by Octavo, and the least that anyone has to do: one multi-get and decoding.

The floor is written by hand: 50 values and their times in a row of doubles, under the user's number, made into values
and ages; no status.
"""

import struct
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pyarrow.parquet as pq
import redis
from peers import Answer, serve
from tables import events_table, latest_view, windows_view

from octavo.clock import ManualClock, to_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.features.online.keys import decode_generation, entity_key, pointer_key
from octavo.features.online.materialize import materialize
from octavo.features.online.reader import OnlineReader
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.memory import MemoryArtifacts, MemoryEventStream, MemoryMetadata, MemoryNotifier
from octavo.stores.ports import OnlineStore, Stores
from octavo.stores.redis import RedisAddress, RedisOnlineStore

Request = list[int]


class Octavo:
    """The views' states in Redis and in LMDB, and the floor's rows beside them."""

    def __init__(self, *, folder: str, redis_port: int, columns: list[str], ttl_days: int, until: str) -> None:
        events = pq.read_table(Path(folder) / "events.parquet")
        self.clock = ManualClock(datetime.fromisoformat(until))
        self.views = {"latest": latest_view(columns, ttl_days), "windows": windows_view(columns[:10])}
        self.stores: dict[str, OnlineStore] = {
            "redis": RedisOnlineStore(RedisAddress(port=redis_port), project="benchmark"),
            "lmdb": LmdbOnlineStore(Path(folder) / "online"),
        }
        tables = events_table(events, self.views["latest"].source)
        for online in self.stores.values():
            stores = Stores(
                metadata=MemoryMetadata(),
                tables=tables,
                online=online,
                stream=MemoryEventStream(),
                artifacts=MemoryArtifacts(),
                notifier=MemoryNotifier(),
            )
            materialize(stores, tuple(self.views.values()), clock=self.clock)
        users = range(int(events.column("user").to_numpy().max()) + 1)
        self.floor = Floor(folder, redis_port, users=users, width=len(columns))

    def reader(self, store: str, view: str) -> OnlineReader:
        return OnlineReader(self.stores[store], (plan_view(self.views[view]),))

    def state_bytes(self, view: FeatureView, *, users: int) -> float:
        online = self.stores["redis"]
        [pointer] = online.read([pointer_key(view.name)])
        assert pointer is not None
        prefix = decode_generation(pointer).prefix
        found = online.read([prefix + entity_key(user) for user in range(users)])
        return float(np.mean([len(state) for state in found if state]))


class Floor:
    """Rows of doubles and their times by user, fetched and decoded by hand into values and ages."""

    def __init__(self, folder: str, redis_port: int, *, users: range, width: int) -> None:
        self.width, self.row = width, struct.Struct(f"={2 * width}d")
        self.redis = redis.Redis(port=redis_port, protocol=2)
        self.lmdb = lmdb.open(f"{folder}/floor", map_size=1 << 30)
        rows = {b"floor%d" % user: self.row.pack(*np.random.default_rng(user).normal(size=2 * width)) for user in users}
        self.redis.mset(rows)  # type: ignore[arg-type]  # bytes are keys too
        with self.lmdb.begin(write=True) as transaction:
            for key, row in rows.items():
                transaction.put(key, row)

    def read(self, store: str, users: Request, *, at_us: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        keys = [b"floor%d" % user for user in users]
        if store == "redis":
            found = self.redis.mget(keys)
        else:
            with self.lmdb.begin() as transaction:
                found = [transaction.get(key) for key in keys]
        ready = np.array([self.row.unpack(row) for row in found])
        ages_s = ((at_us - ready[:, self.width :]) / 1e6).astype(np.float32)
        return ready[:, : self.width].astype(np.float32), ages_s


opened: list[Octavo] = []
readers: dict[tuple[str, str], OnlineReader] = {}


def prepare(**settings: Any) -> Answer:
    octavo = Octavo(**settings)
    opened.append(octavo)
    readers.update({(s, v): octavo.reader(s, v) for s in octavo.stores for v in octavo.views})
    sizes = {name: octavo.state_bytes(view, users=500) for name, view in octavo.views.items()}
    return {"state_bytes": sizes}


def read(*, store: str, view: str, requests: list[Request]) -> Answer:
    [octavo] = opened
    reader, at_us = readers[store, view], to_micros(octavo.clock.now())
    return timed(lambda users: reader.read([{"user": user} for user in users], at_us=at_us).values, requests)


def floor(*, store: str, requests: list[Request]) -> Answer:
    [octavo] = opened
    at_us = to_micros(octavo.clock.now())
    return timed(lambda users: octavo.floor.read(store, users, at_us=at_us)[0], requests)


def timed(action: Callable[[Request], np.ndarray[Any, Any]], requests: list[Request]) -> Answer:
    each_us = []
    for users in requests:
        start = time.perf_counter()
        values = action(users)
        each_us.append(1e6 * (time.perf_counter() - start))
    return {"each_us": each_us, "values": values.T.tolist()}


serve({"prepare": prepare, "read": read, "floor": floor})
