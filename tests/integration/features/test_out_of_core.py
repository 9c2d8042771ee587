"""Features over more events than fit into memory, in DuckDB."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.errors import OutOfMemory
from octavo.features.offline.historical import historical_features
from octavo.stores.delta import DeltaTables
from octavo.stores.duckdb import DuckDB
from octavo.stores.memory import MemoryTables
from octavo.stores.ports import Relation, Tables

MOMENT = pa.timestamp("us", tz="UTC")
START, DAY = 1_700_000_000_000_000, 86_400_000_000
CARDS = 2_000

taps = oc.Source(
    "taps",
    event_time="at",
    available_at="known",
    schema={"at": oc.Timestamp, "known": oc.Timestamp, "card": oc.Int64, "amount": oc.Float64, "shop": oc.String},
)
card = oc.Entity("card", key="card", dtype=oc.Int64)
spending = FeatureView(
    "spending",
    entity=card,
    source=taps,
    features=[
        oc.sum("amount", over=["1h", "7d"]),
        oc.count(over="30d"),
        oc.quantile("amount", 0.9, over="30d"),
        oc.distinct("shop", over="30d"),
        oc.latest("amount", ttl="7d"),
    ],
)


class SmallEngine:
    """DuckDB that takes no more than a few points at once."""

    def __init__(self, most_points: int) -> None:
        self.most_points = most_points
        self.asked: list[int] = []
        self._duckdb = DuckDB()

    def select(
        self, sql: str, *, relations: Mapping[str, Relation], parameters: Mapping[str, object] | None = None
    ) -> pa.Table:
        self.asked.append(len(relations["spine"]))
        if self.asked[-1] > self.most_points:
            raise OutOfMemory("too many points at once")
        return self._duckdb.select(sql, relations=relations, parameters=parameters)

    def close(self) -> None:
        self._duckdb.close()


@pytest.mark.slow
def test_a_training_set_far_above_the_memory_budget_is_the_same(tmp_path: Path) -> None:
    keep_taps(DeltaTables(tmp_path), 2_000_000)
    tiny = DuckDB(memory_limit="200MB", spill=tmp_path / "spill")
    answers = [
        historical_features(DeltaTables(tmp_path, light=engine), [spending], spine=spine(20_000), at="decided")
        for engine in (tiny, DuckDB(memory_limit="4GB"))
    ]
    assert_equal(*answers)
    tiny.close()
    assert list((tmp_path / "spill").iterdir()) == [], "an engine leaves nothing behind"


def test_points_that_are_too_many_for_memory_are_asked_for_in_parts() -> None:
    small = SmallEngine(most_points=700)
    several, one = MemoryTables(heavy=small), MemoryTables()
    for tables in (several, one):
        keep_taps(tables, 3_000)
    answers = [historical_features(tables, [spending], spine=spine(2_000), at="decided") for tables in (several, one)]
    assert_equal(*answers)
    assert small.asked == [2_000, 1_000, 500, 500, 500, 500]


def test_what_does_not_fit_in_the_smallest_parts_is_told() -> None:
    tables = MemoryTables(heavy=SmallEngine(most_points=10))
    keep_taps(tables, 10)
    with pytest.raises(OutOfMemory, match="too many points"):
        historical_features(tables, [spending], spine=spine(2_000), at="decided")


def keep_taps(tables: Tables, count: int) -> None:
    random = np.random.default_rng(0)
    at = START + np.sort(random.integers(0, 60 * DAY, count))
    rows = pa.table(
        {
            "_event_id": pa.array(np.arange(count).astype(">i8").view("S8"), pa.binary()),
            "at": pa.array(at, MOMENT),
            "known": pa.array(at + random.integers(0, DAY // 4, count), MOMENT),
            "card": random.integers(0, CARDS, count),
            "amount": random.normal(100, 50, count),
            "shop": pa.array(np.char.add("s", random.integers(0, 500, count).astype(str))),
        }
    )
    tables.ensure("events/taps", rows.schema)
    for start in range(0, count, 500_000):
        tables.append("events/taps", rows.slice(start, 500_000), writer="test", sequence=start)


def spine(count: int) -> pa.Table:
    random = np.random.default_rng(1)
    moments = START + random.integers(5 * DAY, 60 * DAY, count)
    return pa.table({"card": random.integers(0, CARDS, count), "decided": pa.array(moments, MOMENT)})


def assert_equal(actual: pa.Table, expected: pa.Table) -> None:
    assert actual.schema == expected.schema
    for name in actual.column_names[2:]:
        np.testing.assert_allclose(actual[name].to_numpy(), expected[name].to_numpy(), rtol=1e-12, err_msg=name)
