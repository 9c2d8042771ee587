"""Whether the predictor takes a request, against the oracle: whatever bytes a caller sends."""

import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from octavo.definitions.plans import PlannedField
from octavo.definitions.types import DType
from octavo.errors import InvalidRequest
from octavo.problems import problem_of
from octavo.serving.requests import RequestDecoder, Row
from tests.oracles.requests import judge

FIELDS = (
    PlannedField(name="distance", dtype=DType.FLOAT64, required=True),
    PlannedField(name="load", dtype=DType.FLOAT64, required=False),
    PlannedField(name="at", dtype=DType.TIMESTAMP, required=True),
    PlannedField(name="seats", dtype=DType.INT64, required=False),
    PlannedField(name="origin", dtype=DType.STRING, required=True),
    PlannedField(name="is_late", dtype=DType.BOOL, required=False),
    PlannedField(name="until", dtype=DType.TIMESTAMP, required=False),
)
MAX_ROWS = 3
decoder = RequestDecoder(FIELDS, max_rows=MAX_ROWS)

NUMBERS = st.one_of(
    st.sampled_from(["0", "-0", "1.5", "1e3", "1E-400", "3.4028234663852886e38", "3.4028235e38", "1e39", "-1e400"]),
    st.sampled_from(["9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 60, "01", "1.", "+1"]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
)
TEXTS = st.one_of(
    st.sampled_from(['""', '"JFK"', '"a\\":1"', '"\\u0000"', '"\\ud83d\\ude00"', '"\\ud800"', '"\t"', "'x'", '"NaN"']),
    st.sampled_from([1024, 1025]).map(lambda length: json.dumps("é" * length, ensure_ascii=False)),
    st.text(max_size=20).map(json.dumps),
)
DAYS = ["2013-07-01", "1900-01-01", "2200-12-31", "1899-12-31", "2201-01-01", "2013-02-30", "0000-01-01", "9999-12-31"]
TIMES = ["12:30:00", "23:59:59", "23:59:60", "24:00:00", "12:30", "12:30:00.123456", "12:30:00.9999995", "12:30:00,5"]
ZONES = ["Z", "z", "", "+01:00", "-23:59", "+24:00", "+0130", "+01", " Z", "-00:00"]
MOMENTS = st.tuples(st.sampled_from(DAYS), st.sampled_from("Tt _"), st.sampled_from(TIMES), st.sampled_from(ZONES)).map(
    lambda parts: json.dumps("".join(parts))
)
OTHERS = st.sampled_from(
    ["null", "true", "false", "NaN", "-Infinity", "[1]", "{}", '{"rows": []}', "[" * 500, '{"a":' * 3]
)
ANY = st.one_of(NUMBERS, TEXTS, MOMENTS, OTHERS)
OF_TYPE = {
    DType.FLOAT64: NUMBERS,
    DType.INT64: NUMBERS,
    DType.STRING: TEXTS,
    DType.BOOL: st.sampled_from(["true", "false"]),
    DType.TIMESTAMP: MOMENTS,
}
GOOD = {
    "distance": "1.5",
    "load": "null",
    "at": '"2013-07-01T12:30:00Z"',
    "seats": "3",
    "origin": '"JFK"',
    "is_late": "true",
    "until": '"2013-07-01T12:30:00.25+02:00"',
}
KEYS = ['"seats"', '"distance"', '"dist\\u0061nce"', '"destance"', '"`x`"', '"a\\nb"', '"\\ud800"', '"rows"', "1"]
SPACES = st.sampled_from([*[""] * 8, " ", "\n\t", "\r", "\f"])
rarely = st.integers(0, 15).map(lambda number: number == 15)


@st.composite
def row_texts(draw: st.DrawFn) -> str:
    """A good row in which perhaps a value is changed, and rarely one is left out, repeated or added."""
    pairs = [(f'"{field.name}"', GOOD[field.name]) for field in FIELDS]
    if draw(st.booleans()):
        place = draw(st.integers(0, len(FIELDS) - 1))
        of_type = OF_TYPE[FIELDS[place].dtype]
        pairs[place] = (pairs[place][0], draw(st.one_of(of_type, of_type, of_type, ANY)))
    if draw(rarely):
        pairs.append((draw(st.sampled_from(KEYS)), draw(ANY)))
    if draw(rarely):
        del pairs[draw(st.integers(0, len(FIELDS) - 1))]
    space = draw(SPACES)
    return "{" + ",".join(f"{space}{key}{space}:{value}" for key, value in draw(st.permutations(pairs))) + "}"


@st.composite
def body_texts(draw: st.DrawFn) -> str:
    rows = draw(st.lists(row_texts(), min_size=1, max_size=MAX_ROWS))
    if draw(rarely):
        rows = draw(st.sampled_from([[], ["{}"], rows * (MAX_ROWS + 1), [*rows, draw(ANY)]]))
    members = [f'"rows":[{",".join(rows)}]']
    if draw(rarely):
        members.append(draw(st.sampled_from(['"rows":[{}]', '"row":1', '"\\ud800":NaN', '"x":{"y":[NaN]}'])))
    space = draw(SPACES)
    return space + "{" + ",".join(draw(st.permutations(members))) + "}" + space


@st.composite
def broken_bodies(draw: st.DrawFn) -> bytes:
    """Bodies with a byte or more gone, put in or changed."""
    body = bytearray(draw(body_texts()).encode("utf-8", "surrogatepass"))
    start = draw(st.integers(0, len(body)))
    end = draw(st.one_of(st.just(start), st.integers(start, len(body))))
    body[start:end] = draw(
        st.one_of(st.binary(max_size=3), st.sampled_from([b'"', b"}", b"\\", b"\xff", b"\xef\xbb\xbf"]))
    )
    return bytes(body)


@given(body_texts())
@settings(max_examples=1_000, deadline=None)
def test_requests_are_taken_or_refused_as_by_the_oracle(body: str) -> None:
    check(body.encode("utf-8", "surrogatepass"))


@given(st.one_of(broken_bodies(), broken_bodies(), st.binary(max_size=200)))
@settings(max_examples=600, deadline=None)
@example(b"")
@example(b" \n")
@example(b"[" * 200_000)
@example(b'{"rows":[{"distance":' * 50_000)
@example(b'{"rows":[{"\\ud800":NaN}]}')
@example('{"rows":[]}'.encode("utf-16"))
def test_bytes_of_any_kind_are_taken_or_refused_as_by_the_oracle(body: bytes) -> None:
    check(body)


def check(body: bytes) -> None:
    expected, actual, by_fields = judge(body, FIELDS, max_rows=MAX_ROWS), decoded(body), decoded_by_fields(body)
    if isinstance(actual, InvalidRequest):
        assert isinstance(by_fields, InvalidRequest)
        assert by_fields.message == actual.message
        assert not expected.is_accepted, actual.message
        check_refusal(actual)
        assert not expected.is_json or actual.field in expected.faults, (actual.message, actual.field)
    else:
        assert expected.is_accepted, expected.faults
        assert list(map(comparable, actual)) == list(map(comparable, expected.rows))
        assert by_fields == actual


def decoded(body: bytes) -> list[Row] | InvalidRequest:
    try:
        return decoder.decode(body)
    except InvalidRequest as refusal:
        return refusal


def decoded_by_fields(body: bytes) -> list[Row] | InvalidRequest:
    try:
        return list(zip(*decoder.decode_fields(body).values, strict=True))
    except InvalidRequest as refusal:
        return refusal


def check_refusal(refusal: InvalidRequest) -> None:
    """It says what is wrong, where and what to do, and can be sent."""
    assert refusal.fix
    name = (refusal.field or "").rpartition(".")[2]
    assert name in refusal.message or repr(name) in refusal.message
    assert len(refusal.message) < 400
    msgspec.json.encode(problem_of(refusal, request_id="1"))


def comparable(row: tuple[Any, ...]) -> list[tuple[str, str]]:
    """A row's values and their types, by which 1 and 1.0 and true differ."""
    return [(type(value).__name__, repr(value)) for value in row]
