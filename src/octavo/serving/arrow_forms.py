"""Forms of Arrow streams: what one caller sends again and again lies at the same places, and is taken from there.

Arrow's own reading takes as long as a small model. So a stream of one batch that it has read leaves its form behind:
the bytes of its schema, and those of each message's metadata, with holes where the numbers of the batch stand. What has
the same bytes around its holes has been understood with that, and the numbers in them lead to the columns, once they
are seen to stay within the stream. Anything else is for Arrow, which alone decides what is refused, and how.
"""

import struct
from collections.abc import Sequence
from operator import add
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from octavo.features.events.messages import BATCH, DICTIONARY, Places, number_at, places_in
from octavo.serving.arrow_columns import Batch, Column, Said

_REMEMBERED = 64
_LONGEST = 65_536
"""Bytes of a schema, and of all other metadata of a stream, that are remembered."""
_MARK, _PREFIX, _END = b"\xff\xff\xff\xff", 8, b"\xff\xff\xff\xff\0\0\0\0"
_NUMBER = 8


class Sent(NamedTuple):
    """The columns of a stream.

    Attributes
    ----------
    columns : dict of name to list, ndarray, or `Words`
    side_by_side : (names, ndarray), shape (n_rows, n_names), or None
        Some of them again, as `octavo.serving.reading.asked_by_columns` takes them.
    """

    n_rows: int
    columns: dict[str, Any]
    side_by_side: tuple[Sequence[str], npt.NDArray[Any]] | None


class _Message:
    """The form of a message.

    Parameters
    ----------
    stream : bytes
    at : int
        Where it begins there.

    Attributes
    ----------
    kind : int
    size : int
        Of its metadata, in bytes.

    Raises
    ------
    ValueError
        If it is none of a plain batch.
    struct.error
        If it is cut off.
    """

    def __init__(self, stream: bytes, at: int) -> None:
        (size,) = struct.unpack_from("<I", stream, at + len(_MARK))
        self._prefix = stream[at : at + _PREFIX]
        metadata = stream[at + _PREFIX : at + _PREFIX + size]
        places = places_in(metadata)
        if self._prefix[: len(_MARK)] != _MARK or places.is_compressed or None in places:
            raise ValueError("a message of another kind")
        self.kind, self.size, self._places = places.kind, size, places
        self._holes = [(hole, bytes(hole.stop - hole.start)) for hole in _holes(places)]
        self._rest = self._without_numbers(metadata)
        if places_in(self._rest) != places:
            raise ValueError("numbers that lead to others")
        self._last = metadata, self._say(metadata)

    def read(self, stream: bytes, at: int) -> Batch:
        """The batch of such a message.

        Raises
        ------
        ValueError
            If it is another one, or says what cannot be.
        """
        start = at + _PREFIX
        body = start + self.size
        metadata = stream[start:body]
        if stream[at:start] != self._prefix:
            raise ValueError("a message of another form")
        last, said = self._last  # those of a caller who sends as many rows, and no texts, are the same again
        if metadata != last:
            said = self._say(metadata)
            self._last = metadata, said
        if body + said.n_bytes > len(stream):
            raise ValueError("a message that is cut off")
        return Batch(stream, body, said)

    def _say(self, metadata: bytes) -> Said:
        places = self._places
        if self._without_numbers(metadata) != self._rest:
            raise ValueError("a message of another form")
        n_rows, n_bytes = number_at(metadata, places.length), number_at(metadata, places.body_length)
        nodes, buffers = places.nodes.read(metadata), places.buffers.read(metadata)
        lengths, nulls, offsets, sizes = nodes[::2], nodes[1::2], buffers[::2], buffers[1::2]
        if n_rows <= 0 or set(lengths) != {n_rows} or min(nulls) < 0:
            raise ValueError("columns of different length, or none")
        if min(buffers) < 0 or max(map(add, offsets, sizes)) > n_bytes or any(offset % _NUMBER for offset in offsets):
            raise ValueError("a buffer lies outside of its message, or askew")
        return Said(n_rows, nulls, offsets, sizes, n_bytes)

    def _without_numbers(self, metadata: bytes) -> bytes:
        rest = bytearray(metadata)
        for hole, nothing in self._holes:
            rest[hole] = nothing
        return bytes(rest)


def _holes(places: Places) -> list[slice]:
    """Where numbers stand."""
    runs = [(places.body_length, 1), (places.length, 1)]
    runs += [(vector.at, 2 * vector.n_pairs) for vector in (places.nodes, places.buffers)]
    return [slice(at, at + n * _NUMBER) for at, n in runs if at is not None]


class _Form:
    """The form of a stream.

    Parameters
    ----------
    messages : list of _Message
        Of the dictionaries, and of the batch.
    columns : list of Column
        All, where they were found.
    alike : sequence of int
        The places of those that are wanted side by side.
    """

    def __init__(self, messages: list[_Message], columns: list[Column], alike: Sequence[int]) -> None:
        self._messages = messages
        self._alike = [columns[place] for place in alike]
        self._names = [column.name for column in self._alike]
        self._others = [column for column in columns if column.name not in self._names]
        self._all = columns

    def read(self, stream: bytes, at: int, *, most_rows: int, most_bytes: int) -> Sent:
        """The columns of such a stream, whose batches begin at `at`.

        Raises
        ------
        ValueError
            If it is another one, or Arrow is to look.
        """
        batches = self.batches(stream, at)
        if max(one.n_rows for one in batches) > most_rows or sum(sum(one.said.sizes) for one in batches) > most_bytes:
            raise ValueError("a batch that is too large")
        n_rows, values = batches[-1].n_rows, self._side_by_side(batches[-1])
        if values is None:
            return Sent(n_rows, {column.name: column.take(column, batches) for column in self._all}, None)
        columns = dict(zip(self._names, values.T, strict=True))
        columns |= {column.name: column.take(column, batches) for column in self._others}
        return Sent(n_rows, columns, (self._names, values))

    def batches(self, stream: bytes, at: int) -> list[Batch]:
        """All batches of such a stream; raises as `read` does."""
        batches = []
        for message in self._messages:
            batches.append(message.read(stream, at))
            at = _end(batches[-1])
        if stream[at : at + len(_END)] not in (b"", _END):
            raise ValueError("something follows")
        return batches

    def _side_by_side(self, batch: Batch) -> npt.NDArray[Any] | None:
        """Columns of one type as one array, without a copy if they follow each other; None where one holds a null."""
        columns, (_, nulls, offsets, sizes, _) = self._alike, batch.said
        if not columns or any(nulls[column.node] for column in columns):
            return None
        starts, dtype = [offsets[column.buffer] for column in columns], columns[0].dtype
        step = starts[1] - starts[0]
        if step < 1 or starts != list(range(starts[0], starts[0] + len(starts) * step, step)):
            return np.stack([batch.view(column.buffer, dtype, batch.n_rows) for column in columns]).T
        if min([sizes[column.buffer] for column in columns]) < batch.n_rows * dtype.itemsize:
            raise ValueError("a buffer is shorter than its column")
        shape, strides = (batch.n_rows, len(columns)), (dtype.itemsize, step)
        return np.ndarray(shape, dtype, batch.stream, batch.body + starts[0], strides)


def _end(batch: Batch) -> int:
    """Where the next message begins."""
    return batch.body + batch.said.n_bytes


class Forms:
    """The forms of the streams that were sent last."""

    def __init__(self) -> None:
        self._by_schema: dict[bytes, _Form] = {}

    def read(self, stream: bytes, *, most_rows: int, most_bytes: int) -> Sent | None:
        """The columns of a stream; None if Arrow is to read it."""
        schema = _schema(stream)
        form = self._by_schema.get(schema)
        if form is None:
            return None
        try:
            return form.read(stream, len(schema), most_rows=most_rows, most_bytes=most_bytes)
        except (ValueError, struct.error):
            return None

    def learn(self, stream: bytes, columns: Sequence[Column | None], alike: Sequence[int]) -> None:
        """Remember the form of a stream that Arrow has read, if it has one that can be known again.

        Parameters
        ----------
        columns : sequence of Column or None
            All of the stream's; None for one that only Arrow can take.
        alike : sequence of int
            The places of those that are wanted side by side.
        """
        schema, known = _schema(stream), [column for column in columns if column is not None]
        if len(known) < len(columns):
            return
        try:
            form = _learned(stream, len(schema), known, alike)
        except (ValueError, struct.error, KeyError):
            return
        if len(self._by_schema) >= _REMEMBERED:
            self._by_schema.clear()
        self._by_schema[schema] = form


def _schema(stream: bytes) -> bytes:
    """The message that a stream begins with; nothing if it is too long to be remembered."""
    size = int.from_bytes(stream[len(_MARK) : _PREFIX], "little")
    return stream[: _PREFIX + size] if size <= _LONGEST else b""


def _learned(stream: bytes, at: int, columns: Sequence[Column], alike: Sequence[int]) -> _Form:
    """The form of a stream.

    Raises
    ------
    ValueError, struct.error, KeyError
        If it has none.
    """
    messages, places, end = list[_Message](), dict[int, tuple[int, int]](), at
    while not messages or messages[-1].kind == DICTIONARY:
        message = _Message(stream, end)
        batch = message.read(stream, end)
        for buffer, size in enumerate(batch.said.sizes):
            found = (len(messages), buffer)
            if size and places.setdefault(batch.place(buffer).start, found) != found:
                raise ValueError("buffers that lie upon each other")
        messages.append(message)
        end = _end(batch)
    last = len(messages) - 1
    placed = [_placed(column, places)._replace(node=node) for node, column in enumerate(columns)]
    used = {column.message for column in placed} | {one.words.message for one in placed if one.words is not None}
    if messages[last].kind != BATCH or len(batch.said.nulls) != len(columns) or used != set(range(last + 1)):
        raise ValueError("a stream of another kind")
    if sum(message.size for message in messages) > _LONGEST:
        raise ValueError("too much to be remembered")
    form = _Form(messages, placed, alike)
    form.batches(stream, at)
    return form


def _placed(column: Column, places: dict[int, tuple[int, int]]) -> Column:
    message, buffer = places[column.at]
    words = None if column.words is None else _placed(column.words, places)
    return column._replace(words=words, message=message, buffer=buffer)
