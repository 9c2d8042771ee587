"""A model's inputs from the rows of its dataset: on-demand features too, all rounded as a predictor has them."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.definitions.features import OnDemand
from octavo.definitions.models import Model
from octavo.definitions.order import in_order
from octavo.errors import Conflict
from octavo.features.defaults import Defaults
from octavo.features.functions import as_taken, compute
from octavo.features.values import float32


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInputs:
    """What a model takes of each row, as plain data.

    Attributes
    ----------
    names : tuple of str
        The columns of its matrix, in their order.
    fields : tuple of str
        Its request fields.
    functions : mapping of on-demand feature to the digest of its code, in the order in which they are computed
    defaults : tuple of float or None
        What stands in for each of `names` where it is not known.
    above : float or None
        See `octavo.definitions.models.Label`.
    categories : tuple of str
        Those of `names` that are words.
    """

    model: str
    names: tuple[str, ...]
    fields: tuple[str, ...]
    functions: Mapping[str, str] = field(default_factory=dict)
    defaults: tuple[float | None, ...] = ()
    above: float | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputMatrix:
    """The inputs of some rows.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_inputs), float64
        Rounded to the float32 that a predictor has; NaN where a value is missing or stale and nothing stands in, and
        in every column of a category: the places of words are known when all rows are.
    stood_in : ndarray, shape (n_rows, n_inputs), bool
        Where a default stands in.
    """

    values: npt.NDArray[np.float64]
    stood_in: npt.NDArray[np.bool_]


def inputs_of(model: Model) -> ModelInputs:
    """What a model takes of each row."""
    return ModelInputs(
        model=model.name,
        names=model.input_names,
        fields=tuple(f.name for f in model.request_fields),
        functions={function.name: _digest(function) for function in model.on_demand},
        defaults=model.input_defaults,
        above=model.label.above,
        categories=model.category_names,
    )


def functions_of(inputs: ModelInputs, declared: Iterable[OnDemand]) -> tuple[OnDemand, ...]:
    """The on-demand features of a recipe, as they are declared now.

    Raises
    ------
    Conflict
        If one is no longer declared, or its code is another.
    """
    known = {(function.name, _digest(function)): function for function in declared}
    for name, digest in inputs.functions.items():
        if (name, digest) not in known:
            raise Conflict(
                f"on-demand feature {name!r} of model {inputs.model!r} is not what it was when the dataset was made; "
                "check out the project as it was then, and make it again there",
                feature=name,
            )
    return tuple(known[wanted] for wanted in inputs.functions.items())


def matrix_of(known: pa.Table, inputs: ModelInputs, functions: tuple[OnDemand, ...]) -> InputMatrix:
    """A model's inputs of each row.

    Parameters
    ----------
    known : pa.Table
        Request fields, and feature values without defaults.

    Raises
    ------
    PredictionFailed
        If an on-demand feature fails.
    """
    fields = {name: array_of(known.column(name)) for name in inputs.fields}
    named = {*fields, *inputs.functions}
    taken = [name for name in dict.fromkeys(n for f in functions for n in f.inputs) if name not in named]
    looked_up = {name: as_taken(array_of(known.column(name))) for name in taken}
    made = compute(in_order(functions), {**fields, **looked_up}, known.num_rows)
    computed: Mapping[str, npt.NDArray[Any]] = {**fields, **made}
    values = np.full((known.num_rows, len(inputs.names)), np.nan)
    for place, name in enumerate(inputs.names):
        if name in inputs.categories:
            continue
        values[:, place] = computed[name] if name in computed else array_of(known.column(name))
    stood_in = Defaults(inputs.defaults).fill(values)
    return InputMatrix(values=float32(values).astype(np.float64), stood_in=stood_in)


def with_inputs(known: pa.Table, inputs: ModelInputs, matrix: InputMatrix, *, label: str) -> pa.Table:
    """The rows with the label as it is learned, and behind what is no input a column for each: float64, or words."""
    columns = {name: known.column(name) for name in known.column_names if name not in inputs.names}
    truth = array_of(known.column(label))
    learned = truth if inputs.above is None else (truth > inputs.above).astype(np.float64)
    named = {
        name: known.column(name) if name in inputs.categories else matrix.values[:, place]
        for place, name in enumerate(inputs.names)
    }
    return pa.table(columns | {label: learned} | named)


def array_of(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column as on-demand features take it: nulls are NaN, NaT or None."""
    if column.null_count and (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type)):
        column = column.cast(pa.float64())
    array: npt.NDArray[Any] = column.to_numpy()
    return array


def _digest(function: OnDemand) -> str:
    return hashlib.sha256(function.source_code.encode()).hexdigest()[:16]
