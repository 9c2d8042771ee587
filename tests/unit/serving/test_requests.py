"""What a caller is told about a wrong request; that the right ones are refused is for the property test."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.serving.bundles import FIELDS, ROW

from octavo.definitions.plans import PlannedField
from octavo.definitions.types import DType
from octavo.errors import InvalidRequest, LimitExceeded
from octavo.serving.requests import RequestDecoder

decoder = RequestDecoder(FIELDS, max_rows=2)


def body(**changes: Any) -> bytes:
    return json.dumps({"rows": [{**ROW, **changes}]}).encode()


def refusal(data: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decoder.decode(data)
    return caught.value


def test_a_row_holds_its_values_in_the_order_of_the_fields() -> None:
    moment = datetime(2013, 7, 1, 12, 30, tzinfo=UTC)
    assert decoder.decode(body()) == [(500.0, moment, 100, "JFK")]


def test_an_optional_field_may_be_null_or_left_out() -> None:
    without = {name: value for name, value in ROW.items() if name != "seats"}
    rows = decoder.decode(json.dumps({"rows": [{**ROW, "seats": None}, without]}).encode())
    assert [row[2] for row in rows] == [None, None]


@pytest.mark.parametrize(
    ("data", "field", "message", "fix"),
    [
        (
            body(destance=1),
            "rows[0].destance",
            "rows[0] holds the unknown field 'destance'",
            "did you mean 'distance'?",
        ),
        (body(zzz=1), "rows[0].zzz", "rows[0] holds the unknown field 'zzz'", "leave it out; a row holds: distance, "),
        (
            b'{"rows":[{}]}',
            "rows[0].distance",
            "rows[0] lacks the field 'distance'",
            "add 'distance' to the row: a number",
        ),
        (
            body(distance="5"),
            "rows[0].distance",
            "rows[0].distance: expected 'float', got 'str'",
            "send a number between",
        ),
        (body(distance=None), "rows[0].distance", "rows[0].distance: expected 'float', got 'null'", "send a number"),
        (body(distance=1e39), "rows[0].distance", "rows[0].distance: expected 'float' <= 3.4", "send a number between"),
        (body(distance=[[1]]), "rows[0].distance", "rows[0].distance: expected 'float', got 'array'", "send a number"),
        (body(seats=2**63), "rows[0].seats", "rows[0].seats: expected 'int' <=", "a whole number of 64 bits, or null"),
        (body(seats=1.0), "rows[0].seats", "rows[0].seats: expected 'int | null', got 'float'", "send a whole number"),
        (body(origin="x" * 1025), "rows[0].origin", "rows[0].origin: expected 'str' of length <=", "at most 1024 char"),
        (body(sched_dep="2013-07-01T12:30:00"), "rows[0].sched_dep", "with a timezone component", "with an offset"),
        (body(sched_dep="0001-01-01T00:00:00Z"), "rows[0].sched_dep", "is a time in the year 1", "from 1900 to 2200"),
        (b'{"row":[]}', "row", "the body holds an unknown field 'row'", 'send {"rows": [{...}, ...]}'),
        (b"{}", "rows", "the body lacks the field 'rows'", 'send {"rows": [{...}, ...]}'),
        (b"[]", None, "the body: expected 'object', got 'array'", 'send {"rows": [{...}, ...]}'),
        (b'{"rows":[7]}', "rows[0]", "rows[0]: expected 'object', got 'int'", 'send {"rows": [{...}, ...]}'),
        (b'{"rows":[]}', "rows", "rows is empty", "send at least one row"),
        (b" ", None, "the body is empty", 'send {"rows": [{...}, ...]} as JSON'),
        (b"\xff", None, "the body is not UTF-8", "encode the JSON as UTF-8"),
        (b'{"rows":[', None, "the body is not JSON: Input data was truncated", "send valid JSON"),
    ],
)
def test_a_refusal_names_the_field_and_the_fix(data: bytes, field: str | None, message: str, fix: str) -> None:
    refused = refusal(data)
    assert refused.field == field
    assert message in refused.message
    assert fix in (refused.fix or "")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_have_is_found_in_its_row(constant: str) -> None:
    data = b'{"rows":[%s,{"distance":%s}]}' % (json.dumps(ROW).encode(), constant.encode())
    refused = refusal(data)
    assert (refused.field, refused.message) == (
        "rows[1].distance",
        f"rows[1].distance is {constant}, which JSON does not have",
    )
    assert refused.fix == "send a finite number; leave an optional field out or send null"


def test_half_a_surrogate_pair_is_found_in_a_value_and_in_a_key() -> None:
    assert refusal(body(origin="\ud800")).field == "rows[0].origin"
    broken_key = refusal(b'{"rows":[{"\\ud800":1}]}')
    assert (broken_key.field, broken_key.message) == ("rows[0]", "rows[0] holds half of a surrogate pair")


@pytest.mark.parametrize("key", ['"distance"', '"dist\\u0061nce"', '"distance" '])
def test_a_key_given_twice_is_refused_however_it_is_written(key: str) -> None:
    row = json.dumps(ROW)
    refused = refusal(f'{{"rows":[{row},{row[:-1]},{key}:2}}]}}'.encode())
    assert refused.field == "rows[1].distance"
    assert "given twice, so that it is unclear which counts" in refused.message
    assert refused.fix == "send 'distance' once"


def test_rows_given_twice_are_refused() -> None:
    rows = json.dumps([ROW])
    assert refusal(f'{{"rows":{rows},"rows":{rows}}}'.encode()).field == "rows"


def test_a_string_that_looks_like_keys_is_a_string() -> None:
    [row] = decoder.decode(body(origin='a":1,"distance":2,"b'))
    assert row[3] == 'a":1,"distance":2,"b'


def test_too_many_rows_are_beyond_the_limit() -> None:
    data = json.dumps({"rows": [ROW] * 3}).encode()
    with pytest.raises(LimitExceeded, match="rows holds more than 2 rows") as caught:
        decoder.decode(data)
    assert caught.value.fix == "send at most 2 rows in one request"


@pytest.mark.parametrize("data", [b"[" * 300_000, b'{"rows":[{"distance":' * 20_000, b'{"rows":' + b"[" * 300_000])
def test_nesting_is_refused_however_deep_it_goes(data: bytes) -> None:
    assert "expected" in refusal(data).message


def test_a_made_up_name_is_repeated_by_its_beginning_only() -> None:
    refused = refusal(body(**{"x" * 100_000: 1}))
    assert len(refused.message) < 200
    assert len(refused.field or "") < 200


@pytest.mark.parametrize("name", ["`x`", "a\nb", "a` - at `$.rows"])
def test_a_name_of_odd_characters_is_named_too(name: str) -> None:
    assert refusal(body(**{name: 1})).field == f"rows[0].{name}"


def test_a_deployment_without_fields_takes_empty_rows() -> None:
    assert RequestDecoder((), max_rows=3).decode(b'{"rows":[{},{}]}') == [(), ()]


def test_a_single_field_makes_rows_of_one() -> None:
    only = RequestDecoder([PlannedField(name="on", dtype=DType.BOOL, required=True)], max_rows=3)
    assert only.decode(b'{"rows":[{"on":true},{"on":false}]}') == [(True,), (False,)]
