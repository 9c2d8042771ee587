import re
from collections.abc import Callable

import pyarrow as pa
import pytest

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.errors import InvalidRequest
from octavo.features.events.payloads import table_schema
from octavo.features.offline.historical import historical_features
from octavo.stores.memory import MemoryTables

MOMENT = pa.timestamp("us", tz="UTC")
HOUR = 3_600_000_000

sales = oc.Source("sales", event_time="at", schema={"at": oc.Timestamp, "shop": oc.Int64, "amount": oc.Float64})
shop = oc.Entity("shop", key="shop", dtype=oc.Int64)
view = FeatureView("shop_sales", entity=shop, source=sales, features=[oc.count(over="1h"), oc.sum("amount", over="1h")])


def tables(*rows: tuple[int, int, float]) -> MemoryTables:
    tables = MemoryTables()
    tables.ensure("events/sales", table_schema(sales))
    events = [
        {"at": at, "shop": number, "amount": amount, "_event_id": bytes(15) + bytes([place])}
        for place, (at, number, amount) in enumerate(rows)
    ]
    tables.append("events/sales", pa.Table.from_pylist(events, schema=table_schema(sales)), writer="test", sequence=1)
    return tables


def spine(shops: list[int | None], moments: list[int | None], **more: pa.Array) -> pa.Table:
    return pa.table({"shop": pa.array(shops, pa.int64()), "decided": pa.array(moments, MOMENT), **more})


def test_rows_keep_their_order_and_equal_rows_their_values() -> None:
    wanted = spine([2, 1, 2, 1], [2 * HOUR, HOUR, 2 * HOUR, 2 * HOUR], note=pa.array(["a", "b", "c", "d"]))
    answer = historical_features(tables((HOUR - 1, 1, 5.0), (HOUR, 2, 7.0)), [view], spine=wanted, at="decided")
    assert answer.select(wanted.column_names).equals(wanted)
    assert answer["shop_sales__events_count_1h"].to_pylist() == [1.0, 1.0, 1.0, 0.0]
    assert answer["shop_sales__amount_sum_1h"].to_pylist() == [7.0, 5.0, 7.0, None]


def test_a_null_key_has_no_events() -> None:
    answer = historical_features(tables((HOUR, 1, 5.0)), [view], spine=spine([None], [2 * HOUR]), at="decided")
    assert answer.select(["shop_sales__events_count_1h", "shop_sales__amount_sum_1h"]).to_pylist() == [
        {"shop_sales__events_count_1h": 0.0, "shop_sales__amount_sum_1h": None}
    ]


@pytest.mark.parametrize("known", [MemoryTables, tables], ids=["no table", "no events"])
def test_without_events_counts_are_zero_and_all_else_is_missing(known: Callable[[], MemoryTables]) -> None:
    answer = historical_features(known(), [view], spine=spine([1, 2], [HOUR, HOUR]), at="decided")
    assert answer["shop_sales__events_count_1h"].to_pylist() == [0.0, 0.0]
    assert answer["shop_sales__amount_sum_1h"].to_pylist() == [None, None]


def test_no_rows_have_the_columns_still() -> None:
    answer = historical_features(tables(), [view], spine=spine([], []), at="decided")
    assert answer.num_rows == 0
    assert answer.schema.field("shop_sales__amount_sum_1h").type == pa.float64()


def test_keys_and_moments_in_other_types_are_converted() -> None:
    other = pa.table(
        {
            "shop": pa.array([1], pa.int32()),
            "decided": pa.array([2 * HOUR // 1_000_000], pa.timestamp("s", tz="Asia/Tokyo")),
        }
    )
    answer = historical_features(tables((HOUR, 1, 5.0)), [view], spine=other, at="decided")
    assert answer["shop_sales__amount_sum_1h"].to_pylist() == [5.0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (spine([1], [HOUR]).drop_columns(["shop"]), "the rows lack 'shop', the key of entity 'shop'"),
        (spine([1], [HOUR]).drop_columns(["decided"]), "the rows lack 'decided', the moment of each"),
        (spine([1, 2], [HOUR, None]), "'decided' is null in 1 rows"),
        (
            pa.table({"shop": [1], "decided": pa.array([HOUR], pa.timestamp("us"))}),
            "timestamp[us], not a timestamp with",
        ),
        (
            pa.table({"shop": ["one"], "decided": pa.array([HOUR], MOMENT)}),
            "keys 'shop' of entity 'shop' are not int64",
        ),
        (
            spine([1], [HOUR], shop_sales__amount_sum_1h=pa.array([1.0])),
            "have a column 'shop_sales__amount_sum_1h' already",
        ),
    ],
    ids=["no key", "no moment", "null moment", "naive moment", "wrong key", "taken name"],
)
def test_rows_that_do_not_fit_are_refused(wrong: pa.Table, message: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        historical_features(tables((HOUR, 1, 5.0)), [view], spine=wrong, at="decided")
