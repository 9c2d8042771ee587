"""Rows of JSON that the compiled loop reads are those that the usual reading reads; what that refuses is never read."""

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from octavo.definitions.plans import PlannedField
from octavo.definitions.types import DType
from octavo.serving import json_loops
from octavo.serving.asked import AskedColumns
from octavo.serving.json_forms import JsonForms
from octavo.serving.requests import RequestDecoder

FIELDS = (
    PlannedField(name="number", dtype=DType.FLOAT64, required=True),
    PlannedField(name="whole", dtype=DType.INT64, required=False),
    PlannedField(name="flag", dtype=DType.BOOL, required=True),
    PlannedField(name="city", dtype=DType.CATEGORY, required=True, categories=("Berlin",)),
    PlannedField(name="rate", dtype=DType.FLOAT64, required=False),
)
DECODER = RequestDecoder(FIELDS, max_rows=50)
FIRST = {"number": 1.5, "whole": 3, "flag": True, "city": "Berlin", "rate": 0.25}
NUMBER = RequestDecoder(FIELDS[:1], max_rows=10)

few = st.integers(-(10**18) + 1, 10**18 - 1)
numbers = st.one_of(
    st.floats(-1e30, 1e30, allow_nan=False), st.decimals(-(10**6), 10**6, places=4).map(float), few, st.just(-0.0)
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "number": numbers,
            "whole": few,
            "flag": st.booleans(),
            "city": st.sampled_from(["Berlin", "Łódź", "", "a, b: {c}"]) | st.text(max_size=4),
            "rate": st.none() | numbers,
        }
    ),
    min_size=1,
    max_size=12,
)
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")])


def written(found: Sequence[dict[str, Any]], marks: tuple[str, str] = (",", ":")) -> bytes:
    return json.dumps({"rows": found}, separators=marks, ensure_ascii=False).encode()


def forms_of(body: bytes, decoder: RequestDecoder = DECODER) -> JsonForms:
    """Those that remain of a body."""
    forms = JsonForms(json_loops.read)
    forms.learn(decoder, body)
    return forms


def as_rows(asked: AskedColumns) -> list[str]:
    """Rows as they are told apart: 0 is another number than -0, and 1 than 1.0 or true."""
    columns = [column.plain() for column in asked.columns if column is not None]
    return [repr(row) for row in zip(*columns, strict=True)]


@settings(max_examples=400, deadline=None)
@given(found=rows, marks=separators, order=st.permutations(list(FIRST)))
def test_what_the_loop_reads_is_what_is_usually_read(
    found: list[dict[str, Any]], marks: tuple[str, str], order: list[str]
) -> None:
    forms = forms_of(written([{name: FIRST[name] for name in order}] * 2, marks))
    body = written([{name: row[name] for name in order} for row in found], marks)
    asked = forms.read(DECODER, body)
    if asked is not None:
        assert as_rows(asked) == [repr(row) for row in DECODER.decode(body)]
    is_plain = all(1e-3 < abs(row[name] or 1) < 1e17 for row in found for name in ("number", "rate"))
    if is_plain and all(row["city"].isalnum() for row in found):
        assert asked is not None


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_what_is_refused_is_never_read(data: st.DataObject) -> None:
    body = bytearray(written([FIRST, {**FIRST, "whole": -20, "rate": 1e-5}, FIRST]))
    forms = forms_of(bytes(body))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        cut = data.draw(st.integers(0, 3))
        body[at : at + cut] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b"0", b"-", b".", b"e", b"null", b"\\"])
        )
    asked = forms.read(DECODER, bytes(body))
    if asked is not None:
        assert as_rows(asked) == [repr(row) for row in DECODER.decode(bytes(body))]


@settings(max_examples=2_000, deadline=None)
@given(digits=st.integers(0, 10**19), point=st.integers(0, 20), power=st.none() | st.integers(-30, 30))
@example(digits=9007199254740993, point=0, power=None)
@example(digits=900719925474099299, point=2, power=None)
@example(digits=0, point=3, power=5)
def test_numbers_are_rounded_to_the_nearest(digits: int, point: int, power: int | None) -> None:
    text = str(digits)
    if point:
        text = text.rjust(point + 1, "0")
        text = f"{text[:-point]}.{text[-point:]}"
    text += "" if power is None else f"e{power}"
    assume(float(text) < 3e38)
    asked = forms_of(b'{"rows":[{"number":1},{"number":2}]}', NUMBER).read(
        NUMBER, f'{{"rows":[{{"number":{text}}},{{"number":-{text}}}]}}'.encode()
    )
    if asked is not None:
        one, other = asked.columns[0].array.tolist()  # type: ignore[union-attr]  # it is there
        assert (one, other) == (float(text), -float(text))
        assert math.copysign(1.0, other) == (-1.0 if digits or point or power is not None else 1.0)
    elif digits <= 2**53 and abs((power or 0) - point) <= 22:
        pytest.fail(f"{text} is as usual as any")


@pytest.mark.parametrize(
    "body",
    [
        written([FIRST] * 51),
        written([FIRST])[:-1],
        written([FIRST] * 2) + b"\f",
        b"\v" + written([FIRST] * 2),
        written([FIRST]) + b" {}",
        written([FIRST] * 2).replace(b'"rows"', b'"more"'),
        written([FIRST] * 2).replace(b"1.5", b"01.5"),
        written([FIRST] * 2).replace(b"1.5", b"1."),
        written([FIRST] * 2).replace(b"1.5", b".5"),
        written([FIRST] * 2).replace(b"1.5", b"1e"),
        written([FIRST] * 2).replace(b"1.5", b"1e400"),
        written([FIRST] * 2).replace(b"1.5", b"null"),
        written([FIRST] * 2).replace(b":3", b":3.0"),
        written([FIRST] * 2).replace(b":3", b":12345678901234567890"),
        written([FIRST] * 2).replace(b"Berlin", b"B\xff"),
        written([FIRST] * 2).replace(b"Berlin", b"B\\n"),
        written([FIRST] * 2).replace(b"Berlin", b"B\n"),
        written([FIRST] * 2).replace(b"Berlin", b"B" * 1_025),
        written([{**FIRST, "city": f"{n}"} for n in range(50)] + [FIRST]),
        b'{"rows":[]}',
        b"",
    ],
)
def test_what_is_unusual_is_left_to_the_usual_reading(body: bytes) -> None:
    assert forms_of(written([FIRST] * 2)).read(DECODER, body) is None


@pytest.mark.parametrize(
    "body", [written([FIRST]), written([{**FIRST, "city": 'a"b'}] * 2), written([{"number": 1.5}] * 2), b'{"rows":[]}']
)
def test_a_body_without_a_form_leaves_none_behind(body: bytes) -> None:
    assert forms_of(body).read(DECODER, body) is None


def test_each_deployment_has_forms_of_its_own() -> None:
    other = RequestDecoder(FIELDS, max_rows=50)
    forms = forms_of(written([FIRST] * 2))
    assert forms.read(other, written([FIRST] * 2)) is None
    other_way = written([dict(reversed(FIRST.items()))] * 2)
    forms.learn(DECODER, other_way)
    assert all(forms.read(DECODER, body) is not None for body in (written([FIRST] * 3), other_way))


def test_the_loop_is_made_by_another_process_when_it_is_needed() -> None:
    forms, body = JsonForms(), written([FIRST] * 2)
    forms.learn(DECODER, body)
    waiting = forms.loading
    assert waiting is not None
    waiting.join(timeout=120)
    forms.learn(DECODER, body)
    assert forms.read(DECODER, body) is not None
    assert len(json_loops.read.signatures) == 1, "what is compiled apart is what is needed"  # type: ignore[attr-defined]
