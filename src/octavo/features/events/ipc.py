"""What an Arrow IPC stream claims of its size, read before any memory is given to it.

Arrow allocates what a compressed buffer says it will become, and as many rows as a batch says it has, so these numbers
are looked up here first, in the metadata of each message.
"""

import struct
from collections.abc import Sequence
from operator import add

import pyarrow as pa

from octavo.errors import LimitExceeded
from octavo.features.events.messages import BATCH, number_at, places_in

_PREFIX_SIZE = 8
_NOT_COMPRESSED = -1


def check_messages(stream: bytes, *, most_rows: int, most_bytes: int) -> list[pa.Message]:
    """Refuse a stream that says it holds too much; returns its messages.

    Raises
    ------
    LimitExceeded
        If it has more rows than `most_rows`, or more bytes than `most_bytes` when it is decompressed.
    ValueError
        If it cannot be read: `pyarrow.ArrowInvalid` is one.
    """
    rows = size = 0
    messages = list(pa.ipc.MessageReader.open_stream(stream))
    for message in messages:
        try:
            kind, length, sizes = _claims(message.metadata.to_pybytes(), message.body)
        except struct.error as error:
            raise ValueError("a message's metadata are cut off") from error
        rows += length if kind == BATCH else 0
        size += sum(sizes)
        if rows > most_rows or length > most_rows:
            raise LimitExceeded(f"the body holds more than {most_rows:,} rows", field="body", fix="send fewer at once")
        if size > most_bytes:
            raise LimitExceeded(
                f"the body holds more than {most_bytes:,} bytes when it is decompressed",
                field="body",
                fix="send fewer rows at once",
            )
    return messages


def _claims(metadata: bytes, body: pa.Buffer | None) -> tuple[int, int, Sequence[int]]:
    """The kind of a message, its rows, and the size of each of its buffers when decompressed."""
    places = places_in(metadata)
    length = number_at(metadata, places.length)
    if length < 0:
        raise ValueError("a batch has a negative number of rows")
    buffers = places.buffers.read(metadata)
    offsets, lengths = buffers[::2], buffers[1::2]
    available = body.size if body is not None else 0
    if offsets and (min(offsets) < 0 or min(lengths) < 0 or max(map(add, offsets, lengths)) > available):
        raise ValueError("a buffer lies outside of its message")
    if not places.is_compressed or body is None:
        return places.kind, length, lengths
    return places.kind, length, [_size(*place, body) for place in zip(offsets, lengths, strict=True)]


def _size(offset: int, length: int, body: pa.Buffer) -> int:
    """What a compressed buffer says it will become."""
    if length < _PREFIX_SIZE:
        return length
    (size,) = struct.unpack("<q", body[offset : offset + _PREFIX_SIZE].to_pybytes())
    if size == _NOT_COMPRESSED:
        return length
    if size < 0:
        raise ValueError("a buffer has a negative size")
    return int(size)
