"""A training set of five latest values, by Octavo and by Feast (which has no windows), from the same events.

    python benchmarks/feast/training_set.py [--events 1000000] [--rows 100000] [--per-entity 100] [--offline duckdb]

Octavo reads its Delta table, Feast one Parquet file. Both take two threads; peak memory includes loading the data.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from environment import feast_python, feast_version
from peers import Answer, Peer

COLUMNS = ["v0", "v1", "v2", "v3", "v4"]
START_US, SPAN_US = 1_700_000_000_000_000, 90 * 86_400_000_000
TTL_DAYS = 30
MOMENT = pa.timestamp("us", tz="UTC")


def main() -> None:
    asked = arguments()
    print(f"{feast_version()}, offline store {asked.offline}")
    with (
        tempfile.TemporaryDirectory() as folder,
        Peer(Path(sys.executable), "octavo_training_set.py") as octavo,
        Peer(feast_python(), "feast_training_set.py") as feast,
    ):
        write_data(Path(folder), events=asked.events, rows=asked.rows, entities=asked.events // asked.per_entity)
        octavo.ask("prepare", folder=folder, columns=COLUMNS, ttl_days=TTL_DAYS)
        feast.ask("prepare", folder=folder, columns=COLUMNS, ttl_days=TTL_DAYS, offline=asked.offline)
        spent: dict[str, list[Answer]] = {"Octavo": [], "Feast": [], "by hand": []}
        for _ in range(asked.rounds):
            spent["Octavo"].append(octavo.ask("training_set"))
            spent["Feast"].append(feast.ask("training_set"))
            spent["by hand"].append(octavo.ask("by_hand"))
        compare(octavo, feast, Path(folder))
    report(asked, spent)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the training set")
    parser.add_argument("--per-entity", type=int, default=100, help="events of each entity, over 90 days")
    parser.add_argument("--offline", choices=["duckdb", "dask"], default="duckdb", help="Feast's offline store")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def write_data(folder: Path, *, events: int, rows: int, entities: int) -> None:
    """Events at even microseconds, each at its own, and moments at odd ones, so that nothing is a matter of ties."""
    random = np.random.default_rng(1)
    step = SPAN_US // events // 2
    happened = START_US + 2 * (np.arange(events) * step + random.integers(0, step, events))
    values = {column: random.normal(size=events) for column in COLUMNS}
    user = random.integers(0, entities, events)
    pq.write_table(
        pa.table({"user": user, "happened": pa.array(happened, MOMENT), **values}), folder / "events.parquet"
    )
    moment = START_US + 2 * random.integers(0, SPAN_US // 2, rows) + 1
    spine = {"user": random.integers(0, entities, rows), "moment": pa.array(moment, MOMENT)}
    pq.write_table(pa.table(spine), folder / "spine.parquet")


def compare(octavo: Peer, feast: Peer, folder: Path) -> None:
    """Both must give the same value in every row; Feast's Dask store leaves rows out that have none."""
    answers = []
    for name, peer in (("octavo", octavo), ("feast", feast)):
        peer.ask("keep", path=str(folder / name))
        table = pq.read_table(folder / name, columns=["user", "moment", *COLUMNS])
        table = table.set_column(1, "moment", table.column("moment").cast(MOMENT))
        known = pc.is_finite(pc.fill_null(table.column(COLUMNS[0]), float("nan")))  # Dask has NaN for null
        present = table.filter(known)
        answers.append(present.sort_by([("user", "ascending"), ("moment", "ascending")]))
    assert all(answers[0].column(name).equals(answers[1].column(name)) for name in answers[0].column_names)
    print(f"equal in all rows, of which {len(answers[0]):,} have values")


def report(asked: argparse.Namespace, spent: dict[str, list[Answer]]) -> None:
    print(
        f"{asked.events:,} events, {asked.rows:,} rows, {asked.per_entity} events per entity, median of {asked.rounds}"
    )
    middle = {name: {of: median(r[of] for r in runs) for of in ("wall_s", "cpu_s")} for name, runs in spent.items()}
    for name, spending in middle.items():
        peak = "" if name == "by hand" else f", peak {max(run['peak_mb'] for run in spent[name]):,.0f} MB"
        print(f"  {name:8} {spending['wall_s']:8.2f} s, {spending['cpu_s']:8.2f} s of CPU{peak}")
    for other in ("Feast", "by hand"):
        wall, cpu = (middle[other][of] / middle["Octavo"][of] for of in ("wall_s", "cpu_s"))
        print(f"  {other} / Octavo: {wall:.2f} in time, {cpu:.2f} in CPU")


if __name__ == "__main__":
    main()
