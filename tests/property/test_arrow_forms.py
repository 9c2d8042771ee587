"""A stream whose form is known holds what Arrow reads of it, whatever its types, nulls and bytes."""

from datetime import UTC, datetime
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.errors import OctavoError
from octavo.serving.arrow import read_by_arrow
from octavo.serving.arrow_forms import Forms, Sent
from octavo.serving.columns import plain

ROWS, BYTES = 40, 16_000_000
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.int8(): st.integers(-128, 127),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint32(): st.integers(0, 2**32 - 1),
    pa.bool_(): st.booleans(),
    pa.utf8(): words,
    pa.large_utf8(): words,
    pa.dictionary(pa.int32(), pa.utf8()): words,
    pa.dictionary(pa.int8(), pa.large_utf8()): words,
    pa.timestamp("us", "UTC"): moments,
    pa.timestamp("ns", "Europe/Berlin"): moments,
}


@st.composite
def tables(draw: st.DrawFn, kinds: list[pa.DataType]) -> pa.Table:
    """Some rows of columns of these types; some columns have nulls."""
    n_rows = draw(st.integers(1, ROWS))
    columns = []
    for kind in kinds:
        values = KINDS[kind] if draw(st.booleans()) else st.none() | KINDS[kind]
        columns.append(pa.array(draw(st.lists(values, min_size=n_rows, max_size=n_rows)), kind))
    return pa.table(columns, names=[f"c{place}" for place in range(len(kinds))])


usual = st.lists(st.sampled_from([pa.float64(), pa.float32()]), max_size=6)
any_kinds = st.builds(add, usual, st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=6))


def stream_of(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]  # bytes


def known(stream: bytes, forms: Forms) -> Sent | None:
    return forms.read(stream, most_rows=ROWS, most_bytes=BYTES)


def by_arrow(stream: bytes, forms: Forms) -> Sent:
    return read_by_arrow(stream, forms, most_rows=ROWS, most_bytes=BYTES)


def same(one: Sent, other: Sent) -> bool:
    def told(sent: Sent) -> list[Any]:
        return [(name, plain(column)) for name, column in sent.columns.items()]

    def together(sent: Sent) -> list[Any]:
        names, values = sent.side_by_side or ([], np.empty(0))
        return [list(names), values.shape, values.dtype.str, plain(values.ravel())]

    return (one.n_rows, told(one), together(one)) == (other.n_rows, told(other), together(other))


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_what_is_known_is_what_arrow_reads(data: st.DataObject) -> None:
    forms, kinds = Forms(), data.draw(any_kinds)
    first, second = data.draw(tables(kinds)), data.draw(tables(kinds))
    assert known(stream_of(first), forms) is None
    by_arrow(stream_of(first), forms)
    for table in (first, second):
        found = known(stream_of(table), forms)
        if found is not None:
            assert same(found, by_arrow(stream_of(table), Forms()))


PLAIN: dict[pa.DataType, list[Any]] = {
    pa.float64(): [1.5, 2.0],
    pa.int8(): [1, -2],
    pa.bool_(): [True, False],
    pa.utf8(): ["Łódź", "Paris"],
    pa.dictionary(pa.int32(), pa.utf8()): ["Łódź", "Paris"],
    pa.timestamp("ns", "UTC"): [datetime(2026, 1, 1, tzinfo=UTC), datetime(1950, 1, 1, tzinfo=UTC)],
}


@pytest.mark.parametrize("null", [False, True])
def test_what_is_usual_is_known_whoever_sent_it_first(*, null: bool) -> None:
    forms, columns = (
        Forms(),
        {f"c{place}": pa.array(values, kind) for place, (kind, values) in enumerate(PLAIN.items())},
    )
    numbers = {f"n{place}": pa.array([place, 0.5], pa.float32()) for place in range(8)}
    forms, first = Forms(), pa.table({**numbers, **columns})
    by_arrow(stream_of(first), forms)
    last = [None if null else one for one in first.slice(1).to_pylist()[0].values()]
    rows = [*first.to_pylist(), dict(zip(first.column_names, last, strict=True))]
    found = known(stream_of(pa.Table.from_pylist(rows, first.schema)), forms)
    assert found is not None
    assert (found.n_rows, found.side_by_side is None) == (3, null)


@pytest.mark.parametrize("kind", [pa.utf8(), pa.large_utf8()])
def test_many_texts_are_what_arrow_reads(kind: pa.DataType) -> None:
    forms, texts = Forms(), ["Łódź", "", None, "Paris"] * 200
    first, second = (stream_of(pa.table({"c": pa.array(some, kind)})) for some in (texts[:3], texts))
    by_arrow(first, forms)
    found = forms.read(second, most_rows=len(texts), most_bytes=BYTES)
    assert found is not None
    assert plain(found.columns["c"]) == texts


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda table: table, {"compression": "lz4"}),
        (lambda table: table.slice(0, 0), {}),
        (lambda table: pa.concat_tables([table, table]), {}),
        (lambda table: pa.concat_tables([table] * (ROWS // 2 + 1)).combine_chunks(), {}),
        (lambda table: table.rename_columns(["a", "b"]), {}),
    ],
)
def test_what_is_unusual_is_for_arrow(change: Any, options: dict[str, Any]) -> None:
    forms, table = Forms(), pa.table({"n": [1.0, 2.0], "c": ["x", "y"]})
    by_arrow(stream_of(table), forms)
    assert known(stream_of(change(table), **options), forms) is None


def sample() -> pa.Table:
    """Of numbers beside each other, of texts, and of texts in a dictionary."""
    numbers = {f"n{place}": pa.array(np.arange(9.0) + place, pa.float32()) for place in range(6)}
    cities = pa.array(["Łódź", "Paris", "", None] * 2 + ["Rome"])
    return pa.table({**numbers, "text": cities, "city": cities.dictionary_encode(), "whole": pa.array(range(9))})


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_bytes_that_are_changed_are_read_alike_or_refused_alike(data: st.DataObject) -> None:
    forms, body = Forms(), stream_of(sample())
    by_arrow(body, forms)
    places = st.integers(0, len(body) - 1)
    changed = bytearray(body)
    for place, octet in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=3)):
        changed[place] = octet
    cut = bytes(changed[: data.draw(st.just(len(body)) | places)])
    found = known(cut, forms)
    try:
        expected = by_arrow(cut, forms)
    except OctavoError:
        assert found is None
    else:
        assert found is None or same(found, expected)
    again = known(body, forms)  # None where the changed one has left its own form
    assert again is None or same(again, by_arrow(body, Forms()))


@pytest.mark.parametrize("number", [-1, 0, 3, 10, 2**31, 2**62, 2**63 - 1, -(2**63)])
def test_numbers_that_lie_are_never_believed(number: int) -> None:
    forms, body = Forms(), stream_of(sample())
    by_arrow(body, forms)
    for place in range(0, len(body) - 7, 8):
        changed = body[:place] + number.to_bytes(8, "little", signed=True) + body[place + 8 :]
        found = known(changed, forms)
        try:
            expected = by_arrow(changed, Forms())
        except OctavoError:
            assert found is None
        else:
            assert found is None or same(found, expected)
