"""What an Arrow IPC stream claims of its size, read before any memory is given to it.

Arrow allocates what a compressed buffer says it will become, and as many rows as a batch says it has, so these numbers
are looked up here first, in the FlatBuffers of each message (arrow/format/Message.fbs, columnar format 1.x).
"""

import struct
from collections.abc import Sequence
from operator import add

import pyarrow as pa

from octavo.errors import LimitExceeded

_DICTIONARY, _BATCH = 2, 3
"""Kinds of a message's header."""
_HEADER_TYPE, _HEADER = 1, 2
_DICTIONARY_DATA = 1
_LENGTH, _BUFFERS, _COMPRESSION = 0, 2, 3
"""Places of fields in their FlatBuffers tables."""
_BUFFER_SIZE, _PREFIX_SIZE = 16, 8
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
        rows += length if kind == _BATCH else 0
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
    root = _indirect(metadata, 0)
    at_kind, at_header = _field(metadata, root, _HEADER_TYPE), _field(metadata, root, _HEADER)
    kind = metadata[at_kind] if at_kind else 0
    if kind not in (_DICTIONARY, _BATCH) or not at_header:
        return kind, 0, []
    batch = _indirect(metadata, at_header)
    if kind == _DICTIONARY:
        at_data = _field(metadata, batch, _DICTIONARY_DATA)
        if not at_data:
            return kind, 0, []
        batch = _indirect(metadata, at_data)
    at_length = _field(metadata, batch, _LENGTH)
    (length,) = struct.unpack_from("<q", metadata, at_length) if at_length else (0,)
    if length < 0:
        raise ValueError("a batch has a negative number of rows")
    offsets, lengths = _buffers(metadata, batch)
    available = body.size if body is not None else 0
    if offsets and (min(offsets) < 0 or min(lengths) < 0 or max(map(add, offsets, lengths)) > available):
        raise ValueError("a buffer lies outside of its message")
    if _field(metadata, batch, _COMPRESSION) is None or body is None:
        return kind, length, lengths
    return kind, length, [_size(*place, body) for place in zip(offsets, lengths, strict=True)]


def _buffers(metadata: bytes, batch: int) -> tuple[Sequence[int], Sequence[int]]:
    """Offsets and lengths of the buffers in the body."""
    at_buffers = _field(metadata, batch, _BUFFERS)
    if at_buffers is None:
        return (), ()
    vector = _indirect(metadata, at_buffers)
    (count,) = struct.unpack_from("<I", metadata, vector)
    if count > len(metadata) // _BUFFER_SIZE:
        raise ValueError("a message's metadata are cut off")
    places = struct.unpack_from(f"<{2 * count}q", metadata, vector + 4)
    return places[::2], places[1::2]


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


def _indirect(metadata: bytes, position: int) -> int:
    """Where an offset leads to."""
    return int(position + struct.unpack_from("<I", metadata, position)[0])


def _field(metadata: bytes, table: int, place: int) -> int | None:
    """The position of a table's field; None where it is absent."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    if vtable < 0:
        raise ValueError("a message's metadata lead nowhere")
    slot = 4 + 2 * place
    if slot >= struct.unpack_from("<H", metadata, vtable)[0]:
        return None
    (offset,) = struct.unpack_from("<H", metadata, vtable + slot)
    return int(table + offset) if offset else None
