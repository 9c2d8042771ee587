"""A request whose form is known is understood as it is when it is read field by field."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving import calls
from tests.serving.bundles import MODEL, ROW, publish_bundle
from tests.serving.doors import tensors
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import arm

from octavo.definitions.models import Task
from octavo.definitions.plans import LookupPlan, PlannedField
from octavo.definitions.types import DType
from octavo.errors import OctavoError
from octavo.serving.asked import Asked
from octavo.serving.grpc import wire
from octavo.serving.grpc.forms import Form, Forms
from octavo.serving.grpc.messages import ModelInferRequest
from octavo.serving.grpc.rows import asked_by_fields
from octavo.serving.lineup import Lineup

Told = tuple[str, Any]
DTYPES = {
    "wide": DType.FLOAT64,
    "narrow": DType.FLOAT64,
    "seats": DType.INT64,
    "few": DType.INT64,
    "is_late": DType.BOOL,
    "origin": DType.STRING,
    "carrier": DType.CATEGORY,
    "sched_dep": DType.TIMESTAMP,
}
DATATYPES = dict(zip(DTYPES, ("FP64", "FP32", "INT64", "INT32", "BOOL", "BYTES", "BYTES", "BYTES"), strict=True))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "wide": st.floats(),
    "narrow": st.floats(width=32),
    "seats": st.integers(-(2**63), 2**63 - 1),
    "few": st.integers(-(2**31), 2**31 - 1),
    "is_late": st.booleans(),
    "origin": TEXTS,
    "carrier": TEXTS,
    "sched_dep": st.sampled_from(["2026-01-31T09:30:00Z", "1066-10-14T09:00:00Z", "soon", ""]),
}
ROWS = st.fixed_dictionaries(VALUES)
_LISTS = {"INT32": "int_contents", "BOOL": "bool_contents"}


@pytest.fixture(scope="module")
def lineup(tmp_path_factory: pytest.TempPathFactory) -> Lineup:
    """A deployment that takes a field of each type."""
    fields = tuple(
        PlannedField(name=name, dtype=dtype, required=name == "seats", categories=("AA",) if name == "carrier" else ())
        for name, dtype in DTYPES.items()
    )
    plan = LookupPlan(
        model=MODEL, task=Task.REGRESSION, inputs=("wide", "narrow", "carrier"), fields=fields, views=(), functions=()
    )
    bench = make_bench(tmp_path_factory.mktemp("forms"))
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=plan, weights=[1.0, 2.0, 3.0])))
    return bench.watcher.lineups["eta"]


def told(ask: Callable[[], Asked | None]) -> Told | None:
    """What was understood, comparable even where it is NaN; None for nothing."""
    try:
        asked = ask()
    except OctavoError as error:
        return "refused", (error.code, error.message)
    if asked is None:
        return None
    if asked.matrix is not None:
        return "matrix", (asked.matrix.dtype, asked.matrix.shape, asked.matrix.tobytes())
    return "rows", [repr(asked.values(place)) for place in range(len(DTYPES))]


def message(row: dict[str, Any], *, raw: bool, **more: Any) -> Any:
    """A request of one row."""
    calls_lists = {
        "FP64": "fp64_contents",
        "FP32": "fp32_contents",
        "INT64": "int64_contents",
        "BYTES": "bytes_contents",
    }
    inputs, parts = [], []
    for name, value in row.items():
        datatype = DATATYPES[name]
        value = value.encode() if isinstance(value, str) else value
        contents = {} if raw else {"contents": {(calls_lists | _LISTS)[datatype]: [value]}}
        inputs.append({"name": name, "datatype": datatype, "shape": [1], **contents})
        number = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "INT32": "<i4", "BOOL": "?"}.get(datatype)
        data = len(value).to_bytes(4, "little") + value if number is None else np.array([value], number).tobytes()
        parts.append(data)
    return ModelInferRequest(model_name="eta", inputs=inputs, raw_input_contents=parts if raw else [], **more)


def matrix(values: list[float], *, raw: bool, datatype: str = "FP32") -> Any:
    tensor = {"name": "model_inputs", "datatype": datatype, "shape": [1, len(values)], "data": values}
    with np.errstate(over="ignore"):
        return (calls.raw if raw else calls.by_lists)([tensor])


def check(lineup: Lineup, form: Form, data: bytes) -> bool:
    """Whether a request has a form; what it is understood as then must be what it is otherwise."""
    values = form.values(data)
    if values is None:
        return False
    request = ModelInferRequest.FromString(data)
    id_ = values.pop(0) if form.has_id else ""
    assert (form.model, form.version, id_) == (request.model_name, request.model_version, request.id)
    assert form.raw == (len(request.raw_input_contents) > 0)
    assert [one.name for one in request.outputs] in ([], list(form.wanted))
    by_form = told(lambda: form.asked(lineup, values))
    assert by_form in (None, told(lambda: asked_by_fields(lineup, request)))
    return True


@settings(max_examples=300, deadline=None)
@given(
    rows=st.tuples(ROWS, ROWS),
    names=st.permutations(list(DTYPES)).flatmap(lambda names: st.integers(1, 8).map(lambda n: names[:n])),
    ids=st.tuples(TEXTS, TEXTS),
    raw=st.booleans(),
    outputs=st.sampled_from([(), ("id",), ("version", "prediction")]),
)
def test_rows_of_one_form_are_understood_as_field_by_field(
    lineup: Lineup, rows: Any, names: list[str], ids: tuple[str, str], raw: bool, outputs: tuple[str, ...]
) -> None:
    more = {"outputs": [{"name": name} for name in outputs]}
    first, second = (
        message({name: row[name] for name in names}, raw=raw, id=id_, **more)
        for row, id_ in zip(rows, ids, strict=True)
    )
    form = Form(first, wanted=outputs)
    is_short = all(len(text.encode()) < 60 for text in [*ids, *(str(row[name]) for row in rows for name in names)])
    has_form = is_short and not (raw and "is_late" in names)
    assert check(lineup, form, first.SerializeToString()) or not has_form
    is_alike = bool(ids[0]) == bool(ids[1])
    assert check(lineup, form, second.SerializeToString()) or not (has_form and is_alike)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.tuples(*[st.lists(st.floats(width=32), min_size=3, max_size=3)] * 2),
    raw=st.booleans(),
    datatype=st.sampled_from(["FP32", "FP64"]),
)
def test_matrices_of_one_form_are_understood_as_field_by_field(
    lineup: Lineup, rows: Any, raw: bool, datatype: str
) -> None:
    first, second = (matrix(row, raw=raw, datatype=datatype) for row in rows)
    form = Form(first, wanted=())
    assert check(lineup, form, first.SerializeToString())
    assert check(lineup, form, second.SerializeToString())


@settings(max_examples=500, deadline=None)
@given(row=ROWS, raw=st.booleans(), seed=st.integers(0, 2**32), n_changes=st.integers(1, 4))
def test_wrong_bytes_are_never_taken_for_a_form(
    lineup: Lineup, row: dict[str, Any], raw: bool, seed: int, n_changes: int
) -> None:
    chance = random.Random(seed)
    sent = message({name: row[name] for name in ("wide", "seats", "origin", "few")}, raw=raw, id="mine")
    form, data = Form(sent, wanted=()), bytearray(sent.SerializeToString())
    for _ in range(n_changes):
        at = chance.randrange(len(data))
        data[at : at + chance.randint(0, 1)] = bytes([chance.randrange(256)] * chance.randint(0, 2))
    check(lineup, form, bytes(data))


@pytest.mark.parametrize("n_inputs", [2, 4])
def test_a_matrix_that_the_model_does_not_take_is_left_to_the_fields(lineup: Lineup, n_inputs: int) -> None:
    sent = matrix([1.0] * n_inputs, raw=True)
    form = Form(sent, wanted=())
    values = form.values(sent.SerializeToString())
    assert values is not None
    assert form.asked(lineup, values) is None


def test_what_has_parameters_leaves_no_form(lineup: Lineup) -> None:
    forms, sent = Forms(learnt=1), message({"seats": 1}, raw=True, parameters={"x": {"bool_param": True}})
    forms.learn(sent, sent.SerializeToString(), wanted=())
    assert forms.find(sent.SerializeToString()) is None


def test_few_forms_of_a_deployment_are_remembered_those_used_last() -> None:
    forms = Forms(learnt=1)
    sent = [message({name: 1}, raw=True) for name in ("wide", "narrow", "seats", "few")]
    for one in sent:
        forms.learn(one, one.SerializeToString(), wanted=())
    assert forms.find(sent[0].SerializeToString()) is not None
    other = message({"wide": 1, "seats": 1}, raw=True)
    forms.learn(other, other.SerializeToString(), wanted=())
    found = [forms.find(one.SerializeToString()) is not None for one in [*sent, other]]
    assert found == [True, False, True, True, True]


def test_calls_of_one_form_are_answered_and_recorded_alike(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    body = calls.frame(calls.by_lists(tensors([ROW])).SerializeToString())
    for _ in range(40):  # by then its form is known
        assert bench.caller.post(calls.INFER, body, **calls.HEADERS).status == 200
    first, *others = bench.records
    assert all(
        (one.entities, one.request, one.inputs) == (first.entities, first.request, first.inputs) for one in others
    )


def test_a_form_outlives_the_version_that_it_was_learnt_for(bench: Bench) -> None:
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    body = calls.frame(calls.raw(tensors([ROW])).SerializeToString())
    for _ in range(40):
        bench.caller.post(calls.INFER, body, **calls.HEADERS)
    bench.publish(arm(publish_bundle(bench.project.artifacts, bias=7.0), version=2), sequence=2)
    reply = bench.caller.post(calls.INFER, body, **calls.HEADERS)
    assert reply.json["model_version"] == "2"


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    assert wire.read_varint(wire.varint(number % 2**64)) == number


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\x01\x01", b"\xff" * 9 + b"\x02", b"\xff" * 20])
def test_what_is_no_shortest_number_is_none(data: bytes) -> None:
    assert wire.read_varint(data) is None


@pytest.mark.parametrize("raw", [True, False])
def test_each_length_that_lies_is_seen(lineup: Lineup, raw: bool) -> None:
    sent = message({"wide": 1.5, "seats": 7, "origin": "JFK"}, raw=raw, id="mine")
    form, data = Form(sent, wanted=()), sent.SerializeToString()
    for place in range(len(data)):
        for change in (1, -1):
            wrong = bytearray(data)
            wrong[place] = (wrong[place] + change) % 256
            check(lineup, form, bytes(wrong))
