"""From a request's rows to the model's matrix."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import octavo as oc
from octavo.definitions.features import OnDemand
from octavo.definitions.models import Task
from octavo.definitions.plans import LookupPlan, PlannedField, PlannedFunction
from octavo.definitions.types import DType
from octavo.errors import PredictionFailed
from octavo.features.values import FeatureStatus
from octavo.serving.asked import AskedRows
from octavo.serving.functions import FunctionsHere
from octavo.serving.inputs import InputBuilder, Inputs
from octavo.serving.lookup import FeatureLookup
from octavo.stores.inline import InlineReader
from octavo.stores.memory import MemoryOnlineStore

Array = npt.NDArray[Any]
TYPES = {"number": DType.FLOAT64, "whole": DType.INT64, "flag": DType.BOOL, "text": DType.STRING, "at": DType.TIMESTAMP}
FIELDS = tuple(PlannedField(name=name, dtype=dtype, required=False) for name, dtype in TYPES.items())
PRESENT, MISSING = FeatureStatus.PRESENT, FeatureStatus.MISSING


def build(*rows: tuple[Any, ...], functions: tuple[OnDemand, ...] = ()) -> Inputs:
    """The inputs that a model with these functions gets of rows of `FIELDS`."""
    plan = LookupPlan(
        model="m",
        task=Task.REGRESSION,
        inputs=(*(function.name for function in functions), "number", "whole", "flag"),
        fields=FIELDS,
        views=(),
        functions=tuple(PlannedFunction(name=f.name, inputs=f.inputs) for f in functions),
    )
    lookup = FeatureLookup.of_plan(InlineReader(MemoryOnlineStore()), plan)
    builder = InputBuilder(plan, functions=FunctionsHere(functions), lookup=lookup, names=tuple(TYPES))
    asked = AskedRows(rows)
    return builder.build(asked, None, asyncio.run(builder.compute(asked, None)))


def test_sent_values_are_numbers_of_float32_and_null_is_missing() -> None:
    made = build((0.1, 2**53 + 1, True, "x", None), (None, None, None, None, None))
    assert made.matrix.dtype == np.float32
    np.testing.assert_array_equal(made.matrix, np.array([[0.1, 2**53, 1], [np.nan] * 3], np.float32))
    assert made.statuses.tolist() == [[PRESENT] * 3, [MISSING] * 3]
    assert made.ages_s is None


@pytest.mark.parametrize(
    ("name", "values", "kind", "seen"),
    [
        ("number", [0.1, None], "f", [0.1, np.nan]),
        ("whole", [2**63 - 1, 3], "i", [2**63 - 1, 3]),
        ("whole", [7, None], "f", [7.0, np.nan]),
        ("flag", [True, False], "b", [True, False]),
        ("flag", [True, None], "f", [1.0, np.nan]),
        ("text", ["é", None], "O", ["é", None]),
    ],
)
def test_a_function_gets_columns_as_it_does_offline(name: str, values: list[Any], kind: str, seen: list[Any]) -> None:
    got: list[Array] = []

    def spy(column: Array) -> Array:
        got.append(column)
        return np.zeros(len(column))

    function = OnDemand(name="spied", inputs=(name,), function=spy)
    build(*[tuple(value if name == field else None for field in TYPES) for value in values], functions=(function,))
    assert got[0].dtype.kind == kind
    np.testing.assert_array_equal(got[0], np.array(seen, got[0].dtype))


def test_times_are_instants_in_utc_whatever_zone_they_came_in() -> None:
    @oc.on_demand
    def hour(at: Array) -> Array:
        assert at.dtype == np.dtype("datetime64[us]")
        hours: Array = (at.astype("datetime64[h]") - at.astype("datetime64[D]")).astype(float)
        return np.where(np.isnat(at), np.nan, hours)

    at = datetime(2013, 7, 1, 23, 30, tzinfo=UTC)
    rows = [(None, None, None, None, moment) for moment in (at, at.astimezone(timezone(timedelta(hours=-5))), None)]
    assert build(*rows, functions=(hour,)).matrix[:, 0].tolist()[:2] == [23, 23]
    assert build(*rows, functions=(hour,)).statuses[:, 0].tolist() == [PRESENT, PRESENT, MISSING]


def test_what_a_function_cannot_say_is_missing_and_what_is_too_large_is_infinite() -> None:
    @oc.on_demand
    def odd(number: Array) -> Array:
        return np.array([np.inf, np.nan, 1e300, 5.0])

    made = build(*[(1.0, 1, True, "x", None)] * 4, functions=(odd,))
    np.testing.assert_array_equal(made.matrix[:, 0], [np.nan, np.nan, np.inf, 5])
    assert made.statuses[:, 0].tolist() == [MISSING, MISSING, PRESENT, PRESENT]


@pytest.mark.parametrize("wrong", [lambda number: 1.0, lambda number: number[:1], lambda number: ["a", "b"]])
def test_a_function_that_gives_no_number_per_row_fails_by_its_name(wrong: Callable[..., Any]) -> None:
    function = OnDemand(name="wrong", inputs=("number",), function=wrong)
    with pytest.raises(PredictionFailed, match="on-demand feature 'wrong'"):
        build(*[(1.0, 1, True, "x", None)] * 2, functions=(function,))


def test_many_rows_make_what_each_alone_would_make() -> None:
    fields = (
        PlannedField(name="city", dtype=DType.CATEGORY, required=False, categories=("london", "paris")),
        PlannedField(name="number", dtype=DType.FLOAT64, required=True),
    )
    plan = LookupPlan(model="m", task=Task.REGRESSION, inputs=("number", "city"), fields=fields, views=(), functions=())
    lookup = FeatureLookup.of_plan(InlineReader(MemoryOnlineStore()), plan)
    builder = InputBuilder(plan, functions=FunctionsHere(()), lookup=lookup, names=("city", "number"))
    rows = [(("london", "paris", "rome", None)[place % 4], place / 3) for place in range(12)]
    alone = [builder.build(AskedRows([row]), None) for row in rows]
    made = builder.build(AskedRows(rows), None)
    np.testing.assert_array_equal(made.matrix, np.concatenate([one.matrix for one in alone]))
    assert made.statuses.tolist() == [one.statuses[0].tolist() for one in alone]
