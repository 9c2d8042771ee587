"""Conditions and measures in SQL and in Arrow against the oracle, for random ones over random events."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.definitions.aggregates import Operation
from octavo.definitions.conditions import (
    Comparison,
    Condition,
    Contains,
    IsNull,
    Joined,
    Not,
    OneOf,
    parse_condition,
)
from octavo.definitions.features import Feature
from octavo.definitions.measures import Measure, parse_measure
from octavo.features.events.payloads import column_schema
from octavo.features.measures import measure_sql, measured
from octavo.stores.duckdb import DuckDB
from tests.oracles.features import value_of

readings = oc.Source(
    "readings",
    event_time="at",
    schema={
        "at": oc.Timestamp,
        "amount": oc.Float64,
        "pieces": oc.Int64,
        "passed": oc.Bool,
        "remark": oc.String,
        "tags": oc.List(oc.String),
        "codes": oc.List(oc.Int64),
    },
)
SCHEMA = pa.schema([field for field in column_schema(readings) if field.name != "at"])
engine = DuckDB()
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.5, 0.1, 15.0, 2.0**53, 1e300])
TEXTS = st.sampled_from(["", "fine", "it's", 'a "b"', "é", "x if y else None", "a\\b\nc"])
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "amount": st.none() | NUMBERS,
            "pieces": st.none() | st.sampled_from([0, 1, -1, 15, 2**53 + 1, -(2**63)]),
            "passed": st.none() | st.booleans(),
            "remark": st.none() | TEXTS,
            "tags": st.none() | st.lists(TEXTS, max_size=3),
            "codes": st.none() | st.lists(st.sampled_from([0, 1, -1, 2**53 + 1]), max_size=3),
        }
    ),
    max_size=8,
)
SIGNS = ["==", "!=", "<", "<=", ">", ">="]


def compared(columns: list[str], constants: st.SearchStrategy[Any], signs: list[str]) -> st.SearchStrategy[Condition]:
    column = st.sampled_from(columns)
    several = st.lists(constants, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Comparison, column, st.sampled_from(signs), constants),
        st.builds(OneOf, column, several),
        st.builds(IsNull, column),
    )


LEAVES = st.one_of(
    compared(["amount", "pieces", "len(tags)", "len(codes)"], NUMBERS, SIGNS),
    compared(["remark"], TEXTS, SIGNS[:2]),
    compared(["passed"], st.booleans(), SIGNS[:2]),
    st.builds(Contains, st.just("tags"), TEXTS),
    st.builds(Contains, st.just("codes"), NUMBERS),
    st.builds(IsNull, st.sampled_from(["tags", "codes"])),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Joined, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
MEASURES = st.one_of(
    st.builds(Measure, column=st.sampled_from(["amount", "pieces", "passed", "len(tags)"]), where=CONDITIONS),
    st.builds(Measure, condition=CONDITIONS, where=st.none() | CONDITIONS),
    st.builds(Measure, where=CONDITIONS),
)


@given(CONDITIONS)
@settings(deadline=None)
def test_a_condition_is_read_as_it_was_written(condition: Condition) -> None:
    assert parse_condition(str(condition)) == condition


@given(MEASURES, EVENTS)
@settings(max_examples=400, deadline=None)
def test_measures_equal_those_of_the_oracle(measure: Measure, events: list[dict[str, Any]]) -> None:
    expected = [numeric(value_of(feature_of(measure), event)) for event in events]
    batch = pa.RecordBatch.from_pylist(events, schema=SCHEMA)
    np.testing.assert_array_equal(measured(str(measure), batch), np.array(expected, np.float64))
    sql = f"SELECT ({measure_sql(str(measure), readings)})::DOUBLE AS measure FROM events"
    found = engine.select(sql, relations={"events": pa.Table.from_batches([batch])}, parameters=None)
    np.testing.assert_array_equal(found.column("measure").to_numpy(), np.array(expected, np.float64))


@given(MEASURES)
@settings(deadline=None)
def test_a_measure_is_read_as_it_was_written(measure: Measure) -> None:
    assert str(parse_measure(str(measure))) == str(measure)


@given(MEASURES, EVENTS, st.sampled_from(SCHEMA.names))
@settings(max_examples=100, deadline=None)
def test_a_column_that_events_do_not_have_is_null(measure: Measure, events: list[dict[str, Any]], gone: str) -> None:
    without = [{name: value for name, value in event.items() if name != gone} for event in events]
    batch = pa.RecordBatch.from_pylist(without, schema=SCHEMA.remove(SCHEMA.get_field_index(gone)))
    expected = [numeric(value_of(feature_of(measure), event)) for event in without]
    np.testing.assert_array_equal(measured(str(measure), batch), np.array(expected, np.float64))


def feature_of(measure: Measure) -> Feature:
    return Feature(
        name="f",
        operation=Operation.MEAN,
        column=measure.column,
        condition=None if measure.condition is None else str(measure.condition),
        where=None if measure.where is None else str(measure.where),
    )


def numeric(value: Any) -> float:
    return np.nan if value is None else float(value)
