"""Columns of an Arrow stream as views of the stream's own bytes, once it is known in which buffers they lie.

Nothing here asks Arrow. What its validation would ensure of values is ensured; what does not pass is for Arrow to see.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from octavo.serving.columns import Words, numbered


class Said(NamedTuple):
    """What the metadata of a message say of its batch.

    Attributes
    ----------
    nulls : tuple of int
        How many each column has.
    offsets, sizes : tuple of int
        Of each buffer in the body.
    n_bytes : int
        Of the body.
    """

    n_rows: int
    nulls: tuple[int, ...]
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    n_bytes: int


class Batch(NamedTuple):
    """One batch of a stream, of columns or of a dictionary's words, whose body begins at `body`."""

    stream: bytes
    body: int
    said: Said

    @property
    def n_rows(self) -> int:
        """The length of each column."""
        return self.said.n_rows

    def place(self, buffer: int) -> slice:
        """Where a buffer lies in the stream."""
        start = self.body + self.said.offsets[buffer]
        return slice(start, start + self.said.sizes[buffer])

    def view(self, buffer: int, dtype: npt.DTypeLike, n: int) -> npt.NDArray[Any]:
        """The first numbers of a buffer.

        Raises
        ------
        ValueError
            If it holds fewer.
        """
        numbers: npt.NDArray[Any] = np.frombuffer(self.stream, dtype, n, self.body + self.said.offsets[buffer])
        if self.said.sizes[buffer] < numbers.nbytes:
            raise ValueError("a buffer is shorter than its column")
        return numbers

    def valid(self, column: "Column") -> npt.NDArray[np.bool_] | None:
        """Which rows hold no null; None if all do."""
        n_nulls = self.said.nulls[column.node]
        if not n_nulls:
            return None
        bits = self.view(column.buffer - 1, np.uint8, -(-self.n_rows // 8))
        valid = np.unpackbits(bits, count=self.n_rows, bitorder="little").view(np.bool_)
        if np.count_nonzero(valid) != self.n_rows - n_nulls:
            raise ValueError("a column has not as many nulls as it says")
        return valid


Take: TypeAlias = "Callable[[Column, Sequence[Batch]], Any]"
"""Makes of a column and all batches what `asked_by_columns` takes; raises ValueError where Arrow is to look."""


class Column(NamedTuple):
    """How a column is taken from a stream.

    Attributes
    ----------
    take : Take
    at : int
        Where its numbers (values, places in a dictionary, or offsets of texts) stood in the stream that left the form.
    dtype : dtype
        Of these.
    words : Column or None
        Of its dictionary.
    message, node, buffer : int
        The batch, the column there, and the buffer of its numbers, once they are found.
    """

    name: str
    take: Take
    at: int
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    words: "Column | None" = None
    message: int = -1
    node: int = 0
    buffer: int = 1


def numbers(column: Column, batches: Sequence[Batch]) -> Any:
    """Take values as they are."""
    batch = batches[column.message]
    values, valid = batch.view(column.buffer, column.dtype, batch.n_rows), batch.valid(column)
    if valid is None:
        return values
    if values.dtype.kind == "f":
        return np.where(valid, values, np.nan)
    return [value if there else None for value, there in zip(values.tolist(), valid.tolist(), strict=True)]


def coded(column: Column, batches: Sequence[Batch]) -> Words:
    """Take texts that are sent as places in a dictionary."""
    assert column.words is not None, "it has a dictionary"
    batch, dictionary = batches[column.message], batches[column.words.message]
    if dictionary.valid(column.words) is not None:
        raise ValueError("nulls among words")
    words = [one.decode() for one in _elements(column.words, dictionary)]
    places, valid = batch.view(column.buffer, column.dtype, batch.n_rows), batch.valid(column)
    there = places if valid is None else places[valid]
    if len(there) and there.view(f"u{there.dtype.itemsize}").max() >= len(words):  # less than 0 is more than any
        raise ValueError("a place outside of the dictionary")
    return _with_nulls(words, places.astype(np.int32, copy=False), valid)


def written(column: Column, batches: Sequence[Batch]) -> Words:
    """Take texts that are written out."""
    batch = batches[column.message]
    found, places = numbered(_elements(column, batch))
    return _with_nulls([one.decode() for one in found], places, batch.valid(column))


def _elements(column: Column, batch: Batch) -> list[bytes]:
    data = batch.stream[batch.place(column.buffer + 1)]
    offsets = batch.view(column.buffer, column.dtype, batch.n_rows + 1).tolist()
    if not 0 <= offsets[0] <= offsets[-1] <= len(data) or sorted(offsets) != offsets:
        raise ValueError("texts outside of their buffer")
    return [data[first:last] for first, last in pairwise(offsets)]


def _with_nulls(words: list[str], places: npt.NDArray[np.int32], valid: npt.NDArray[np.bool_] | None) -> Words:
    if valid is None:
        return Words([*words], places)
    return Words([*words, None], np.where(valid, places, np.int32(len(words))))
