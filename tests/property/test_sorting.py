"""Whatever is sent: what sorting takes is what each row alone would be taken for, and the rest is kept whole."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

import octavo as oc
from octavo.clock import to_micros
from octavo.errors import InvalidRequest
from octavo.features.events.decode import decode_rows, decode_table
from octavo.features.events.sorting import sort_lines, sort_table

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_US = to_micros(NOW)
visits = oc.Source(
    "visits",
    event_time="left",
    available_at="known",
    schema={"left": oc.Timestamp, "known": oc.Timestamp, "shop": oc.String, "items": oc.Int64, "spent": oc.Float64},
)
moments = st.one_of(
    st.datetimes(NOW.replace(tzinfo=None) - timedelta(days=1), NOW.replace(tzinfo=None)).map(
        lambda moment: moment.replace(tzinfo=UTC).isoformat()
    ),
    st.sampled_from([NOW.isoformat(), "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "2026-01-31T10:00:00", None, 5]),
)
values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.none()))
rows = st.one_of(
    st.fixed_dictionaries(
        {"left": moments, "known": st.just(NOW.isoformat())},
        optional={"shop": st.text(max_size=3), "items": st.integers(-9, 9), "spent": st.floats(width=32)},
    ),
    st.dictionaries(st.sampled_from([*visits.columns, "other"]), values),
)


def is_taken(row: dict[str, Any]) -> bool:
    try:
        decode_rows([row], visits, now_us=NOW_US)
    except InvalidRequest:
        return False
    return True


@given(st.lists(rows, max_size=12))
def test_lines_are_sorted_as_each_alone_would_be(sent: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row).encode() for row in sent]
    found = sort_lines(lines, visits, now_us=NOW_US)
    good = [row for row in sent if is_taken(row)]
    assert [letter.payload for letter in found.refused] == [
        line for line, row in zip(lines, sent, strict=True) if not is_taken(row)
    ]
    assert found.events.num_rows == len(good)
    if good:
        assert found.events.equals(decode_rows(good, visits, now_us=NOW_US))


cells = {
    "left": st.one_of(st.none(), st.integers(NOW_US - 10, NOW_US + 10), st.sampled_from([-(2**62), 2**62])),
    "items": st.one_of(st.none(), st.floats(-9, 9, width=16), st.sampled_from([2.0**63, float("nan")])),
    "spent": st.one_of(st.none(), st.integers(-9, 9), st.sampled_from([2**60 + 1, 2**60])),
    "shop": st.one_of(st.none(), st.text(max_size=2), st.just("x" * 1025)),
}


def column(name: str, given: list[Any]) -> pa.Array:
    kinds = {"left": pa.timestamp("us", tz="UTC"), "items": pa.float64(), "spent": pa.int64(), "shop": pa.string()}
    if name == "left":
        return pa.array(given, pa.int64()).cast(kinds[name])
    return pa.array(given, kinds[name], from_pandas=False)


@given(st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=12))
def test_rows_of_a_table_are_sorted_as_each_alone_would_be(sent: list[dict[str, Any]]) -> None:
    columns = {name: column(name, [row[name] for row in sent]) for name in cells}
    table = pa.table({**columns, "known": pa.array([NOW] * len(sent), pa.timestamp("us", tz="UTC"))})
    good = []
    for row in range(len(sent)):
        try:
            good.append(decode_table(table.slice(row, 1), visits, now_us=NOW_US))
        except InvalidRequest:
            continue
    found = sort_table(table, visits, now_us=NOW_US)
    assert found.events.num_rows == len(good)
    assert found.events.num_rows + len(found.refused) == len(sent)
    if good:
        assert found.events.equals(pa.concat_batches(good))
