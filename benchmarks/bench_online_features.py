"""Features read online against the bare multi-get of values that are ready, with their decoding.

A request asks for 40 features (windows of 1 h to 7 d, quantiles, latest values) of 4 entities in LMDB. A bare read has
as many keys; under each stand ten numbers, made into a matrix. Octavo reads states instead, from which it puts windows
together at the moment of the request, and gives status and age with each value. What a state says is remembered for as
long as it holds, so entities that are asked for again, which is most of the traffic where traffic matters, cost little
more than the reading and comparing of their states; that is what bounds the first ratio. The second is bounded by the
calls of numpy, some 25 per view, that put windows together.

python benchmarks/bench_online_features.py [--rows FLIGHTS]
"""

import argparse
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import airline
import numpy as np
from measuring import in_turns

from octavo.clock import ManualClock, from_micros
from octavo.definitions.plans import plan_view
from octavo.features.ingest import ingest_table
from octavo.features.keys import decode_generation, entity_key, pointer_key
from octavo.features.online import OnlineReader
from octavo.features.pump import Pump
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.ports import OnlineStore, Stores

TIMES = 400
Row = dict[str, str]
_TEN = struct.Struct("=10d")


def main(flights: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stores = airline.local_stores(Path(folder), sync=False)
        bare = LmdbOnlineStore(Path(folder) / "bare")
        at_us = fill(stores, flights)
        fill_bare(bare)
        for rows in (1, 100):
            compare(stores.online, bare, rows=rows, at_us=at_us)
        sizes(stores.online)
        bare.close()
        stores.online.close()


def fill(stores: Stores, flights: int) -> int:
    """Bring flights into the online states; the moment after the last of them."""
    table = airline.flights_table(flights)
    clock = ManualClock(from_micros(airline.end_of(table)))
    ingest_table(table, airline.flights, stream=stores.stream, clock=clock)
    pump = Pump(stores, airline.project_of(), clock)
    while pump.apply("flights"):
        pass
    return clock.now_us()


def fill_bare(store: OnlineStore) -> None:
    values = _TEN.pack(*range(10))
    names = [f"{key}{number}" for key, size in airline.KEYS.items() for number in range(size)]
    store.write({name.encode(): values for name in names}, marks={})


def compare(online: OnlineStore, bare: OnlineStore, *, rows: int, at_us: int) -> None:
    """Time reads of entities that were just asked for, of others, and bare ones."""
    requests = [
        [airline.keys_of(number * rows + row) for row in range(rows)] for number in range(max(TIMES // rows, 4))
    ]
    planned = tuple(plan_view(view) for view in airline.views.values())
    remembering = OnlineReader(online, planned)
    again = asking(lambda request: remembering.read(request, at_us=at_us), requests)
    again()

    def anew() -> None:
        reader = OnlineReader(online, planned)
        reader.read([{}], at_us=at_us)
        asking(lambda request: reader.read(request, at_us=at_us), requests)()

    spent = in_turns({"bare": asking(lambda request: bare_read(bare, request), requests), "again": again, "anew": anew})
    per_row = {name: took.cpu_s / len(requests) / rows * 1e6 for name, took in spent.items()}
    print(
        f"{rows} rows in a request, microseconds of processor time per row: "
        + ", ".join(f"{name} {micros:.1f}" for name, micros in per_row.items())
    )
    for name, what in (("again", "states that were read before"), ("anew", "states never read before")):
        print(f"  ratio for {what}: {per_row[name] / per_row['bare']:.1f}")


def asking(read: Callable[[Sequence[Row]], object], requests: Sequence[Sequence[Row]]) -> Callable[[], None]:
    def ask() -> None:
        for request in requests:
            read(request)

    return ask


def bare_read(store: OnlineStore, rows: Sequence[Row]) -> np.ndarray:
    found = store.read([name.encode() for row in rows for name in row.values()])
    return np.array([_TEN.unpack(value or b"") for value in found], np.float32).reshape(len(rows), -1)


def sizes(store: OnlineStore) -> None:
    for key, size in airline.KEYS.items():
        [pointer] = store.read([pointer_key(f"by_{key}")])
        assert pointer is not None
        prefix = decode_generation(pointer).prefix
        found = store.read([prefix + entity_key(f"{key}{number}") for number in range(size)])
        states = [len(state) for state in found if state]
        per_value = sum(states) / len(states) / len(airline.views[key].features)
        print(f"by_{key}: {len(states):,} states, {per_value:,.0f} bytes per value")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Reading features against reading values that are ready.")
    parser.add_argument("--rows", type=int, default=80_000, help="flights that the features rest on")
    main(parser.parse_args().rows)
