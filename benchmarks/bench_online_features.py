"""Features read online against the bare multi-get of values that are ready, with their decoding.

A request asks for 40 features (windows of 1 h to 7 d, quantiles, latest values) of 4 entities in LMDB. A bare read has
as many keys; under each stand ten numbers and their times, made into values and ages. Octavo reads states instead, from
which it puts windows together at the moment of the request. For 100 rows that is what bounds the ratio, quantiles most
of all; for a single row it is what surrounds the compiled loop: its one call, the arrays of the answer, the keys and
LMDB.

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
from octavo.features.events.ingest import ingest_table
from octavo.features.online.keys import decode_generation, entity_key, pointer_key
from octavo.features.online.pump import Pump
from octavo.features.online.reader import OnlineReader
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.ports import OnlineStore, Stores

TIMES = 400
Row = dict[str, str]
_TWENTY = struct.Struct("=20d")


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
    values = _TWENTY.pack(*range(20))
    names = [f"{key}{number}" for key, size in airline.KEYS.items() for number in range(size)]
    store.write({name.encode(): values for name in names}, marks={})


def compare(online: OnlineStore, bare: OnlineStore, *, rows: int, at_us: int) -> None:
    """Time reads of many entities, and bare ones."""
    requests = [
        [airline.keys_of(number * rows + row) for row in range(rows)] for number in range(max(TIMES // rows, 4))
    ]
    reader = OnlineReader(online, tuple(plan_view(view) for view in airline.views.values()))
    ours = asking(lambda request: reader.read(request, at_us=at_us), requests)
    ours()
    spent = in_turns(
        {"bare": asking(lambda request: bare_read(bare, request, at_us=at_us), requests), "octavo": ours}, rounds=9
    )
    per_row = {name: took.cpu_s / len(requests) / rows * 1e6 for name, took in spent.items()}
    print(
        f"{rows} rows in a request, microseconds of processor time per row: "
        + ", ".join(f"{name} {micros:.1f}" for name, micros in per_row.items())
    )
    print(f"  ratio: {per_row['octavo'] / per_row['bare']:.1f}")


def asking(read: Callable[[Sequence[Row]], object], requests: Sequence[Sequence[Row]]) -> Callable[[], None]:
    def ask() -> None:
        for request in requests:
            read(request)

    return ask


def bare_read(store: OnlineStore, rows: Sequence[Row], *, at_us: int) -> tuple[np.ndarray, np.ndarray]:
    found = store.read([name.encode() for row in rows for name in row.values()])
    ready = np.array([_TWENTY.unpack(value or b"") for value in found]).reshape(len(rows), -1, 2)
    return ready[..., 0].astype(np.float32), ((at_us - ready[..., 1]) / 1e6).astype(np.float32)


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
