"""From a request's rows to the model's matrix: looked up, computed and sent values, each with its status and age."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.clock import to_micros
from octavo.definitions.features import OnDemand
from octavo.definitions.order import in_order
from octavo.definitions.plans import LookupPlan
from octavo.definitions.types import DType
from octavo.errors import OctavoError
from octavo.features.defaults import Defaults
from octavo.features.functions import as_taken, compute
from octavo.features.online.reader import OnlineReader
from octavo.features.values import FeatureStatus, OnlineValues, float32
from octavo.serving.answers import StatusWords
from octavo.serving.requests import Row

log = logging.getLogger(__name__)

_MISSING = np.uint8(FeatureStatus.MISSING)
_NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The model's matrix for some rows, and where its values come from.

    Attributes
    ----------
    matrix : ndarray, shape (n_rows, n_inputs), float32
    status : ndarray, shape (n_rows, n_inputs), uint8
        `FeatureStatus`.
    ages_s : ndarray, shape (n_rows, n_inputs), float32
        NaN for what has no age.
    degraded : bool
        Whether the online store could not be read, or lacks a view, so that values stand in.
    """

    matrix: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]
    ages_s: npt.NDArray[np.float32]
    degraded: bool


def as_given(matrix: npt.NDArray[np.float32]) -> Inputs:
    """A matrix that the caller sent instead of rows: what is there is present, NaN is missing, nothing stands in."""
    return Inputs(
        matrix=matrix,
        status=np.isnan(matrix) * _MISSING,
        ages_s=np.full(matrix.shape, np.nan, np.float32),
        degraded=False,
    )


class InputBuilder:
    """Builds the matrix of one lookup plan.

    Parameters
    ----------
    plan : LookupPlan
    functions : tuple of OnDemand
        The plan's on-demand features, in its order.
    reader : OnlineReader
        Of the plan's views.
    names : tuple of str
        The fields of a row, in order; those of the plan are among them.
    """

    def __init__(
        self, plan: LookupPlan, *, functions: tuple[OnDemand, ...], reader: OnlineReader, names: tuple[str, ...]
    ) -> None:
        place = {name: names.index(name) for name in (field.name for field in plan.fields)}
        dtypes = {field.name: field.dtype for field in plan.fields}
        self.plan = plan
        self.words = StatusWords(plan.inputs)
        self._functions = functions
        self._reader = reader
        keys = dict.fromkeys(key for view in plan.views for key in view.entity_keys)
        self._keys = tuple((key, place[key]) for key in keys)
        self._first = sum(len(view.features) for view in plan.views)
        taken = dict.fromkeys(name for function in functions for name in function.inputs)
        self._taken = tuple((name, place[name], dtypes[name]) for name in taken if name in place)
        self._taken_features = tuple(
            (name, column) for column, name in enumerate(plan.inputs[: self._first]) if name in taken
        )
        self._in_order = in_order(functions)
        self._defaults = Defaults(plan.defaults[self._first :])
        sent = self._first + len(functions)
        self._sent = tuple((column, place[name]) for column, name in enumerate(plan.inputs[sent:], start=sent))
        self._requested = tuple((name, at, dtypes[name]) for name, at in place.items() if name not in keys)

    def entities(self, row: Row) -> dict[str, Any]:
        """A row's entity keys by column, without those that are null."""
        return {key: row[place] for key, place in self._keys if row[place] is not None}

    def request(self, row: Row) -> dict[str, Any]:
        """A row's other fields, as they are recorded."""
        return {
            name: row[place].isoformat() if dtype is DType.TIMESTAMP and row[place] is not None else row[place]  # type: ignore[union-attr]  # a timestamp is a datetime
            for name, place, dtype in self._requested
        }

    def build(self, rows: Sequence[Row], *, entities: Sequence[Mapping[str, object]], at_us: int) -> Inputs:
        """The matrix of rows at a moment.

        Raises
        ------
        PredictionFailed
            If an on-demand feature fails.
        """
        looked_up, degraded = self._look_up(entities, at_us=at_us)
        shape, first = (len(rows), len(self.plan.inputs)), self._first
        matrix, status, ages_s = np.empty(shape, np.float32), np.empty(shape, np.uint8), np.empty(shape, np.float32)
        matrix[:, :first], status[:, :first], ages_s[:, :first] = looked_up.values, looked_up.status, looked_up.ages_s
        if self._functions:
            columns = {name: _column([row[place] for row in rows], dtype) for name, place, dtype in self._taken}
            columns |= {name: _known(looked_up, column) for name, column in self._taken_features}
            values = compute(self._in_order, columns, n_rows=len(rows))
            for column, function in enumerate(self._functions, start=first):
                matrix[:, column] = float32(values[function.name])
        for column, place in self._sent:
            matrix[:, column] = np.array([row[place] for row in rows], np.float64)
        status[:, first:] = np.isnan(matrix[:, first:]) * _MISSING
        self._defaults.stand_in(matrix[:, first:], status[:, first:])
        ages_s[:, first:] = np.nan
        return Inputs(matrix=matrix, status=status, ages_s=ages_s, degraded=degraded)

    def _look_up(self, entities: Sequence[Mapping[str, object]], *, at_us: int) -> tuple[OnlineValues, bool]:
        try:
            return self._reader.read(entities, at_us=at_us), not self._reader.is_complete
        except OctavoError as error:
            log.warning("features could not be looked up", extra={"model": self.plan.model, "reason": error.message})
            return self._reader.unread(len(entities)), True


def _known(looked_up: OnlineValues, column: int) -> npt.NDArray[np.float64]:
    """One feature of all rows, as on-demand features take it: without what only stands in."""
    stands_in = looked_up.status[:, column] >= FeatureStatus.DEFAULT
    return as_taken(np.where(stands_in, np.nan, looked_up.values[:, column]))


def _column(values: Sequence[Any], dtype: DType) -> npt.NDArray[Any]:
    """One request field of all rows, as on-demand features take it."""
    if dtype is DType.TIMESTAMP:
        micros = [_NO_TIME if value is None else to_micros(value) for value in values]
        return np.array(micros, np.int64).view("datetime64[us]")
    if dtype is DType.STRING:
        column = np.empty(len(values), object)
        column[:] = values
        return column
    if dtype is DType.FLOAT64 or None in values:
        return np.array(values, np.float64)
    return np.array(values, np.int64 if dtype is DType.INT64 else np.bool_)
