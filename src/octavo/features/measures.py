"""What aggregates take of events (`octavo.definitions.measures`): in SQL for the past, in Arrow as events come."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from octavo.definitions.conditions import (
    Comparison,
    Condition,
    Constant,
    Contains,
    IsNull,
    Joined,
    Not,
    OneOf,
    parse_condition,
)
from octavo.definitions.lists import column_in, list_in
from octavo.definitions.measures import parse_measure
from octavo.definitions.sources import Source
from octavo.features.distinct import hash_sql, hashes_of
from octavo.features.offline.sql import quoted

_ARROW = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_SQL = {"==": "=", "!=": "<>"}


def measure_sql(text: str, source: Source) -> str:
    """A measure as an expression over the columns of a source's table: a DOUBLE, or a value that is only counted."""
    measure = parse_measure(text)
    if measure.condition is not None:
        number = f"({_condition_sql(measure.condition)})::DOUBLE"
    elif measure.is_hashed and measure.column is not None:
        number = hash_sql(f"{_operand_sql(measure.column)}::VARCHAR")
    elif measure.column is not None:
        number = _operand_sql(measure.column) + ("::DOUBLE" if source.dtype(measure.column).is_numeric else "")
    else:
        number = "1.0::DOUBLE"
    return number if measure.where is None else f"CASE WHEN {_condition_sql(measure.where)} THEN {number} END"


def measured(text: str, events: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """A measure of each event, NaN for null. A column that events lack is null, and what is no number counts as 1."""
    measure = parse_measure(text)
    if measure.condition is not None:
        values = _numbers(_holds(measure.condition, events))
    elif measure.is_hashed and measure.column is not None:
        values = hashes_of(_column(events, measure.column, pa.string()).cast(pa.string()).to_pylist())
    elif measure.column is not None:
        values = _numbers(_column(events, measure.column, pa.float64()))
    else:
        values = np.ones(events.num_rows)
    if measure.where is None:
        return values
    return np.where(_holds(measure.where, events).fill_null(False).to_numpy(zero_copy_only=False), values, np.nan)


def vectors_of(text: str, events: pa.RecordBatch, *, length: int) -> npt.NDArray[np.float64]:
    """A measure that is a vector, of each event; NaN for null, and for one of another length.

    Returns
    -------
    ndarray, shape (n_events, length), float64
    """
    measure = parse_measure(text)
    assert measure.column is not None, "a vector is a column's"
    vectors = np.full((events.num_rows, length), np.nan)
    column = _column(events, measure.column, pa.list_(pa.float64()))
    if not (pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)):
        return vectors
    fits = pc.equal(pc.list_value_length(column), length)
    if measure.where is not None:
        fits = pc.and_(fits, _holds(measure.where, events))
    fits = fits.fill_null(False)
    numbers = pc.list_flatten(column.filter(fits)).to_numpy(zero_copy_only=False)
    vectors[fits.to_numpy(zero_copy_only=False)] = numbers.reshape(-1, length)
    return vectors


def rows_where(text: str, events: pa.RecordBatch | pa.Table) -> npt.NDArray[np.bool_]:
    """For which rows a condition holds; not where that is unknown."""
    batches = events.combine_chunks().to_batches() if isinstance(events, pa.Table) else [events]
    held = [_holds(parse_condition(text), one).fill_null(False).to_numpy(zero_copy_only=False) for one in batches]
    return np.concatenate([np.empty(0, np.bool_), *held])


def _condition_sql(condition: Condition) -> str:
    match condition:
        case Comparison():
            compared = _column_sql(condition.column, condition.constant)
            return f"{compared} {_SQL.get(condition.sign, condition.sign)} {_constant_sql(condition.constant)}"
        case OneOf():
            equal = (Comparison(condition.column, "==", constant) for constant in condition.constants)
            return f"({' OR '.join(map(_condition_sql, equal))})"
        case Contains():
            values = quoted(condition.column) + ("::DOUBLE[]" if isinstance(condition.constant, float) else "")
            return f"list_contains({values}, {_constant_sql(condition.constant)})"
        case IsNull():
            return f"{_operand_sql(condition.column)} IS NULL"
        case Not():
            return f"NOT ({_condition_sql(condition.condition)})"
        case Joined():
            return f"({f' {condition.word} '.join(map(_condition_sql, condition.conditions))})"


def _column_sql(column: str, constant: Constant) -> str:
    return f"{_operand_sql(column)}::DOUBLE" if isinstance(constant, float) else quoted(column)


def _operand_sql(operand: str) -> str:
    counted = list_in(operand)
    return f"len({quoted(counted)})" if counted else quoted(operand)


def _constant_sql(constant: Constant) -> str:
    if isinstance(constant, bool):
        return "true" if constant else "false"
    if isinstance(constant, str):
        return "'" + constant.replace("'", "''") + "'"
    return f"CAST('{constant!r}' AS DOUBLE)"


def _holds(condition: Condition, events: pa.RecordBatch) -> pa.BooleanArray:
    """Whether a condition holds for each event; null where that is unknown."""
    match condition:
        case Comparison():
            scalar = pa.scalar(condition.constant)
            column = _column(events, condition.column, scalar.type)
            return _ARROW[condition.sign](column.cast(scalar.type, safe=False), scalar)
        case OneOf():
            equal = tuple(Comparison(condition.column, "==", constant) for constant in condition.constants)
            return _holds(Joined("or", equal), events)
        case Contains():
            return _contains(_column(events, condition.column, pa.null()), condition.constant)
        case IsNull():
            return _column(events, condition.column, pa.null()).is_null()
        case Not():
            return pc.invert(_holds(condition.condition, events))
        case Joined():
            join = pc.and_kleene if condition.word == "and" else pc.or_kleene
            first, *others = (_holds(one, events) for one in condition.conditions)
            for other in others:
                first = join(first, other)
            return first


def _contains(lists: pa.Array, constant: Constant) -> pa.BooleanArray:
    """Whether a value is in each list; null for no list."""
    if not pa.types.is_list(lists.type):
        return pa.nulls(len(lists), pa.bool_())
    scalar = pa.scalar(constant)
    equal = pc.equal(pc.list_flatten(lists).cast(scalar.type, safe=False), scalar).to_numpy(zero_copy_only=False)
    found = np.zeros(len(lists), np.bool_)
    found[pc.list_parent_indices(lists).to_numpy()[equal]] = True
    return pa.array(found, mask=lists.is_null().to_numpy(zero_copy_only=False))


def _column(events: pa.RecordBatch, operand: str, kind: pa.DataType) -> pa.Array:
    """A column or the lengths of one of lists, or nulls of a type where the events do not have it."""
    name = column_in(operand)
    if name not in events.schema.names:
        return pa.nulls(events.num_rows, kind)
    column = events.column(name)
    if name == operand:
        return column
    return pc.list_value_length(column) if pa.types.is_list(column.type) else pa.nulls(len(column), kind)


def _numbers(column: pa.Array) -> npt.NDArray[np.float64]:
    """A column as float64, NaN for null; what is no number counts as 1."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        found: npt.NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
        return found
    is_bool = pa.types.is_boolean(column.type)
    return _numbers(column.cast(pa.int8()) if is_bool else pc.if_else(column.is_valid(), 1.0, None))
