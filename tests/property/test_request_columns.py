"""A request by columns is the request by rows: accepted, refused, given to the model and recorded alike."""

import json
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.definitions.models import Task
from octavo.definitions.plans import LookupPlan, PlannedField
from octavo.definitions.types import DType
from octavo.monitoring.prediction_log import rows_of
from octavo.serving.asked import Asked, AskedColumns, AskedRows
from octavo.serving.blocks import BlockMaker, Made
from octavo.serving.columns import accept_all
from octavo.serving.functions import FunctionsHere
from octavo.serving.ids import ID_BYTES, Run
from octavo.serving.inputs import Floats, InputBuilder
from octavo.serving.lineup import Assigned
from octavo.serving.lookup import FeatureLookup
from octavo.serving.records import BlockHead, PredictionBlock
from octavo.serving.requests import RequestDecoder
from octavo.serving.transposed import asked_by_rows
from octavo.stores.inline import InlineReader
from octavo.stores.memory import MemoryOnlineStore

FIELDS = (
    PlannedField(name="number", dtype=DType.FLOAT64, required=False),
    PlannedField(name="whole", dtype=DType.INT64, required=True),
    PlannedField(name="flag", dtype=DType.BOOL, required=False),
    PlannedField(name="city", dtype=DType.CATEGORY, required=False, categories=("Berlin", "Łódź", "")),
    PlannedField(name="text", dtype=DType.STRING, required=False),
)
PLAN = LookupPlan(
    model="m",
    task=Task.REGRESSION,
    inputs=("number", "whole", "flag", "city"),
    fields=FIELDS,
    views=(),
    functions=(),
)
DECODER = RequestDecoder(FIELDS, max_rows=100)
BUILDER = InputBuilder(
    PLAN,
    functions=FunctionsHere(),
    lookup=FeatureLookup.of_plan(InlineReader(MemoryOnlineStore()), PLAN),
    names=DECODER.names,
)


class _Served:
    """As much of an arm as a record tells of."""

    arm = SimpleNamespace(model="m", version=1, digest="sha256:0", role="live")
    builder = BUILDER


SERVED: Any = _Served()
values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.sampled_from(["Berlin", "Łódź", "", "Paris", "x" * 1025]),
    st.none(),
)
fitting = {
    "number": st.none() | st.floats(-3e38, 3e38) | st.integers(-(2**63), 2**63 - 1),
    "whole": st.integers(-(2**63), 2**63 - 1),
    "flag": st.none() | st.booleans(),
    "city": st.none() | st.sampled_from(["Berlin", "Łódź", "", "Paris"]),
    "text": st.none() | st.text(max_size=5),
}
rows = st.lists(st.fixed_dictionaries(fitting), min_size=1, max_size=20)
required = {field.name: fitting[field.name] for field in FIELDS if field.required}
optional = {name: values for name, values in fitting.items() if name not in required}


def by_columns(records: list[dict[str, Any]]) -> AskedColumns | None:
    """The request by columns; None where it would go through the rows' checks."""
    columns = {field.name: [record[field.name] for record in records] for field in FIELDS}
    accepted = accept_all(columns, DECODER.dtypes, required=DECODER.required)
    return None if accepted is None else AskedColumns(accepted, n_rows=len(records))


def by_long_body(records: list[dict[str, Any]]) -> AskedRows | AskedColumns:
    """The rows of a body that is so long that they are made columns, if they can be."""
    return asked_by_rows(DECODER, msgspec.json.encode({"rows": records}) + b" " * 100_000)


@settings(deadline=None)
@given(rows)
def test_what_passes_by_columns_is_given_to_the_model_and_kept_as_by_rows(records: list[dict[str, Any]]) -> None:
    asked = by_columns(records)
    if asked is not None:
        check_equal(asked, AskedRows(DECODER.convert(records)))


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries(required, optional=optional), min_size=1, max_size=20))
def test_many_rows_are_columns_that_say_the_same(records: list[dict[str, Any]]) -> None:
    check_equal(by_long_body(records), AskedRows(DECODER.convert(records)))


def test_rows_become_columns_where_they_are_many_and_arrays_can_hold_them() -> None:
    record = {"number": None, "whole": 2**63 - 1, "flag": True, "city": "Rome", "text": None}
    assert isinstance(by_long_body([record] * 9), AskedColumns)
    assert isinstance(by_long_body([record] * 8), AskedRows)
    assert isinstance(by_long_body([record] * 9 + [{**record, "flag": None}]), AskedRows)


def check_equal(asked: Asked, expected: AskedRows) -> None:
    one, other = BUILDER.build(asked, None), BUILDER.build(expected, None)
    np.testing.assert_array_equal(one.matrix, other.matrix)
    np.testing.assert_array_equal(one.statuses, other.statuses)
    for place, field in enumerate(FIELDS):
        assert asked.values(place) == expected.values(place)
        np.testing.assert_array_equal(asked.taken(place, field.dtype), expected.taken(place, field.dtype))


@settings(deadline=None)
@given(rows, st.data())
def test_a_record_tells_what_was_sent_and_what_the_model_was_given(records: list[dict[str, Any]], data: Any) -> None:
    by_rows = AskedRows(DECODER.convert(records))
    asked = data.draw(st.sampled_from([by_rows, by_columns(records) or by_rows, by_long_body(records)]))
    inputs, n_rows = BUILDER.build(asked, None), len(records)
    some = data.draw(st.none() | st.lists(st.integers(0, n_rows - 1), min_size=1, unique=True).map(sorted))
    rows = None if some is None else np.array(some)
    ids = data.draw(st.binary(min_size=ID_BYTES, max_size=ID_BYTES).map(lambda first: Run(first, n_rows)))
    block = BlockMaker().block(
        asked,
        ids,
        served=SERVED,
        rows=rows,
        inputs=inputs,
        outputs=np.zeros(n_rows if some is None else len(some)),
        assigned=Assigned(),
        made=Made("d", 1, 1, "ann", ""),
    )
    table = rows_of([(0, msgspec.msgpack.encode(block))])
    told = table.to_pylist()
    expected = inputs.matrix if rows is None else inputs.matrix[rows]
    given_to_it = np.frombuffer(b"".join(one["inputs"] for one in told), np.float32).reshape(expected.shape)
    np.testing.assert_array_equal(given_to_it, expected)
    sent = [dict(zip(DECODER.names, row, strict=True)) for row in DECODER.convert(records)]
    chosen = range(n_rows) if some is None else some
    assert [json.loads(one["request"]) for one in told] == [sent[row] for row in chosen]
    assert [one["id"] for one in told] == [ids[row] for row in chosen]
    with_each_id = msgspec.structs.replace(block, ids=ids.data if rows is None else ids.chosen(rows))
    assert rows_of([(0, msgspec.msgpack.encode(with_each_id))]).equals(table)
    if block.rows is not None:
        assert block.is_short == (inputs.status is None)
        assert rows_of([(0, as_before(with_each_id, expected))]).equals(table)


def as_before(block: PredictionBlock, matrix: Floats) -> bytes:
    """A block of rows as predictors wrote it that kept all inputs beside them."""
    *head, _ = msgspec.structs.astuple(msgspec.msgpack.decode(block.head, type=BlockHead))
    whole = msgspec.structs.replace(block, head=msgspec.Raw(msgspec.msgpack.encode(head)), inputs=matrix.tobytes())
    tag, *fields, _ = msgspec.msgpack.decode(msgspec.msgpack.encode(whole))
    return msgspec.msgpack.encode([tag, *fields])


@given(st.lists(st.fixed_dictionaries({field.name: values for field in FIELDS}), min_size=1, max_size=3))
def test_nothing_passes_by_columns_that_is_refused_by_rows(records: list[dict[str, Any]]) -> None:
    if by_columns(records) is not None:
        assert len(DECODER.convert(records)) == len(records)
