"""Bad input by its name: each is refused with the field and a fix, or kept as a dead letter; none is a wrong value."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import octavo as oc
from octavo.clock import to_micros
from octavo.errors import InvalidRequest
from octavo.features.events.decode import decode_rows, decode_table
from octavo.features.events.sorting import sort_lines, sort_table

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_US = to_micros(NOW)
payments = oc.Source(
    "payments",
    event_time="paid",
    schema={
        "paid": oc.Timestamp,
        "due": oc.Timestamp,
        "customer": oc.String,
        "amount": oc.Float64,
        "pieces": oc.Int64,
        "refunded": oc.Bool,
    },
)
GOOD = {"paid": NOW.isoformat(), "customer": "ada", "amount": 1.5, "pieces": 2, "refunded": False}

BAD_ROWS: dict[str, tuple[dict[str, object], str]] = {
    "an unknown field": ({"amuont": 1.0}, "amuont"),
    "text for a number": ({"amount": "1.5"}, "amount"),
    "a number for text": ({"customer": 7}, "customer"),
    "a boolean for a number": ({"amount": True}, "amount"),
    "a number for a boolean": ({"refunded": 1}, "refunded"),
    "a fraction for a whole number": ({"pieces": 1.5}, "pieces"),
    "a list for a number": ({"amount": [1.5]}, "amount"),
    "an object for text": ({"customer": {"name": "ada"}}, "customer"),
    "a time without a zone": ({"paid": "2026-01-31T11:00:00"}, "paid"),
    "a time in words": ({"paid": "yesterday"}, "paid"),
    "a time as a number": ({"paid": 1769857200}, "paid"),
    "a date without a time": ({"paid": "2026-01-31"}, "paid"),
    "the 30th of February": ({"paid": "2026-02-30T00:00:00Z"}, "paid"),
    "the year 1": ({"paid": "0001-01-01T00:00:00Z"}, "paid"),
    "the year 1 before it began in Greenwich": ({"due": "0001-01-01T00:00:00+14:00"}, "due"),
    "the year 9999": ({"due": "9999-12-31T23:59:59.999999Z"}, "due"),
    "the year 9999 when it has ended in Greenwich": ({"due": "9999-12-31T23:59:59-14:00"}, "due"),
    "a time that is null": ({"paid": None}, "paid"),
    "a time of tomorrow": ({"paid": (NOW + timedelta(days=1)).isoformat()}, "paid"),
    "not a number": ({"amount": float("nan")}, "amount"),
    "infinity": ({"amount": float("inf")}, "amount"),
    "minus infinity": ({"amount": float("-inf")}, "amount"),
    "a whole number of 65 bits": ({"pieces": 2**63}, "pieces"),
    "a negative whole number of 65 bits": ({"pieces": -(2**63) - 1}, "pieces"),
    "a whole number of a thousand digits": ({"pieces": 10**1000}, "pieces"),
    "a number that only 128 bits hold": ({"amount": 10**400}, "amount"),
    "a key of a megabyte": ({"customer": "a" * 1_000_000}, "customer"),
    "a key with a null byte": ({"customer": "ada\x00"}, "customer"),
    "a key with an escape character": ({"customer": "\x1b[31mada"}, "customer"),
    "a key with a control character of Latin-1": ({"customer": "ada\x85"}, "customer"),
}
named = pytest.mark.parametrize("name", BAD_ROWS)


def refused(call: Callable[[], object]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        call()
    assert raised.value.fix
    return raised.value


def table(**columns: Any) -> pa.Table:
    n = len(next(iter(columns.values()), [1]))
    return pa.table({"paid": pa.array([NOW] * n, pa.timestamp("us", tz="UTC")), **columns})


@named
def test_in_a_row_of_json_it_is_refused_by_its_field(name: str) -> None:
    columns, field = BAD_ROWS[name]
    error = refused(lambda: decode_rows([GOOD, {**GOOD, **columns}], payments, now_us=NOW_US))
    assert error.field == f"rows[1].{field}"


@named
def test_in_a_line_of_json_it_is_kept_and_its_neighbours_are_taken(name: str) -> None:
    columns, field = BAD_ROWS[name]
    lines = [json.dumps(row).encode() for row in (GOOD, {**GOOD, **columns}, {**GOOD, "amount": 2})]
    found = sort_lines(lines, payments, now_us=NOW_US)
    assert found.events.column("amount").to_pylist() == [1.5, 2.0]
    [letter] = found.refused
    assert (letter.row, letter.payload) == (1, lines[1])
    assert letter.field in (field, "")
    assert "rows[" not in letter.reason


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"null", b"7", b'"ada"', b"[]", b"{}", b"{}, {}", b"{}] [{}", b"\xff\xfe{}", b'{"customer": "\xff"}',
     b'{"customer": "\\ud800"}', b'{"amount": NaN}', b'{"amount": 1e999}', b"[" * 10_000, b'{"a":' * 10_000, b"\x00"],
)  # fmt: skip
def test_what_is_no_object_at_all_is_kept_as_it_is(line: bytes) -> None:
    found = sort_lines([line, json.dumps(GOOD).encode()], payments, now_us=NOW_US)
    assert found.events.num_rows == 1
    assert [letter.payload for letter in found.refused] == [line]


BAD_COLUMNS: dict[str, tuple[str, pa.Array]] = {
    "text for numbers": ("amount", pa.array(["1.5", "2"])),
    "numbers for text": ("customer", pa.array([1, 2])),
    "numbers for booleans": ("refunded", pa.array([0, 1])),
    "booleans for numbers": ("pieces", pa.array([True, False])),
    "decimals, which would be rounded": ("amount", pa.array([1, 2], pa.decimal128(38, 20))),
    "times without a zone": ("due", pa.array([NOW.replace(tzinfo=None)] * 2, pa.timestamp("us"))),
    "dates": ("due", pa.array([NOW.date()] * 2)),
    "bytes for text": ("customer", pa.array([b"ada", b"bob"])),
    "lists": ("amount", pa.array([[1.0], [2.0]])),
    "objects": ("customer", pa.array([{"name": "ada"}] * 2)),
    "an unknown column": ("amuont", pa.array([1.0, 2.0])),
}


@pytest.mark.parametrize("name", BAD_COLUMNS)
def test_a_column_that_cannot_fit_is_refused_or_every_row_is_kept_for_the_one_reason(name: str) -> None:
    field, column = BAD_COLUMNS[name]
    sent = table(**{field: column})
    assert refused(lambda: decode_table(sent, payments, now_us=NOW_US)).field == field
    found = sort_table(sent, payments, now_us=NOW_US)
    assert found.events.num_rows == 0
    assert [letter.field for letter in found.refused] == [field] * 2
    assert len({letter.reason for letter in found.refused}) == 1


NANOSECONDS = pa.array([to_micros(NOW) * 1000 + 1, to_micros(NOW) * 1000], pa.int64()).cast(
    pa.timestamp("ns", tz="UTC")
)
NOT_UTF8 = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"\xffb")]
)
BAD_VALUES: dict[str, tuple[str, pa.Array]] = {
    "not a number": ("amount", pa.array([np.nan, 1.0])),
    "infinity": ("amount", pa.array([np.inf, 1.0])),
    "a whole number that no float holds": ("amount", pa.array([2**60 + 1, 1])),
    "a whole number of 64 bits without a sign": ("pieces", pa.array([2**63, 1], pa.uint64())),
    "a fraction": ("pieces", pa.array([1.5, 1.0])),
    "nanoseconds": ("due", NANOSECONDS),
    "the year 1": ("due", pa.array([datetime(1, 1, 1, tzinfo=UTC), NOW])),
    "the year 9999": ("due", pa.array([datetime(9999, 12, 31, tzinfo=UTC), NOW])),
    "a time that Python has no words for": (
        "due",
        pa.array([2**62, NOW_US], pa.int64()).cast(pa.timestamp("us", "UTC")),
    ),
    "a key of a megabyte": ("customer", pa.array(["a" * 1_000_000, "bob"])),
    "a key with a null byte": ("customer", pa.array(["a\x00", "bob"])),
    "text that is no UTF-8": ("customer", NOT_UTF8),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_wrong_value_in_a_column_is_refused_or_its_row_is_kept(name: str) -> None:
    field, column = BAD_VALUES[name]
    sent = table(**{field: column})
    error = refused(lambda: decode_table(sent, payments, now_us=NOW_US))
    assert error.field in (f"rows[0].{field}", field)
    found = sort_table(sent, payments, now_us=NOW_US)
    assert [letter.row for letter in found.refused] == [0]
    assert found.refused[0].field == field
    assert found.events.num_rows == 1
    assert found.events.column(field)[0].as_py() == column[1].as_py()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1.0], [1.0, 2.0]]),
        pa.array([[1.0, None], [1.0, 2.0]]),
        pa.array([[1.0, np.nan], [1.0, 2.0]], pa.list_(pa.float32(), 2)),
        pa.array([[1, 2**60 + 1], [1, 2]], pa.large_list(pa.int64())),
    ],
    ids=["too short", "with a null", "with not a number", "with a number that no float holds"],
)
def test_a_wrong_vector_is_refused_or_its_row_is_kept(column: pa.Array) -> None:
    faces = oc.Source("faces", event_time="paid", schema={"paid": oc.Timestamp, "face": oc.Vector(2)})
    sent = table(face=column)
    assert "face" in str(refused(lambda: decode_table(sent, faces, now_us=NOW_US)).field)
    found = sort_table(sent, faces, now_us=NOW_US)
    assert [letter.row for letter in found.refused] == [0]
    assert found.events.column("face").to_pylist() == [[1.0, 2.0]]


def test_a_time_that_is_null_or_absent_in_a_table_is_refused_or_kept() -> None:
    times = pa.array([None, NOW], pa.timestamp("us", tz="UTC"))
    found = sort_table(pa.table({"paid": times}), payments, now_us=NOW_US)
    assert [letter.reason for letter in found.refused] == [refused_reason("paid is null")]
    without = sort_table(pa.table({"amount": [1.0]}), payments, now_us=NOW_US)
    assert without.refused[0].reason.startswith("the table lacks the column 'paid'")


def refused_reason(what: str) -> str:
    return f'{what}; send an RFC 3339 time with an offset, of a year from 1900 to 2200: "2026-01-31T09:30:00+01:00"'


def test_a_column_twice_is_refused() -> None:
    twice = pa.Table.from_arrays(
        [pa.array([NOW]), pa.array([1.0]), pa.array([2.0])], names=["paid", "amount", "amount"]
    )
    assert refused(lambda: decode_table(twice, payments, now_us=NOW_US)).field == "amount"


@pytest.mark.parametrize(
    "pair",
    [
        ("\u00e9", "e\u0301"),  # composed and decomposed
        ("ada", "\u0430da"),  # a Cyrillic letter
        ("ada", "ada "),
        ("ada", "Ada"),
        ("ada", "ada\u200b"),  # a space without width
        ("\u212b", "\u00c5"),  # the unit and the letter
        ("\ufb01", "fi"),  # a ligature
    ],
)
def test_keys_that_look_alike_are_kept_apart_and_as_they_were_sent(pair: tuple[str, str]) -> None:
    rows = [{**GOOD, "customer": key} for key in pair]
    events = decode_rows(rows, payments, now_us=NOW_US)
    assert events.column("customer").to_pylist() == list(pair)
    assert len(set(events.column("_event_id").to_pylist())) == 2


@pytest.mark.parametrize("text", ["two\nlines", "a\ttab", "\r\n", "emoji \U0001f6eb", "", "a" * 1024, "العربية"])
def test_text_that_is_text_is_taken_as_it_is(text: str) -> None:
    assert decode_rows([{**GOOD, "customer": text}], payments, now_us=NOW_US).column("customer").to_pylist() == [text]


def test_numbers_at_the_edges_are_taken_as_they_are() -> None:
    rows = [{**GOOD, "pieces": n, "amount": a} for n, a in ((2**63 - 1, 1.7e308), (-(2**63), 5e-324))]
    events = decode_rows(rows, payments, now_us=NOW_US)
    assert events.column("pieces").to_pylist() == [2**63 - 1, -(2**63)]
    assert events.column("amount").to_pylist() == [1.7e308, 5e-324]


def test_a_schema_that_changed_upstream_is_told_column_by_column() -> None:
    added, renamed = {**GOOD, "currency": "EUR"}, {k: v for k, v in GOOD.items() if k != "amount"} | {"amounts": 1.5}
    retyped = {**GOOD, "pieces": "2"}
    lines = [json.dumps(row).encode() for row in (added, renamed, retyped)]
    reasons = [letter.reason for letter in sort_lines(lines, payments, now_us=NOW_US).refused]
    assert reasons[0].startswith("the event holds 'currency', which source 'payments' does not have; leave it out;")
    assert "did you mean 'amount'?" in reasons[1]
    assert reasons[2].startswith("pieces: expected 'int | null', got 'str'; send a whole number of 64 bits")


def test_a_column_that_is_no_longer_sent_is_null() -> None:
    [row] = [{k: v for k, v in GOOD.items() if k != "amount"}]
    assert decode_rows([row], payments, now_us=NOW_US).column("amount").to_pylist() == [None]
