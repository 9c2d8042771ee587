"""How time and memory grow with the events: of a training set, and of bringing events in.

The training set has a row for every hundredth event, with 20 windowed aggregates and 5 latest values, and is written to
Parquet; the engine may use 2 GB. Bringing in is the way of every event: checked, into the log, the online features and
the table. Each measurement runs in a process of its own. Prints a Markdown table.

    python benchmarks/bench_growth.py [--events 100000 1000000] [--ingest 100000 1000000]
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import airline
from bench_training_set import VIEW, keep, moments

from octavo.clock import ManualClock, from_micros
from octavo.features.datasets.files import dataset_writer
from octavo.features.datasets.making import make_dataset, pin_tables
from octavo.features.datasets.recipes import recipe_of_rows
from octavo.features.events.ingest import ROWS_PER_PAYLOAD, ingest_table
from octavo.features.online.pump import Pump
from octavo.stores.delta import DeltaTables

PER_ENTITY = 100


def main(events: list[int], ingest: list[int]) -> None:
    print("| what | events | time | events per second | peak memory |\n|---|---|---|---|---|")
    for n in events:
        with tempfile.TemporaryDirectory() as folder:
            keep(DeltaTables(Path(folder)), events=n, per_entity=PER_ENTITY)
            show("training set", n, apart(training_set, n, folder))
    for n in ingest:
        with tempfile.TemporaryDirectory() as folder:
            show("bringing in", n, apart(bring_in, n, folder))


def training_set(events: int, folder: str) -> None:
    """A row for every hundredth event, written to Parquet."""
    tables, recipe = DeltaTables(Path(folder)), recipe_of_rows([VIEW], at="moment")
    spine = moments(events // 100, entities=events // PER_ENTITY)
    with dataset_writer(Path(folder) / "rows.partial") as writer:
        made = make_dataset(
            tables,
            recipe,
            versions=pin_tables(tables, recipe),
            take=lambda piece: writer.write(piece.rows),
            given=spine,
        )
        writer.finish(Path(folder) / "rows.parquet", digest=made.digest)


def bring_in(events: int, folder: str) -> None:
    """All events of an airline, part by part, until they are in the table."""
    stores = airline.local_stores(Path(folder))
    clock = ManualClock(from_micros(airline.START))
    pump = Pump(stores, airline.project_of(), clock)
    for first in range(0, events, ROWS_PER_PAYLOAD):
        part = airline.flights_table(min(ROWS_PER_PAYLOAD, events - first), first=first, seed=first)
        clock.advance(from_micros(airline.end_of(part)))
        ingest_table(part.combine_chunks().to_batches()[0], airline.flights, stream=stores.stream, clock=clock)
        while pump.apply("flights"):
            pass
        while pump.ship("flights"):
            pass
    stores.online.close()
    stores.stream.close()


def apart(work: Callable[[int, str], None], events: int, folder: str) -> tuple[float, float]:
    """Seconds, and peak memory in MB, of a fresh process."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, work, events, folder).result()


def measure(work: Callable[[int, str], None], events: int, folder: str) -> tuple[float, float]:
    started = time.perf_counter()
    work(events, folder)
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(what: str, events: int, spent: tuple[float, float]) -> None:
    wall, peak = spent
    print(f"| {what} | {events:,} | {wall:,.1f} s | {events / wall:,.0f} | {peak:,.0f} MB |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="*", default=[100_000, 1_000_000], help="of training sets")
    parser.add_argument("--ingest", type=int, nargs="*", default=[100_000], help="brought in")
    asked = parser.parse_args()
    main(asked.events, asked.ingest)
