"""A dataset is the same however its rows are shuffled and its work is cut."""

from collections.abc import Mapping
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.features.datasets import making as datasets
from octavo.features.datasets.making import DatasetSlice, MadeDataset, make_dataset, pin_tables
from octavo.features.datasets.recipes import recipe_of_rows
from octavo.features.events.payloads import table_of, table_schema
from octavo.features.offline import historical
from octavo.stores.memory import MemoryTables

HOUR = 3_600_000_000
MOMENT = pa.timestamp("us", tz="UTC")

sales = oc.Source(
    "sales",
    event_time="sold",
    available_at="known",
    schema={"sold": oc.Timestamp, "known": oc.Timestamp, "shop": oc.Int64, "buyer": oc.String, "amount": oc.Float64},
)
AGGREGATES = [
    oc.count(over=["1h", "24h"]),
    oc.sum("amount", over="24h"),
    oc.mean("amount", over=["1h", "7d"]),
    oc.std("amount", over="7d"),
    oc.quantile("amount", 0.5, over="24h"),
    oc.distinct("buyer", over="7d"),
    oc.latest("amount", ttl="2d"),
]
shop, buyer = oc.Entity("shop", key="shop", dtype=oc.Int64), oc.Entity("buyer", key="buyer")
VIEWS = (
    FeatureView("by_shop", entity=shop, source=sales, features=AGGREGATES[:-2]),
    FeatureView("by_buyer", entity=buyer, source=sales, features=AGGREGATES),
    FeatureView("by_both", entity=(shop, buyer), source=sales, features=AGGREGATES[-1:]),
)


def tables(seed: int) -> MemoryTables:
    random = np.random.default_rng(seed)
    n = 300
    sold = random.integers(0, 20 * 24, n) * HOUR
    columns: Mapping[str, object] = {
        "sold": pa.array(sold, pa.int64()).cast(MOMENT),
        "known": pa.array(sold + random.integers(0, 9, n) * HOUR, pa.int64()).cast(MOMENT),
        "shop": random.integers(0, 4, n),
        "buyer": random.choice(["ann", "bob", "cy"], n).tolist(),
        "amount": random.normal(size=n),
        "_event_id": [number.to_bytes(16, "big") for number in range(n)],
        "_ingested_at": pa.nulls(n, MOMENT),
        "_offset": np.arange(n),
    }
    made = MemoryTables()
    made.ensure(table_of("sales"), table_schema(sales))
    rows = pa.table({name: columns[name] for name in table_schema(sales).names}, schema=table_schema(sales))
    made.append(table_of("sales"), rows, writer="test", sequence=1)
    return made


def made_of(stored: MemoryTables, spine: pa.Table) -> tuple[MadeDataset, pa.Table]:
    recipe = recipe_of_rows(VIEWS, at="at")
    slices: list[DatasetSlice] = []
    made = make_dataset(stored, recipe, versions=pin_tables(stored, recipe), take=slices.append, given=spine)
    return made, pa.concat_tables([piece.rows for piece in slices])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), part=st.integers(12, 40), size=st.integers(1, 60))
def test_shuffled_rows_in_parts_have_the_values_of_the_whole(seed: int, part: int, size: int) -> None:
    random = np.random.default_rng(seed)
    stored, n = tables(seed), 60
    moments = pa.array(random.integers(0, 22 * 24, n) * HOUR, pa.int64()).cast(MOMENT)
    buyers = random.choice(["ann", "bob", "nobody"], n).tolist()
    spine = pa.table({"shop": random.integers(0, 5, n), "buyer": buyers, "at": moments})
    whole, expected = made_of(stored, spine)
    with patch.object(historical, "PART_ROWS", part), patch.object(datasets, "SLICE_ROWS", size):
        again, rows = made_of(stored, spine.take(random.permutation(n)))
    assert again.digest == whole.digest
    for name in expected.column_names[3:]:
        np.testing.assert_allclose(rows[name].to_numpy(), expected[name].to_numpy(), rtol=1e-9, atol=1e-12)
