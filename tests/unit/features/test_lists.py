"""Columns of lists: what is taken as one, and what can be asked of it."""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.errors import InvalidDefinition, InvalidRequest
from octavo.features.events.decode import decode_rows, decode_table
from octavo.features.events.sorting import sort_table

AT = "2026-01-31T11:00:00Z"
NOW_US = 1_769_900_000_000_000
visits = oc.Source(
    "visits",
    event_time="at",
    schema={"at": oc.Timestamp, "user": oc.String, "tags": oc.List(oc.String), "codes": oc.List(oc.Int64)},
)
user = oc.Entity("user", key="user")


def rows(*events: dict[str, Any]) -> pa.RecordBatch:
    return decode_rows([{"at": AT, "user": "a", **event} for event in events], visits, now_us=NOW_US)


def table(**columns: pa.Array) -> pa.Table:
    n = len(next(iter(columns.values())))
    return pa.table({"at": pa.array([NOW_US] * n, pa.timestamp("us", tz="UTC")), **columns})


def view(*features: Any) -> FeatureView:
    return FeatureView("of_user", entity=user, source=visits, features=features)


def test_a_list_is_taken_as_it_is_and_null_is_no_list() -> None:
    taken = rows({"tags": ["a", ""], "codes": []}, {"tags": None})
    assert taken.column("tags").to_pylist() == [["a", ""], None]
    assert taken.column("codes").to_pylist() == [[], None]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"tags": ["a", None]}, "tags"),
        ({"tags": "a"}, "tags"),
        ({"tags": ["a", 1]}, "tags"),
        ({"tags": ["a\x00"]}, "tags"),
        ({"tags": ["x" * 1_025]}, "tags"),
        ({"tags": ["\ud800"]}, "tags"),
        ({"tags": ["a"] * 1_001}, "tags"),
        ({"codes": [2**63]}, "codes"),
        ({"codes": [1.5]}, "codes"),
    ],
)
def test_what_is_no_list_of_its_kind_is_refused_with_its_place(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        rows({}, wrong)
    assert (raised.value.field or "").startswith(f"rows[1].{field}")


def test_lists_of_other_widths_are_taken_from_columns() -> None:
    sent = table(tags=pa.array([["a"]], pa.large_list(pa.large_string())), codes=pa.array([[1]], pa.list_(pa.int8())))
    taken = decode_table(sent, visits, now_us=NOW_US)
    assert (taken.column("tags").to_pylist(), taken.column("codes").to_pylist()) == ([["a"]], [[1]])


@pytest.mark.parametrize(
    "sent",
    [
        table(tags=pa.array([["a", None], ["b"]])),
        table(tags=pa.array([["a"] * 1_001, ["b"]])),
        table(tags=pa.array([[b"\xff"], [b"b"]]).view(pa.list_(pa.string()))),
        table(codes=pa.array([[0.5], [1.0]])),
    ],
    ids=["with a null", "too long", "with no UTF-8", "with no whole number"],
)
def test_a_wrong_list_is_refused_or_its_row_is_kept(sent: pa.Table) -> None:
    with pytest.raises(InvalidRequest):
        decode_table(sent, visits, now_us=NOW_US)
    found = sort_table(sent, visits, now_us=NOW_US)
    assert [letter.row for letter in found.refused] == [0]
    assert found.events.num_rows == 1


def test_an_event_is_the_same_however_its_list_was_written() -> None:
    at = pa.array([datetime.fromisoformat(AT)], pa.timestamp("us", tz="UTC"))
    columns = pa.table({"at": at, "user": pa.array(["a"]), "codes": pa.array([[1, 2]], pa.list_(pa.int8()))})
    [by_column] = decode_table(columns, visits, now_us=NOW_US).column("_event_id").to_pylist()
    assert rows({"codes": [1, 2]}, {"codes": [2, 1]}).column("_event_id").to_pylist().index(by_column) == 0


def test_a_length_is_named_after_its_list() -> None:
    features = view(oc.mean("len(tags)", over="1h"), oc.latest("len( codes )", ttl="1d"), oc.count("tags", over="1h"))
    assert [f.name for f in features.features] == ["tags_len_mean_1h", "codes_len_latest", "tags_count_1h"]


@pytest.mark.parametrize(
    ("aggregate", "reason"),
    [
        (oc.latest("tags", ttl="1d"), r"latest of the list 'tags'; take len\(tags\)"),
        (oc.distinct("tags", over="1h"), "unnests"),
        (oc.mean("len(user)", over="1h"), "no column 'len"),
        (oc.rate("1 in tags", over="1h", name="r"), r"list\(string\), with what is not"),
        (oc.rate("'a' in user", over="1h", name="r"), "no list"),
        (oc.rate("tags == 'a'", over="1h", name="r"), "with what is not"),
    ],
)
def test_what_cannot_be_asked_of_a_list_is_refused_with_what_can(aggregate: Any, reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        view(aggregate)


@pytest.mark.parametrize("item", [oc.Bool, oc.Timestamp, oc.Vector(2), float])
def test_a_list_is_of_strings_or_numbers(item: Any) -> None:
    with pytest.raises(InvalidDefinition, match=r"oc\.String, oc\.Int64 or oc\.Float64"):
        oc.List(item)


def test_a_list_is_no_key() -> None:
    with pytest.raises(InvalidDefinition, match="is not the type of entity"):
        FeatureView("v", entity=oc.Entity("tag", key="tags"), source=visits, features=[oc.count(over="1h")])
