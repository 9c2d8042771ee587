"""The features of a training set, against the DuckDB query that one would write by hand for the same values.

40 features of 4 entities, as they were known before each of many decisions: windows of 1 h to 7 d, quantiles and latest
values, over events that become known up to five hours after they happened. The query by hand joins each decision to the
events of its longest window and takes every feature as an aggregate with a filter. Both read the same Delta table.

What bounds either: by hand, the pairs of a decision and an event in its window, so the time grows with the length of
the windows and with the events per entity. Octavo merges tiles once per entity and tile and reads rows only for the
newest stretch, so the time grows with the number of decisions.

python benchmarks/bench_training_set.py [--rows EVENTS]
"""

import argparse
import tempfile
from pathlib import Path

import airline
import numpy as np
import pyarrow as pa
from airline import SECOND
from measuring import in_turns

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature, FeatureView
from octavo.features.historical import historical_features
from octavo.features.payloads import event_ids, table_of
from octavo.features.sql import floored, rounded
from octavo.stores.delta import DeltaTables
from octavo.stores.ports import Tables


def main(events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tables = DeltaTables(Path(folder))
        keep(tables, airline.flights_table(events))
        spine = decisions(events // 10)
        views = tuple(airline.views.values())
        check(tables, spine)
        spent = in_turns(
            {
                "octavo": lambda: historical_features(tables, views, spine=spine, at="decided"),
                "by hand": lambda: [tables.query(**by_hand(view, spine)) for view in views],
            }
        )
    print(
        f"{spine.num_rows:,} decisions by {sum(len(view.features) for view in views)} features over {events:,} events"
    )
    for name, took in spent.items():
        print(f"  {name}: {took.cpu_s:.1f} s of processor time, {took.wall_s:.1f} s in all")
    print(f"  ratio of processor time: {spent['octavo'].cpu_s / spent['by hand'].cpu_s:.2f}")


def keep(tables: Tables, flights: pa.Table) -> None:
    """Put flights into the table of their source, as the pump does."""
    ids = event_ids(flights.combine_chunks().to_batches()[0], airline.flights)
    rows = flights.append_column("_event_id", ids.cast(pa.binary()))
    tables.ensure(table_of("flights"), rows.schema)
    tables.append(table_of("flights"), rows, writer="benchmark", sequence=1)


def decisions(n: int) -> pa.Table:
    """Moments an hour before some flights."""
    flights = airline.flights_table(n, per_day=airline.PER_DAY // 10, seed=2)
    decided = flights.column("departed").cast(pa.int64()).to_numpy() - airline.HOUR
    return pa.table({key: flights.column(key) for key in airline.KEYS} | {"decided": airline.times(decided)})


def by_hand(view: FeatureView, spine: pa.Table) -> dict[str, object]:
    """Arguments of the query that computes a view."""
    longest = max(f.window_s or 0 for f in view.features)
    selected = ", ".join(f"({value(feature)})::DOUBLE AS {feature.name}" for feature in view.features)
    frame = pa.table(
        {
            "place": np.arange(spine.num_rows),
            "key": spine.column(view.key),
            "t": spine.column("decided").cast(pa.int64()),
        }
    )
    sql = f"""
        WITH e AS (SELECT {view.key} AS key, epoch_us(departed) AS happened, epoch_us(arrived) AS known,
                          dep_delay, arr_delay, {rounded("arr_delay")} AS rounded FROM events)
        SELECT {selected} FROM spine LEFT JOIN e
        ON e.key = spine.key AND e.known < spine.t AND e.happened >= t - {(longest + 43_200) * SECOND}
        GROUP BY place ORDER BY place
    """
    return {"sql": sql, "tables": {"events": table_of("flights")}, "frames": {"spine": frame}}


def value(feature: Feature) -> str:
    """A feature as an aggregate over the events known before a decision."""
    if feature.operation is Operation.LATEST:
        fresh = f"t - happened < {(feature.ttl_s or 0) * SECOND}"
        return f"arg_max({feature.column}, (happened, known)) FILTER ({fresh} AND {feature.column} IS NOT NULL)"
    assert feature.tile_s is not None
    inside = f"FILTER (happened >= {floored(f'(t - {(feature.window_s or 0) * SECOND})', feature.tile_s)})"
    match feature.operation:
        case Operation.QUANTILE:
            return f"quantile_disc(rounded, {feature.q}) {inside}"
        case Operation.COUNT:
            return f"count(happened) {inside}"
        case _:
            return f"avg({feature.column}) {inside}"


def check(tables: Tables, spine: pa.Table) -> None:
    """Both say the same."""
    some = spine.slice(0, 500)
    views = tuple(airline.views.values())
    ours = historical_features(tables, views, spine=some, at="decided")
    for view in views:
        theirs = tables.query(**by_hand(view, some))  # type: ignore[arg-type]  # as given there
        for feature in view.features:
            np.testing.assert_allclose(
                ours.column(f"{view.name}__{feature.name}").to_numpy(),
                theirs.column(feature.name).to_numpy(),
                rtol=1e-9,
                err_msg=feature.name,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A training set's features against a query by hand.")
    parser.add_argument("--rows", type=int, default=100_000, help="events")
    main(parser.parse_args().rows)
