"""Events brought into log, features and table, against a bare batched write of the same rows to the same stores.

The bare write appends the rows to the log as they are, keeps an identity per row in LMDB, and appends to the Delta
table. Into LMDB it also writes, in the one case, each row as it is under each of its 4 keys, and in the other only the
last delay of each key, once per batch. Octavo besides checks every row, gives it its identity, passes over what was
sent before, and keeps 40 windowed features of 4 entities up to date.

python benchmarks/bench_ingest.py [--rows EVENTS]
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import airline
import numpy as np
import pyarrow as pa
from measuring import in_turns

import octavo as oc
from octavo.clock import ManualClock, from_micros
from octavo.definitions.project import Project, collect
from octavo.features.events.ingest import ROWS_PER_PAYLOAD, ingest_table
from octavo.features.events.payloads import encode_payload
from octavo.features.online.pump import Pump
from octavo.stores.ports import Stores

WINDOWS = ["24h", "1h", "7d", "15m", "3d", "30d"]
SMALL = 50
"""Rows in a small batch, such as a live stream brings."""


def main(events: int) -> None:
    table = airline.flights_table(events)
    for size, part in ((ROWS_PER_PAYLOAD, table), (SMALL, table.slice(0, min(events, 5_000)))):
        batches = part.combine_chunks().to_batches(max_chunksize=size)
        contenders = {
            "octavo": lambda batches=batches: ours(batches),
            "bare, each row under its keys": lambda batches=batches: bare(batches, rows_of),
            "bare, each key's last value": lambda batches=batches: bare(batches, last_of),
        }
        ours(batches[:1])  # compiles, the first time on a machine
        spent = in_turns(contenders)
        print(f"{part.num_rows:,} events in batches of {size:,}")
        for name, took in spent.items():
            per_s = part.num_rows / took.cpu_s
            ratio = spent["octavo"].cpu_s / took.cpu_s
            print(f"  {name}: {per_s:,.0f} events per second of processor time; octavo takes {ratio:.1f} times as much")


def growth(events: int) -> None:
    """How the cost of an event grows with the keys that it counts for and the windows of each."""
    batches = airline.flights_table(events).combine_chunks().to_batches(max_chunksize=ROWS_PER_PAYLOAD)
    projects = {
        (keys, len(windows)): project_of(keys, windows)
        for keys in (1, 2, 4)
        for windows in (WINDOWS[:1], WINDOWS[:3], WINDOWS)
    }
    spent = in_turns({at: lambda project=project: ours(batches, project) for at, project in projects.items()})
    print("microseconds of processor time per event, by keys and by windows of a mean, a count and a quantile")
    for keys in (1, 2, 4):
        row = (f"{windows} windows {spent[keys, windows].cpu_s / events * 1e6:.1f}" for windows in (1, 3, 6))
        print(f"  {keys} keys: {', '.join(row)}")


def project_of(keys: int, windows: Sequence[str]) -> Project:
    """The last keys of the airline, each with the same features over some windows."""
    module = ModuleType("growing")
    for key in list(airline.KEYS)[-keys:]:
        features = [
            oc.mean("dep_delay", over=windows),
            oc.count(over=windows),
            oc.quantile("arr_delay", 0.9, over=windows),
        ]
        entity = oc.Entity(key, key=key)
        vars(module)[key] = oc.FeatureView(f"by_{key}", entity=entity, source=airline.flights, features=features)
    return collect(module, name="growing", code={})


def ours(batches: list[pa.RecordBatch], project: Project | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stores = airline.local_stores(Path(folder))
        clock = ManualClock(from_micros(airline.START))
        pump = Pump(stores, project or airline.project_of(), clock)
        for batch in batches:
            clock.advance(from_micros(airline.end_of(pa.Table.from_batches([batch]))))
            ingest_table(batch, airline.flights, stream=stores.stream, clock=clock)
            pump.apply("flights")
        while pump.ship("flights"):
            pass
        close(stores)


def bare(batches: list[pa.RecordBatch], values_of: Callable[[pa.RecordBatch], dict[bytes, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stores = airline.local_stores(Path(folder))
        stores.tables.ensure("flights", batches[0].schema)
        for number, batch in enumerate(batches):
            stores.stream.publish("flights", [encode_payload(batch)])
            values = {b"%d" % flight: b"%d" % number for flight in batch.column("flight").to_pylist()}
            stores.online.write(values | values_of(batch), marks={"written": number})
        stores.tables.append("flights", pa.Table.from_batches(batches), writer="bare", sequence=len(batches))
        close(stores)


def rows_of(batch: pa.RecordBatch) -> dict[bytes, bytes]:
    """The times and numbers of each row under each of its keys and its number."""
    columns = [column.view(pa.int64()) for column in batch.columns if not pa.types.is_string(column.type)]
    matrix = np.column_stack(columns).tobytes()
    rows = [matrix[at : at + 8 * len(columns)] for at in range(0, len(matrix), 8 * len(columns))]
    flights = [b"/%d" % flight for flight in batch.column("flight").to_pylist()]
    values: dict[bytes, bytes] = {}
    for key in airline.KEYS:
        names = zip(map(str.encode, batch.column(key).to_pylist()), flights, strict=True)
        values |= zip([name + flight for name, flight in names], rows, strict=True)
    return values


def last_of(batch: pa.RecordBatch) -> dict[bytes, bytes]:
    """The last delay of each key."""
    delays = [b"%f" % delay for delay in batch.column("arr_delay").to_pylist()]
    values: dict[bytes, bytes] = {}
    for key in airline.KEYS:
        values |= zip(map(str.encode, batch.column(key).to_pylist()), delays, strict=True)
    return values


def close(stores: Stores) -> None:
    stores.online.close()
    stores.stream.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Bringing events in against writing them bare.")
    parser.add_argument("--rows", type=int, default=100_000, help="events")
    asked = parser.parse_args()
    main(asked.rows)
    growth(asked.rows)
