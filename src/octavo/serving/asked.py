"""What a request asks for, whichever door it came through: rows of fields, columns of them, or the model's matrix."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from octavo.clock import to_micros
from octavo.definitions.types import DType
from octavo.serving.columns import AcceptedColumn, Grid
from octavo.serving.records import BlockColumn
from octavo.serving.requests import Row, Scalar

_NO_TIME = np.iinfo(np.int64).min

Chosen = npt.NDArray[np.intp] | None
"""Some rows by their places; None for all."""


class Asked(Protocol):
    """The rows of a request; fields are named by their places among the decoder's names."""

    n_rows: int

    @property
    def matrix(self) -> npt.NDArray[np.float32] | None:
        """The model's inputs, shape (n_rows, n_inputs), if they were sent instead of fields; NaN is missing."""

    def part(self, first: int, last: int) -> "Asked":
        """The rows from `first` up to `last`."""

    def values(self, place: int) -> Sequence[Scalar]:
        """A field of all rows; None where it is null or was not sent."""

    def taken(self, place: int, dtype: DType) -> npt.NDArray[Any]:
        """A field of all rows, shape (n_rows,), as on-demand features take it."""

    def recorded(
        self, times: Sequence[int], chosen: Chosen, *, inputs: Mapping[int, int]
    ) -> tuple[Sequence[Any] | None, list[BlockColumn | None] | None]:
        """Rows or columns as they are kept.

        Parameters
        ----------
        times : sequence of int
            The places of instants.
        inputs : mapping of int to int
            The places of numbers that stand among the inputs as they were sent, and their columns there.
        """


class AskedRows:
    """Rows of fields.

    Parameters
    ----------
    rows : sequence of Row
    """

    __slots__ = ("n_rows", "rows")
    matrix = None

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.n_rows = len(rows)

    def part(self, first: int, last: int) -> "AskedRows":
        """See `Asked.part`."""
        return AskedRows(self.rows[first:last])

    def values(self, place: int) -> list[Scalar]:
        """See `Asked.values`."""
        return [row[place] for row in self.rows]

    def taken(self, place: int, dtype: DType) -> npt.NDArray[Any]:
        """See `Asked.taken`."""
        return _taken(self.values(place), dtype)

    def recorded(
        self, times: Sequence[int], chosen: Chosen, *, inputs: Mapping[int, int]
    ) -> tuple[Sequence[Any], None]:
        """See `Asked.recorded`."""
        rows: Sequence[Any] = self.rows if chosen is None else [self.rows[place] for place in chosen.tolist()]
        return [_with_texts(row, times) for row in rows] if times else rows, None


class AskedColumns:
    """Columns of fields.

    Parameters
    ----------
    columns : sequence of AcceptedColumn or None
        None for a field that was not sent.
    n_rows : int
    grid : Grid or None
        Some of the columns again, side by side.
    """

    __slots__ = ("columns", "grid", "n_rows")
    matrix = None

    def __init__(self, columns: Sequence[AcceptedColumn | None], *, n_rows: int, grid: Grid | None = None) -> None:
        self.columns = columns
        self.n_rows = n_rows
        self.grid = grid

    def part(self, first: int, last: int) -> "AskedColumns":
        """See `Asked.part`."""
        last = min(last, self.n_rows)
        columns = [None if column is None else column[first:last] for column in self.columns]
        grid = self.grid and self.grid._replace(values=self.grid.values[first:last])
        return AskedColumns(columns, n_rows=last - first, grid=grid)

    def values(self, place: int) -> list[Scalar]:
        """See `Asked.values`."""
        column = self.columns[place]
        return [None] * self.n_rows if column is None else column.plain()

    def taken(self, place: int, dtype: DType) -> npt.NDArray[Any]:
        """See `Asked.taken`."""
        column = self.columns[place]
        return _taken([None] * self.n_rows, dtype) if column is None else column.taken()

    def recorded(
        self, times: Sequence[int], chosen: Chosen, *, inputs: Mapping[int, int]
    ) -> tuple[None, list[BlockColumn | None]]:
        """See `Asked.recorded`."""
        return None, [
            None if column is None else column.recorded(chosen, column=inputs.get(place))
            for place, column in enumerate(self.columns)
        ]


class AskedMatrix:
    """The model's inputs instead of fields.

    Parameters
    ----------
    matrix : ndarray, shape (n_rows, n_inputs), float32
    """

    __slots__ = ("matrix", "n_rows")

    def __init__(self, matrix: npt.NDArray[np.float32]) -> None:
        self.matrix = matrix
        self.n_rows = len(matrix)

    def part(self, first: int, last: int) -> "AskedMatrix":
        """See `Asked.part`."""
        return AskedMatrix(self.matrix[first:last])

    def values(self, place: int) -> list[Scalar]:
        """See `Asked.values`."""
        return [None] * self.n_rows

    def taken(self, place: int, dtype: DType) -> npt.NDArray[Any]:
        """See `Asked.taken`."""
        return _taken([None] * self.n_rows, dtype)

    def recorded(self, times: Sequence[int], chosen: Chosen, *, inputs: Mapping[int, int]) -> tuple[None, None]:
        """See `Asked.recorded`."""
        return None, None


def _taken(values: Sequence[Any], dtype: DType) -> npt.NDArray[Any]:
    """One request field of all rows, as on-demand features take it."""
    if dtype is DType.TIMESTAMP:
        micros = [_NO_TIME if value is None else to_micros(value) for value in values]
        return np.array(micros, np.int64).view("datetime64[us]")
    if dtype is DType.STRING or dtype is DType.CATEGORY:
        column = np.empty(len(values), object)
        column[:] = values
        return column
    if dtype is DType.FLOAT64 or None in values:
        return np.array(values, np.float64)
    return np.array(values, np.int64 if dtype is DType.INT64 else np.bool_)


def _with_texts(row: Row, times: Sequence[int]) -> list[Any]:
    told: list[Any] = list(row)
    for place in times:
        moment = told[place]
        told[place] = None if moment is None else moment.isoformat()
    return told
