"""From a request to the model's matrix: looked up, computed and sent values, each with its status and age."""

import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import LookupPlan
from octavo.definitions.types import DType
from octavo.features.defaults import Defaults
from octavo.features.functions import as_taken
from octavo.features.values import FeatureStatus, OnlineValues, float32
from octavo.serving.answers import StatusWords
from octavo.serving.asked import Asked, AskedColumns, AskedRows
from octavo.serving.columns import Grid, as_slice
from octavo.serving.functions import Columns, Functions, Values
from octavo.serving.lookup import FeatureLookup, LookedUp
from octavo.serving.requests import Row

_MISSING, _SENT = np.uint8(FeatureStatus.MISSING), np.uint8(FeatureStatus.SENT)
_STANDS_IN = (FeatureStatus.DEFAULT, FeatureStatus.UNREAD)
_UNKNOWN = -1.0
_REMEMBERED = 64

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
    functions : Functions
        The plan's on-demand features.
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
    others : slice or list of int
        The columns of the matrix that `sent` has not.
    looks_up, computes : bool
        Whether there are features to be looked up, and whether any are to be computed.
    """

    def __init__(
        self, plan: LookupPlan, *, functions: Functions, lookup: FeatureLookup, names: tuple[str, ...]
    ) -> None:
        place = {name: names.index(name) for name in (field.name for field in plan.fields)}
        dtypes = {field.name: field.dtype for field in plan.fields}
        keys = dict.fromkeys(key for view in plan.views for key in view.entity_keys)
        self.plan = plan
        self.words = StatusWords(plan.inputs)
        self.keys = {key: place[key] for key in keys}
        self.fields = {name: at for name, at in place.items() if name not in keys}
        self.times = tuple(place[name] for name, dtype in dtypes.items() if dtype is DType.TIMESTAMP)
        self.looks_up, self.computes = bool(plan.views), bool(plan.functions)
        self._functions = functions
        self._lookup = lookup
        self._first = sum(len(view.features) for view in plan.views)
        taken = dict.fromkeys(name for function in plan.functions for name in function.inputs)
        self._taken = tuple((name, place[name], dtypes[name]) for name in taken if name in place)
        self._taken_features = tuple(
            (name, column) for column, name in enumerate(plan.inputs[: self._first]) if name in taken
        )
        self._defaults = Defaults(plan.defaults[self._first :])
        vocabularies = {field.name: _vocabulary(field.categories) for field in plan.fields if field.categories}
        sent = plan.inputs[self._first + len(plan.functions) :]
        self.sent = {
            place[name]: column for column, name in enumerate(plan.inputs) if name in sent and name not in vocabularies
        }
        self.others = as_slice(sorted(set(range(len(plan.inputs))) - set(self.sent.values())))
        self._overrides = [(name, place[name], plan.inputs.index(name)) for name in plan.overrides]
        self._sent = _Sent([(place[name], vocabularies.get(name)) for name in sent])

    async def look_up(self, asked: Asked, *, at_us: int) -> LookedUp | None:
        """The features of the plan's views for all rows; None if it has none, or if its inputs were sent."""
        if not self.looks_up or asked.matrix is not None:
            return None
        keys = {key: asked.values(place) for key, place in self.keys.items()}
        looked_up = await self._lookup.read(keys, n_rows=asked.n_rows, at_us=at_us)
        return self._overridden(asked, looked_up) if self._overrides else looked_up

    def _overridden(self, asked: Asked, looked_up: LookedUp) -> LookedUp:
        """What was looked up, with what the request brought along in its place."""
        values, unread = looked_up.values, looked_up.unread
        for name, place, column in self._overrides:
            sent = np.array(asked.values(place), np.float64)  # NaN is not sent
            rows = ~np.isnan(sent)
            if rows.any():
                values.values[rows, column] = float32(sent[rows])
                values.status[rows, column], values.ages_s[rows, column] = _SENT, 0.0
            if rows.all():
                unread = tuple(one for one in unread if one != name)
        return looked_up._replace(unread=unread)

    async def compute(self, asked: Asked, looked_up: LookedUp | None) -> Values | None:
        """The values of the plan's functions for these rows; None if it has none.

        Raises
        ------
        PredictionFailed
            If one fails.
        Unavailable
            If their process does.
        """
        if not self.computes or asked.matrix is not None:
            return None
        return await self._functions.compute(self.taken(asked, looked_up), asked.n_rows)

    def taken(self, asked: Asked, looked_up: LookedUp | None) -> Columns:
        """What the plan's functions take of the request and of the features."""
        columns = {name: asked.taken(place, dtype) for name, place, dtype in self._taken}
        if looked_up is not None:
            columns |= {name: _known(looked_up.values, column) for name, column in self._taken_features}
        return columns

    def build(self, asked: Asked, looked_up: LookedUp | None, computed: Values | None = None) -> Inputs:
        """The matrix of some rows.

        Parameters
        ----------
        looked_up : LookedUp or None
            What `look_up` found for these very rows; its arrays become those of the inputs where they have room.
        computed : Values or None
            What `compute` said of them.
        """
        if asked.matrix is not None:
            return _as_given(asked.matrix)
        assert computed is not None or not self.computes, "functions are computed first"
        if looked_up is None and computed is None:
            return self._only_sent(asked)
        first = self._first
        matrix, status, ages_s = self._begun(asked.n_rows, looked_up)
        if computed is not None:
            for column, function in enumerate(self.plan.functions, start=first):
                matrix[:, column] = float32(computed[function.name])
        matrix[:, first + len(self.plan.functions) :] = self._sent.matrix(asked)
        if computed or not self._sent.is_whole:
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

    def __init__(self, columns: Sequence[tuple[int, Vocabulary | None]]) -> None:
        self.is_whole = False
        self._columns = columns
        self._categories = [(column, known) for column, (_, known) in enumerate(columns) if known is not None]
        places = [place for place, _ in columns]
        run = as_slice(places)
        self._pick: Callable[[Row], Sequence[Any]] = itemgetter(run) if isinstance(run, slice) else itemgetter(*places)
        self._pack = struct.Struct(f"<{len(places)}f").pack
        self._by_grid: dict[tuple[int, ...], _Spread] = {}

    def matrix(self, asked: Asked) -> Floats:
        """Of some rows, shape (n_rows, n_columns); NaN is missing. Not to be changed if it is whole."""
        self.is_whole = False
        if isinstance(asked, AskedRows):
            try:
                return self._of_rows(asked.rows)
            except struct.error:  # something is null
                return self._of_rows_with_nulls(asked.rows)
        if isinstance(asked, AskedColumns) and asked.grid is not None:
            return self._of_grid(asked, asked.grid)
        matrix = np.empty((len(self._columns), asked.n_rows), np.float32)
        for column in range(len(self._columns)):
            matrix[column] = self._of_column(asked, column)
        return np.ascontiguousarray(matrix.T)

    def _of_rows(self, rows: Sequence[Row]) -> Floats:
        pack = self._pack
        packed = b"".join([pack(*self._with_places(row)) for row in rows])
        self.is_whole = True
        return np.ndarray((len(rows), len(self._columns)), np.float32, packed)

    def _of_rows_with_nulls(self, rows: Sequence[Row]) -> Floats:
        values = np.array([self._with_places(row) for row in rows], np.float64)
        return float32(values).reshape(len(rows), -1)

    def _with_places(self, row: Row) -> Sequence[Any]:
        """A row's values, with the places of categories instead of their texts."""
        if not self._categories:
            return self._pick(row)
        numbers = list(self._pick(row))
        for column, known in self._categories:
            numbers[column] = known.get(numbers[column], _UNKNOWN)
        return numbers

    def _of_grid(self, asked: AskedColumns, grid: Grid) -> Floats:
        spread = self._by_grid.get(grid.places) or self._spread(grid.places)
        matrix = np.empty((asked.n_rows, len(self._columns)), np.float32)
        matrix[:, spread.columns] = grid.values[:, spread.taken]
        for column in spread.others:
            matrix[:, column] = self._of_column(asked, column)
        return matrix

    def _spread(self, places: tuple[int, ...]) -> "_Spread":
        """Which columns of a grid become which of the matrix: remembered, since callers send the same again."""
        column_of = {place: column for column, (place, _) in enumerate(self._columns)}
        taken = [number for number, place in enumerate(places) if place in column_of]
        columns = [column_of[places[number]] for number in taken]
        others = [column for column in range(len(self._columns)) if column not in columns]
        if len(self._by_grid) >= _REMEMBERED:
            self._by_grid.clear()
        spread = self._by_grid[places] = _Spread(as_slice(taken), as_slice(columns), others)
        return spread

    def _of_column(self, asked: Asked, column: int) -> Any:
        place, known = self._columns[column]
        found = asked.columns[place] if isinstance(asked, AskedColumns) else None
        return np.nan if found is None else found.numbers(known)


class _Spread(NamedTuple):
    """Which columns of a grid stand where in the matrix, and which of the matrix do not come from it."""

    taken: slice | list[int]
    columns: slice | list[int]
    others: list[int]


def _vocabulary(categories: Sequence[str]) -> Vocabulary:
    return {None: None, **{category: float(place) for place, category in enumerate(categories)}}


def _as_given(matrix: Floats) -> Inputs:
    """A matrix that the caller sent instead of rows: what is there is present, NaN is missing, nothing stands in."""
    missing = np.isnan(matrix)
    return Inputs(matrix, missing * _MISSING if missing.any() else None)


def _known(looked_up: OnlineValues, column: int) -> npt.NDArray[np.float64]:
    """One feature of all rows, as on-demand features take it: without what only stands in."""
    stands_in = np.isin(looked_up.status[:, column], _STANDS_IN)
    return as_taken(np.where(stands_in, np.nan, looked_up.values[:, column]))
