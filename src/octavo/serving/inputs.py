"""From a request to the model's matrix: looked up, computed and sent values, each with its status and age."""

import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from octavo.definitions.features import OnDemand
from octavo.definitions.order import in_order
from octavo.definitions.plans import LookupPlan
from octavo.definitions.types import DType
from octavo.features.defaults import Defaults
from octavo.features.functions import as_taken, compute
from octavo.features.values import FeatureStatus, OnlineValues, float32
from octavo.serving.answers import StatusWords
from octavo.serving.asked import Asked, AskedColumns, AskedRows
from octavo.serving.lookup import FeatureLookup, LookedUp
from octavo.serving.requests import Row

_MISSING = np.uint8(FeatureStatus.MISSING)
_UNKNOWN = -1.0

Floats = npt.NDArray[np.float32]
Vocabulary = dict[str | None, float | None]


class Inputs(NamedTuple):
    """The model's matrix for some rows, and where its values come from.

    Attributes
    ----------
    matrix : ndarray, shape (n_rows, n_inputs), float32
    status : ndarray, shape (n_rows, n_inputs), uint8, or None
        `FeatureStatus`; None where all values are present.
    ages_s : ndarray, shape (n_rows, n_inputs), float32, or None
        NaN for what has no age; None where nothing has one.
    """

    matrix: Floats
    status: npt.NDArray[np.uint8] | None = None
    ages_s: Floats | None = None

    @property
    def statuses(self) -> npt.NDArray[np.uint8]:
        """Of all values, shape (n_rows, n_inputs)."""
        return np.zeros(self.matrix.shape, np.uint8) if self.status is None else self.status


class InputBuilder:
    """Builds the matrix of one lookup plan.

    Parameters
    ----------
    plan : LookupPlan
    functions : tuple of OnDemand
        The plan's on-demand features, in its order.
    lookup : FeatureLookup
        Of the plan's views, with room for its other inputs.
    names : tuple of str
        The fields of a row, in order; those of the plan are among them.

    Attributes
    ----------
    keys, fields : dict of str to int
        The plan's entity keys and other fields, with their places in a row.
    times : tuple of int
        The places of instants.
    sent : dict of int to int
        The places of numbers that are inputs as they are sent, and their columns in the matrix.
    looks_up : bool
        Whether there are features to be looked up.
    """

    def __init__(
        self, plan: LookupPlan, *, functions: tuple[OnDemand, ...], lookup: FeatureLookup, names: tuple[str, ...]
    ) -> None:
        place = {name: names.index(name) for name in (field.name for field in plan.fields)}
        dtypes = {field.name: field.dtype for field in plan.fields}
        keys = dict.fromkeys(key for view in plan.views for key in view.entity_keys)
        self.plan = plan
        self.words = StatusWords(plan.inputs)
        self.keys = {key: place[key] for key in keys}
        self.fields = {name: at for name, at in place.items() if name not in keys}
        self.times = tuple(place[name] for name, dtype in dtypes.items() if dtype is DType.TIMESTAMP)
        self.looks_up = bool(plan.views)
        self._functions = functions
        self._lookup = lookup
        self._first = sum(len(view.features) for view in plan.views)
        taken = dict.fromkeys(name for function in functions for name in function.inputs)
        self._taken = tuple((name, place[name], dtypes[name]) for name in taken if name in place)
        self._taken_features = tuple(
            (name, column) for column, name in enumerate(plan.inputs[: self._first]) if name in taken
        )
        self._in_order = in_order(functions)
        self._defaults = Defaults(plan.defaults[self._first :])
        vocabularies = {field.name: _vocabulary(field.categories) for field in plan.fields if field.categories}
        sent = plan.inputs[self._first + len(functions) :]
        self.sent = {
            place[name]: column for column, name in enumerate(plan.inputs) if name in sent and name not in vocabularies
        }
        self._sent = _Sent([(place[name], vocabularies.get(name)) for name in sent], n_fields=len(names))

    async def look_up(self, asked: Asked, *, at_us: int) -> LookedUp | None:
        """The features of the plan's views for all rows; None if it has none."""
        if not self.looks_up:
            return None
        keys = {key: asked.values(place) for key, place in self.keys.items()}
        return await self._lookup.read(keys, n_rows=asked.n_rows, at_us=at_us)

    def build(self, asked: Asked, looked_up: LookedUp | None) -> Inputs:
        """The matrix of some rows.

        Parameters
        ----------
        looked_up : LookedUp or None
            What `look_up` found for these very rows; its arrays become those of the inputs where they have room.

        Raises
        ------
        PredictionFailed
            If an on-demand feature fails.
        """
        if asked.matrix is not None:
            return _as_given(asked.matrix)
        if looked_up is None and not self._functions:
            return self._only_sent(asked)
        first = self._first
        matrix, status, ages_s = self._begun(asked.n_rows, looked_up)
        self._compute(matrix, asked, looked_up)
        matrix[:, first + len(self._functions) :] = self._sent.matrix(asked)
        if self._functions or not self._sent.is_whole:
            rest = np.isnan(matrix[:, first:])
            if rest.any():
                status[:, first:] = rest * _MISSING
                self._defaults.stand_in(matrix[:, first:], status[:, first:])
        return Inputs(matrix, status if np.count_nonzero(status) else None, None if looked_up is None else ages_s)

    def _begun(self, n_rows: int, looked_up: LookedUp | None) -> OnlineValues:
        """Arrays of all inputs, of which those that are looked up are filled."""
        shape, values = (n_rows, len(self.plan.inputs)), None if looked_up is None else looked_up.values
        if values is not None and values.values.shape == shape:
            return values
        begun = OnlineValues(np.empty(shape, np.float32), np.zeros(shape, np.uint8), np.full(shape, np.nan, np.float32))
        if values is not None:
            first = self._first
            begun.values[:, :first], begun.status[:, :first], begun.ages_s[:, :first] = values
        return begun

    def _only_sent(self, asked: Asked) -> Inputs:
        matrix = self._sent.matrix(asked)
        if self._sent.is_whole:
            return Inputs(matrix)
        missing = np.isnan(matrix)
        if not missing.any():
            return Inputs(matrix)
        status = missing * _MISSING
        self._defaults.stand_in(matrix, status)
        return Inputs(matrix, status)

    def _compute(self, matrix: Floats, asked: Asked, looked_up: LookedUp | None) -> None:
        """Put the values of the functions into the matrix."""
        if not self._functions:
            return
        columns = {name: asked.taken(place, dtype) for name, place, dtype in self._taken}
        if looked_up is not None:
            columns |= {name: _known(looked_up.values, column) for name, column in self._taken_features}
        values = compute(self._in_order, columns, n_rows=asked.n_rows)
        for column, function in enumerate(self._functions, start=self._first):
            matrix[:, column] = float32(values[function.name])


class _Sent:
    """The part of the matrix that is sent.

    Parameters
    ----------
    columns : sequence of (int, Vocabulary or None)
        Of each column the field's place in a row, and the places of its categories if it is one.

    Attributes
    ----------
    is_whole : bool
        Whether the matrix that was made last holds nothing missing for certain.
    """

    def __init__(self, columns: Sequence[tuple[int, Vocabulary | None]], *, n_fields: int) -> None:
        self.is_whole = False
        self._columns = columns
        self._categories = [(column, known) for column, (_, known) in enumerate(columns) if known is not None]
        places = [place for place, _ in columns]
        self._pick = _picker(places, n_fields=n_fields)
        self._pack = struct.Struct(f"<{len(columns)}f").pack

    def matrix(self, asked: Asked) -> Floats:
        """Of some rows, shape (n_rows, n_columns); NaN is missing. Not to be changed if it is whole."""
        self.is_whole = False
        if isinstance(asked, AskedRows):
            return self._of_rows(asked.rows)
        matrix = np.empty((len(self._columns), asked.n_rows), np.float32)
        for column, (place, known) in enumerate(self._columns):
            matrix[column] = self._of_column(asked, place, known)
        return np.ascontiguousarray(matrix.T)

    def _of_rows(self, rows: Sequence[Row]) -> Floats:
        pick, pack, categories = self._pick, self._pack, self._categories
        picked = map(pick, rows)
        if categories:
            picked = map(self._with_places, picked)
        try:
            packed = b"".join([pack(*row) for row in picked])
        except struct.error:  # something is null
            return float32(np.array([self._with_places(pick(row)) for row in rows], np.float64)).reshape(len(rows), -1)
        self.is_whole = True
        return np.frombuffer(packed, np.float32).reshape(len(rows), len(self._columns))

    def _with_places(self, values: Sequence[Any]) -> list[Any]:
        numbers = list(values)
        for column, known in self._categories:
            numbers[column] = known.get(numbers[column], _UNKNOWN)
        return numbers

    def _of_column(self, asked: Asked, place: int, known: Vocabulary | None) -> Any:
        column = asked.columns[place] if isinstance(asked, AskedColumns) else None
        return np.nan if column is None else column.numbers(known)


def _picker(places: Sequence[int], *, n_fields: int) -> Callable[[Row], Sequence[Any]]:
    if list(places) == list(range(n_fields)):
        return lambda row: row
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: [row[place] for place in places]


def _vocabulary(categories: Sequence[str]) -> Vocabulary:
    return {None: None, **{category: float(place) for place, category in enumerate(categories)}}


def _as_given(matrix: Floats) -> Inputs:
    """A matrix that the caller sent instead of rows: what is there is present, NaN is missing, nothing stands in."""
    missing = np.isnan(matrix)
    return Inputs(matrix, missing * _MISSING if missing.any() else None)


def _known(looked_up: OnlineValues, column: int) -> npt.NDArray[np.float64]:
    """One feature of all rows, as on-demand features take it: without what only stands in."""
    stands_in = looked_up.status[:, column] >= FeatureStatus.DEFAULT
    return as_taken(np.where(stands_in, np.nan, looked_up.values[:, column]))
