"""A training set of 20 windowed aggregates and 5 latest values, against the DuckDB query that one would write by hand.

Users have 100 events each over 90 days, with five numbers; the training set has moments at random. The query by hand
joins each row to the events of its longest window and takes every value as an aggregate with a filter; it reads the
same Delta table by the same engine, with as many threads and as much memory. Each contender runs in a process of its
own, so that its peak memory is its own.

    python benchmarks/bench_training_set.py [--events 1000000] [--rows 100000] [--rounds 3] [--per-entity 100]
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent / "feast"))

from tables import TABLE, load, windows_view

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature
from octavo.features.offline.historical import historical_features
from octavo.features.offline.sql import floored
from octavo.stores.delta import DeltaTables

COLUMNS = ["v0", "v1", "v2", "v3", "v4"]
START_US, DAY_US = 1_700_000_000_000_000, 86_400_000_000
SPAN_US, SECOND_US = 90 * DAY_US, 1_000_000
MOMENT = pa.timestamp("us", tz="UTC")
EVENTS_AT_ONCE = 2_000_000
VIEW = windows_view(COLUMNS)


def main(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        keep(DeltaTables(Path(folder)), events=asked.events, per_entity=asked.per_entity)
        spine = moments(asked.rows, entities=asked.events // asked.per_entity)
        check(DeltaTables(Path(folder)), spine.slice(0, 500))
        spent: dict[str, list[Spent]] = {"Octavo": [], "by hand": []}
        for _ in range(asked.rounds):
            spent["Octavo"].append(apart(octavo, folder, spine))
            spent["by hand"].append(apart(by_hand, folder, spine))
    report(asked, spent)


def keep(tables: DeltaTables, *, events: int, per_entity: int) -> None:
    """Put events into their table in the order of time, part by part."""
    random = np.random.default_rng(1)
    for start in range(0, events, EVENTS_AT_ONCE):
        n = min(EVENTS_AT_ONCE, events - start)
        happened = START_US + np.sort(random.uniform(start / events, (start + n) / events, n) * SPAN_US).astype(
            np.int64
        )
        values = {column: random.normal(size=n) for column in COLUMNS}
        users = random.integers(0, events // per_entity, n)
        part = pa.table({"user": users, "happened": pa.array(happened, MOMENT), **values})
        load(tables, part, VIEW.source, first=start)


def moments(rows: int, *, entities: int) -> pa.Table:
    """Users and moments at random."""
    random = np.random.default_rng(2)
    moment = START_US + random.integers(0, SPAN_US, rows)
    return pa.table({"user": random.integers(0, entities, rows), "moment": pa.array(moment, MOMENT)})


def octavo(tables: DeltaTables, spine: pa.Table) -> pa.Table:
    return historical_features(tables, [VIEW], spine=spine, at="moment")


def by_hand(tables: DeltaTables, spine: pa.Table) -> pa.Table:
    longest = max((f.window_s or 0) + (f.tile_s or 0) for f in VIEW.features) * SECOND_US
    selected = ", ".join(f"({value(feature)})::DOUBLE AS {feature.name}" for feature in VIEW.features)
    frame = spine.append_column("place", pa.array(np.arange(len(spine))))
    frame = frame.set_column(1, "t", spine.column("moment").cast(pa.int64()))
    sql = f"""
        WITH e AS (SELECT "user", epoch_us(happened) AS happened, _event_id AS id, {", ".join(COLUMNS)} FROM events)
        SELECT {selected} FROM spine LEFT JOIN e
        ON e."user" = spine."user" AND e.happened < spine.t AND e.happened >= t - {longest}
        GROUP BY place ORDER BY place
    """
    return tables.query(sql, tables={"events": TABLE}, frames={"spine": frame})


def value(feature: Feature) -> str:
    """A feature as an aggregate over the events known before a moment."""
    column = feature.column
    if feature.operation is Operation.LATEST:
        fresh = f"t - happened < {(feature.ttl_s or 0) * SECOND_US}"
        return f"arg_max({column}, (happened, id)) FILTER ({fresh} AND {column} IS NOT NULL)"
    assert feature.tile_s is not None
    inside = f"FILTER (happened >= {floored(f'(t - {(feature.window_s or 0) * SECOND_US})', feature.tile_s)})"
    return (
        f"{ {Operation.MEAN: 'avg', Operation.SUM: 'sum', Operation.MAX: 'max'}[feature.operation] }({column}) {inside}"
    )


def check(tables: DeltaTables, spine: pa.Table) -> None:
    """Both say the same."""
    ours, theirs = octavo(tables, spine), by_hand(tables, spine)
    for feature in VIEW.features:
        np.testing.assert_allclose(
            ours.column(f"{VIEW.name}__{feature.name}").to_numpy(),
            theirs.column(feature.name).to_numpy(),
            rtol=1e-6,
            atol=1e-9,
            err_msg=feature.name,
        )


Contender = Callable[[DeltaTables, pa.Table], pa.Table]
Spent = tuple[float, float, float]
"""Seconds, seconds of processor time, and peak memory in MB."""


def apart(contender: Contender, folder: str, spine: pa.Table) -> Spent:
    """What a contender takes in a fresh process."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, contender, folder, spine).result()


def measure(contender: Contender, folder: str, spine: pa.Table) -> Spent:
    tables = DeltaTables(Path(folder))
    wall, cpu = time.perf_counter(), time.process_time()
    contender(tables, spine)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    return *spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(asked: argparse.Namespace, spent: dict[str, list[Spent]]) -> None:
    print(f"{asked.events:,} events, {asked.rows:,} rows, {len(VIEW.features)} values, median of {asked.rounds}")
    middle = {name: [median(run[of] for run in runs) for of in range(3)] for name, runs in spent.items()}
    for name, (wall, cpu, peak) in middle.items():
        print(f"  {name:8} {wall:8.1f} s, {cpu:8.1f} s of processor time, peak {peak:,.0f} MB")
    wall, cpu = (middle["Octavo"][of] / middle["by hand"][of] for of in range(2))
    print(f"  Octavo / by hand: {wall:.2f} in time, {cpu:.2f} in processor time")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the training set")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-entity", type=int, default=100, help="events of each entity, over 90 days")
    main(parser.parse_args())
