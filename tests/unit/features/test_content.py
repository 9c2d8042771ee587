import re
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.errors import InvalidRequest
from octavo.features.datasets.content import ContentDigest, in_order, plain_rows

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
ROW = {"at": NOON, "shop": 1, "name": "ä", "ok": True, "amount": 1.5}
NULLS = dict.fromkeys(("shop", "name", "ok", "amount"))


def table(*rows: dict[str, object]) -> pa.Table:
    types = [pa.timestamp("us", tz="UTC"), pa.int64(), pa.string(), pa.bool_(), pa.float64()]
    return pa.Table.from_pylist(list(rows), schema=pa.schema(list(zip(ROW, types, strict=True))))


def digest(*parts: pa.Table) -> str:
    content = ContentDigest(parts[0].schema)
    for part in parts:
        content.update(part)
    return content.digest()


rows = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.just(NOON),
            "shop": st.none() | st.integers(-(2**63), 2**63 - 1),
            "name": st.none() | st.text(max_size=3),
            "ok": st.none() | st.booleans(),
            "amount": st.none() | st.sampled_from([0.0, -1.5, 1.5, 1.50001, 1e300, 7e-9, float("nan"), float("inf")]),
        }
    ),
    min_size=1,
    max_size=8,
)


@given(rows, st.integers(0, 8))
def test_how_rows_are_cut_does_not_matter(found: list[dict[str, object]], cut: int) -> None:
    whole = table(*found)
    assert digest(whole.slice(0, cut), whole.slice(cut)) == digest(whole)


@given(rows, rows)
def test_other_rows_have_another_digest(some: list[dict[str, object]], others: list[dict[str, object]]) -> None:
    def plain(found: list[dict[str, object]]) -> str:
        return repr([[row[name] for name in ROW] for row in found]).replace("nan", "None")

    same = plain(some) == plain(others)
    assert (digest(table(*some)) == digest(table(*others))) == same


@pytest.mark.parametrize(
    "other",
    [{"shop": 0}, {"shop": None}, {"name": "a"}, {"name": None}, {"ok": False}, {"ok": None}, {"amount": None}],
    ids=str,
)
def test_a_value_of_a_row_matters(other: dict[str, object]) -> None:
    assert digest(table(ROW)) != digest(table(ROW | other))


@given(st.floats(1e-6, 1e12), st.booleans())
def test_the_last_bits_of_a_number_do_not_matter(amount: float, up: bool) -> None:
    cents = round(amount * 100) / 100 + 0.01
    assert digest(table(ROW | {"amount": cents})) == digest(
        table(ROW | {"amount": np.nextafter(cents, np.inf if up else 0.0)})
    )


@given(st.floats(1e-9, 1e300))
def test_the_sixth_digit_of_a_number_matters(amount: float) -> None:
    assert digest(table(ROW | {"amount": amount})) != digest(table(ROW | {"amount": amount * (1 + 2e-6)}))


def test_next_to_nothing_is_nothing() -> None:
    assert digest(table(ROW | {"amount": 1e-17})) == digest(table(ROW | {"amount": 0.0}))


def test_missing_numbers_and_zeros_are_of_one_kind() -> None:
    assert digest(table(ROW | {"amount": None})) == digest(table(ROW | {"amount": float("nan")}))
    assert digest(table(ROW | {"amount": 0.0})) == digest(table(ROW | {"amount": -0.0}))


def test_null_and_empty_and_zero_are_told_apart() -> None:
    assert digest(table(ROW | NULLS)) != digest(table(ROW | NULLS | {"name": ""}))
    assert digest(table(ROW | NULLS)) != digest(table(ROW | NULLS | {"shop": 0}))
    assert digest(table(ROW | {"name": "ab"}, ROW | {"name": "c"})) != digest(
        table(ROW | {"name": "a"}, ROW | {"name": "bc"})
    )


def test_a_column_of_another_name_matters() -> None:
    assert digest(table(ROW)) != digest(table(ROW).rename_columns(["at", "store", "name", "ok", "amount"]))


def test_rows_are_brought_into_the_few_types_of_a_dataset() -> None:
    given_rows = pa.table(
        {
            "small": pa.array([1, None], pa.int16()),
            "single": pa.array([0.5, None], pa.float32()),
            "name": pa.array(["a", None]).dictionary_encode(),
            "at": pa.array([0, 1], pa.timestamp("s", tz="Asia/Tokyo")),
        }
    )
    assert [str(kind) for kind in plain_rows(given_rows).schema.types] == [
        "int64",
        "double",
        "string",
        "timestamp[us, tz=UTC]",
    ]


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.date32(), pa.list_(pa.int64())], ids=str)
def test_a_column_that_a_dataset_does_not_hold_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(f"column 'x' is {kind}")):
        plain_rows(pa.table({"x": pa.array([None], kind)}))


def test_the_order_of_rows_is_by_moment_and_then_by_all_else() -> None:
    shuffled = table(ROW | {"shop": 2}, ROW, ROW | {"shop": None}, ROW | {"amount": None})
    order = np.random.default_rng(1).permutation(4)
    assert in_order(shuffled.take(order), at="at").equals(in_order(shuffled, at="at"))
