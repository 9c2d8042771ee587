"""One field of all rows of a request, sent as a column, and checked at once as each value would be in a row.

What does not pass here at once is not refused here: it goes through the rows' own checks, which name the value.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import count
from math import isnan
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from octavo.clock import from_micros
from octavo.definitions.types import DType
from octavo.serving.records import INPUT, WORDS, BlockColumn
from octavo.serving.requests import FIRST_YEAR, LARGEST_FLOAT32, LAST_YEAR, LONGEST_STRING, Scalar

_BYTE = 256
_FIRST, _LAST = (np.datetime64(f"{year}-01-01", "us") for year in (FIRST_YEAR, LAST_YEAR + 1))
_SMALL_SQUARES = 1e30
"""Values whose squares add up to less are all finite, and far from too large for 32 bits."""
_MOST_BY_BLAS = 8192
_TEXTS = (DType.STRING, DType.CATEGORY)


class Words(NamedTuple):
    """A column of texts.

    Attributes
    ----------
    words : list of str or None
        Each text once, or more often.
    places : ndarray, shape (n_rows,), int32
        Of each row's text.
    """

    words: list[str | None]
    places: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.places)


class Grid(NamedTuple):
    """Numbers of one type in many fields, all there and none too large.

    Attributes
    ----------
    places : tuple of int
        Of the fields, among those of the decoder.
    values : ndarray, shape (n_rows, n_places), float32 or float64
    """

    places: tuple[int, ...]
    values: npt.NDArray[np.floating[Any]]


class AcceptedColumn:
    """A column whose values are all what the field takes.

    Parameters
    ----------
    array : ndarray, shape (n_rows,)
        Numbers (NaN is null), truths, or instants in UTC.
    """

    __slots__ = ("array",)

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array

    def __getitem__(self, rows: slice) -> "AcceptedColumn":
        return AcceptedColumn(self.array[rows])

    def plain(self) -> list[Scalar]:
        """As in a row."""
        return plain(self.array)

    def taken(self) -> npt.NDArray[Any]:
        """As on-demand features take it."""
        return self.array.astype(np.float64) if self.array.dtype.kind == "f" else self.array

    def numbers(self, places: dict[str | None, float | None] | None) -> npt.NDArray[Any]:
        """As a column of the model's matrix."""
        return self.array

    def recorded(self, chosen: npt.NDArray[np.intp] | None, *, column: int | None) -> BlockColumn:
        """As it is kept; `column` is that of the matrix which holds the same values as float32, if one does."""
        if column is not None and self.array.dtype == np.float32:
            return _among_inputs(column)
        array = self.array if chosen is None else self.array[chosen]
        return BlockColumn(array.dtype.str, array.tobytes(), [], -1 if column is None else column)


class AcceptedWords(AcceptedColumn):
    """A column of texts.

    Parameters
    ----------
    words : list of str or None
    places : ndarray, shape (n_rows,), int32
    """

    __slots__ = ("words",)

    def __init__(self, words: list[str | None], places: npt.NDArray[np.int32]) -> None:
        super().__init__(places)
        self.words = words

    def __getitem__(self, rows: slice) -> "AcceptedWords":
        return AcceptedWords(self.words, self.array[rows])

    def plain(self) -> list[Scalar]:
        """As in a row."""
        return [self.words[place] for place in self.array.tolist()]

    def taken(self) -> npt.NDArray[Any]:
        """As on-demand features take it."""
        words: npt.NDArray[Any] = np.array([*self.words, None], object)[self.array]
        return words

    def numbers(self, places: dict[str | None, float | None] | None) -> npt.NDArray[Any]:
        """As a column of the model's matrix: the place of each text among the categories that training found."""
        known = places or {}
        numbers: npt.NDArray[Any] = np.array([known.get(word, -1.0) for word in self.words], np.float32)[self.array]
        return numbers

    def recorded(self, chosen: npt.NDArray[np.intp] | None, *, column: int | None) -> BlockColumn:
        """See `AcceptedColumn.recorded`."""
        places = self.array if chosen is None else self.array[chosen]
        return BlockColumn(WORDS, places.astype(np.uint8 if len(self.words) <= _BYTE else "<i4").tobytes(), self.words)


@lru_cache
def _among_inputs(column: int) -> BlockColumn:
    return BlockColumn(INPUT, b"", [], column)


@np.errstate(over="ignore", invalid="ignore")
def are_all_small(values: npt.NDArray[np.floating[Any]]) -> bool:
    """Whether numbers, contiguous in memory, are all finite and far from too large; nearly always they are.

    No other look at them takes as little time.
    """
    return bool(_squares(values.ravel(order="K")) <= _SMALL_SQUARES)


def _squares(numbers: npt.NDArray[Any]) -> Any:
    """The sum of the squares: of many without BLAS, whose threads wait for each other longer than that takes."""
    return np.dot(numbers, numbers) if numbers.size <= _MOST_BY_BLAS else np.einsum("i,i->", numbers, numbers)


@np.errstate(over="ignore", invalid="ignore")
def accept_all(
    columns: Mapping[str, Any],
    dtypes: Mapping[str, DType],
    *,
    required: Collection[str],
    accepted: Collection[str] = (),
) -> list[AcceptedColumn | None] | None:
    """Columns as the fields of `dtypes` take them, in their order; None where a closer look is needed.

    Parameters
    ----------
    columns : mapping of name to list, ndarray or Words
        A field whose column is not there was not sent.
    required : collection of str
        Fields in which nulls are refused.
    accepted : collection of str
        Fields of numbers whose arrays have been looked at already.
    """
    known = frozenset(accepted)
    found = [
        None
        if name not in columns
        else AcceptedColumn(columns[name])
        if name in known and dtype is DType.FLOAT64
        else _accept(columns[name], dtype, required=name in required)
        for name, dtype in dtypes.items()
    ]
    return found if sum(column is not None for column in found) == len(columns) else None


def _accept(column: Any, dtype: DType, *, required: bool) -> AcceptedColumn | None:
    if isinstance(column, Words) or dtype in _TEXTS:
        return _accept_texts(column, dtype, required=required)
    array = column if isinstance(column, np.ndarray) else _array(column, dtype)
    if array is None:
        return None
    if dtype is DType.FLOAT64:
        return _accept_floats(array, required=required)
    if dtype is DType.TIMESTAMP:
        fits = array.dtype.kind == "M" and bool(((array >= _FIRST) & (array < _LAST)).all())
        return AcceptedColumn(array) if fits else None
    if dtype is DType.INT64:
        fits = array.dtype.kind == "i" or (array.dtype.kind == "u" and array.dtype.itemsize < 8)
        return AcceptedColumn(array.astype("<i8", copy=False)) if fits else None
    return AcceptedColumn(array) if array.dtype.kind == "b" else None


def plain(column: Any) -> list[Scalar]:
    """A column's values as in a row; NaN in an array is null."""
    if isinstance(column, Words):
        return [column.words[place] for place in column.places.tolist()]
    if not isinstance(column, np.ndarray):
        return list(column)
    if column.dtype.kind == "M":
        return [from_micros(micros) for micros in column.view(np.int64).tolist()]
    values: list[Scalar] = column.tolist()
    if column.dtype.kind == "f":
        return [None if isnan(value) else value for value in values]  # type: ignore[arg-type]  # floats
    return values


def rows_of(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns as rows by name."""
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def as_slice(places: Sequence[int]) -> slice | list[int]:
    """Places that follow each other as a slice, which costs no copy."""
    first = places[0] if places else 0
    last = first + len(places)
    return slice(first, last) if list(places) == list(range(first, last)) else list(places)


def numbered(values: Sequence[Any]) -> tuple[list[Any], npt.NDArray[np.int32]]:
    """Each value once, and the place of each among them."""
    number: defaultdict[Any, int] = defaultdict(count().__next__)
    places = np.fromiter(map(number.__getitem__, values), np.int32, len(values))
    return list(number), places


def _accept_floats(array: npt.NDArray[Any], *, required: bool) -> AcceptedColumn | None:
    if array.dtype.kind in "iu":
        array = array.astype("<f8")
    if array.dtype.kind != "f":
        return None
    if not array.size:
        return AcceptedColumn(array)
    if _squares(array) <= _SMALL_SQUARES:  # see `are_all_small`
        return AcceptedColumn(array)
    lowest, highest = array.min(), array.max()
    if lowest >= -LARGEST_FLOAT32 and highest <= LARGEST_FLOAT32:
        return AcceptedColumn(array)
    if required or not isnan(lowest):
        return None
    fits = np.isnan(array) | (np.abs(array) <= LARGEST_FLOAT32)
    return AcceptedColumn(array) if fits.all() else None


def _accept_texts(column: Any, dtype: DType, *, required: bool) -> AcceptedColumn | None:
    if dtype not in _TEXTS:
        return None
    if isinstance(column, list):
        column = _words(column)
    if not isinstance(column, Words):
        return None
    words, places = column
    if not all(isinstance(word, str) and len(word) <= LONGEST_STRING for word in words if word is not None):
        return None
    if required and None in words:
        return None
    return AcceptedWords(words, places)


def _words(values: list[Any]) -> Words | None:
    kinds = set(map(type, values))
    if not kinds <= {str, type(None)}:
        return None
    return Words(*numbered(values))


def _array(values: Sequence[Any], dtype: DType) -> npt.NDArray[Any] | None:
    kinds = set(map(type, values))
    try:
        if dtype is DType.FLOAT64 and kinds <= {float, int, type(None)}:
            return np.array(values, "<f8")
        if dtype is DType.INT64 and kinds == {int}:
            return np.array(values, "<i8")
    except OverflowError:
        return None
    if dtype is DType.BOOL and kinds == {bool}:
        return np.array(values, np.bool_)
    return None
