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
from octavo.serving.asked import AskedColumns, AskedRows
from octavo.serving.blocks import BlockMaker, Made
from octavo.serving.columns import accept_all
from octavo.serving.functions import FunctionsHere
from octavo.serving.ids import IdMaker
from octavo.serving.inputs import InputBuilder
from octavo.serving.lineup import Assigned
from octavo.serving.lookup import FeatureLookup
from octavo.serving.requests import RequestDecoder
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


def by_columns(records: list[dict[str, Any]]) -> AskedColumns | None:
    """The request by columns; None where it would go through the rows' checks."""
    columns = {field.name: [record[field.name] for record in records] for field in FIELDS}
    accepted = accept_all(columns, DECODER.dtypes, required=DECODER.required)
    return None if accepted is None else AskedColumns(accepted, n_rows=len(records))


@settings(deadline=None)
@given(rows)
def test_what_passes_by_columns_is_given_to_the_model_and_kept_as_by_rows(records: list[dict[str, Any]]) -> None:
    asked = by_columns(records)
    if asked is None:
        return
    expected = AskedRows(DECODER.convert(records))
    one, other = BUILDER.build(asked, None), BUILDER.build(expected, None)
    np.testing.assert_array_equal(one.matrix, other.matrix)
    np.testing.assert_array_equal(one.statuses, other.statuses)
    for place, field in enumerate(FIELDS):
        assert asked.values(place) == expected.values(place)
        np.testing.assert_array_equal(asked.taken(place, field.dtype), expected.taken(place, field.dtype))


@settings(deadline=None)
@given(rows, st.data())
def test_a_record_tells_what_was_sent_and_what_the_model_was_given(records: list[dict[str, Any]], data: Any) -> None:
    asked = by_columns(records)
    if asked is None:
        return
    inputs, n_rows = BUILDER.build(asked, None), len(records)
    some = data.draw(st.none() | st.lists(st.integers(0, n_rows - 1), min_size=1, unique=True).map(sorted))
    rows = None if some is None else np.array(some)
    block = BlockMaker().block(
        asked,
        IdMaker().make(1, n_rows),
        served=SERVED,
        rows=rows,
        inputs=inputs,
        outputs=np.zeros(n_rows if some is None else len(some)),
        assigned=Assigned(),
        made=Made("d", 1, 1, "ann", ""),
    )
    told = rows_of([(0, msgspec.msgpack.encode(block))]).to_pylist()
    expected = inputs.matrix if rows is None else inputs.matrix[rows]
    given_to_it = np.frombuffer(b"".join(one["inputs"] for one in told), np.float32).reshape(expected.shape)
    np.testing.assert_array_equal(given_to_it, expected)
    sent = [dict(zip(DECODER.names, row, strict=True)) for row in DECODER.convert(records)]
    assert [json.loads(one["request"]) for one in told] == (sent if some is None else [sent[row] for row in some])


@given(st.lists(st.fixed_dictionaries({field.name: values for field in FIELDS}), min_size=1, max_size=3))
def test_nothing_passes_by_columns_that_is_refused_by_rows(records: list[dict[str, Any]]) -> None:
    if by_columns(records) is not None:
        assert len(DECODER.convert(records)) == len(records)
