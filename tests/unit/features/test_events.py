"""What is accepted as an event, and what is said about what is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

import octavo as oc
from octavo.clock import to_micros
from octavo.errors import InvalidRequest
from octavo.features.events.decode import decode_rows, decode_table

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_US = to_micros(NOW)
HAPPENED, KNOWN = "2026-01-31T09:00:00+01:00", "2026-01-31T11:00:00Z"

landings = oc.Source(
    "landings",
    event_time="happened",
    available_at="known",
    schema={
        "happened": oc.Timestamp,
        "known": oc.Timestamp,
        "plane": oc.String,
        "class": oc.Int64,
        "delay": oc.Float64,
        "diverted": oc.Bool,
        "planned": oc.Timestamp,
    },
    id=["happened", "plane"],
)


def row(**columns: object) -> dict[str, object]:
    return {"happened": HAPPENED, "known": KNOWN, **columns}


def refusal(*rows: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        decode_rows(rows, landings, now_us=NOW_US)
    assert raised.value.fix
    return raised.value


def table(**columns: pa.Array) -> pa.Table:
    moment = pa.array([NOW], pa.timestamp("us", tz="UTC"))
    return pa.table({"happened": moment, "known": moment, **columns})


def table_refusal(rows: pa.Table) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        decode_table(rows, landings, now_us=NOW_US)
    assert raised.value.fix
    return raised.value


def test_rows_become_columns_in_utc_with_nulls_for_what_is_absent() -> None:
    batch = decode_rows([row(plane="N1", delay=3), row(diverted=True)], landings, now_us=NOW_US)
    assert batch.column("happened").to_pylist() == [datetime(2026, 1, 31, 8, tzinfo=UTC)] * 2
    assert batch.column("delay").to_pylist() == [3.0, None]
    assert batch.column("diverted").to_pylist() == [None, True]
    assert batch.column("_ingested_at").to_pylist() == [NOW] * 2


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"delay": "3"}, "delay"),
        ({"delay": True}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"delay": 10**400}, "delay"),
        ({"class": 2**63}, "class"),
        ({"class": 1.0}, "class"),
        ({"diverted": 1}, "diverted"),
        ({"plane": 7}, "plane"),
        ({"plane": "x" * 1025}, "plane"),
        ({"plane": "\ud800"}, "plane"),
        ({"plane": {}}, "plane"),
        ({"known": None}, "known"),
        ({"known": "2026-01-31T11:00:00"}, "known"),
        ({"known": "yesterday"}, "known"),
        ({"known": 1769857200}, "known"),
        ({"happened": "1899-12-31T23:59:59Z"}, "happened"),
        ({"planned": "2201-01-01T00:00:00Z"}, "planned"),
        ({"planned": "0001-01-01T00:00:00+14:00"}, "planned"),
        ({"dealy": 3}, "dealy"),
    ],
)
def test_a_wrong_value_is_refused_by_row_and_field(columns: dict[str, object], field: str) -> None:
    error = refusal(row(), row(**columns))
    assert error.field == f"rows[1].{field}"


def test_a_missing_time_is_named() -> None:
    assert refusal(row(), {"happened": HAPPENED}).field == "rows[1].known"


def test_an_unknown_field_suggests_the_nearest() -> None:
    assert "did you mean 'delay'?" in str(refusal(row(dealy=3)).fix)


def test_what_is_no_object_is_refused() -> None:
    assert refusal(row(), 5).field == "rows[1]"


def test_no_rows_are_refused() -> None:
    assert refusal().field == "rows"


def test_an_event_known_before_it_happened_is_refused() -> None:
    error = refusal(row(known="2026-01-31T07:59:59.999999Z"))
    assert error.field == "rows[0].known"
    assert "before happened" in error.message


def test_an_event_of_the_future_is_refused_beyond_what_clocks_differ() -> None:
    soon, later = NOW + timedelta(minutes=5), NOW + timedelta(minutes=5, microseconds=1)
    assert decode_rows([row(known=soon.isoformat())], landings, now_us=NOW_US).num_rows == 1
    assert refusal(row(known=later.isoformat())).field == "rows[0].known"


def test_an_event_is_the_same_whatever_its_columns_beside_the_id_and_its_zone() -> None:
    once = decode_rows([row(plane="N1", delay=1)], landings, now_us=NOW_US)
    again = decode_rows([row(plane="N1", delay=2, happened="2026-01-31T08:00:00Z")], landings, now_us=NOW_US + 1)
    other = decode_rows([row(plane="N2", delay=1)], landings, now_us=NOW_US)
    assert once.column("_event_id") == again.column("_event_id")
    assert once.column("_event_id") != other.column("_event_id")


def test_an_event_is_the_same_in_rows_and_in_columns() -> None:
    rows = decode_rows([row(happened=NOW.isoformat(), known=NOW.isoformat(), plane="N1")], landings, now_us=NOW_US)
    columns = decode_table(table(plane=pa.array(["N1"])), landings, now_us=NOW_US)
    assert rows.equals(columns)


def test_columns_of_types_that_hold_the_same_values_are_cast() -> None:
    moment = pa.array([NOW.replace(tzinfo=None)], pa.timestamp("ns")).cast(pa.timestamp("ns", tz="Europe/Paris"))
    rows = table(
        **{"class": pa.array([3], pa.int16()), "plane": pa.array(["N1"]).dictionary_encode(), "planned": moment}
    )
    batch = decode_table(rows, landings, now_us=NOW_US)
    assert batch.column("class").to_pylist() == [3]
    assert batch.column("plane").to_pylist() == ["N1"]
    assert batch.column("planned").to_pylist() == [NOW]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("class", pa.array([1.5])),
        ("delay", pa.array(["late"])),
        ("delay", pa.array([2**60 + 1])),
        ("planned", pa.array([NOW.replace(tzinfo=None)], pa.timestamp("us"))),
        ("planned", pa.array(["2026-01-31T09:00:00Z"])),
        ("dealy", pa.array([1.0])),
    ],
)
def test_a_column_that_does_not_fit_is_refused_by_name(name: str, column: pa.Array) -> None:
    assert table_refusal(table(**{name: column})).field == name


def test_a_table_without_a_time_is_refused() -> None:
    assert table_refusal(table().drop_columns(["known"])).field == "known"


def test_rows_of_a_part_are_counted_in_the_whole() -> None:
    with pytest.raises(InvalidRequest) as raised:
        decode_table(table(delay=pa.array([float("nan")])), landings, now_us=NOW_US, first_row=100)
    assert raised.value.field == "rows[100].delay"
