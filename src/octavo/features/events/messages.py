"""What the metadata of an Arrow IPC message say of its batch, and where in them each number of it stands.

They are FlatBuffers (arrow/format/Message.fbs, columnar format 1.x), and come from callers that may be hostile.
"""

import struct
from typing import NamedTuple

SCHEMA, DICTIONARY, BATCH = 1, 2, 3
"""Kinds of messages."""

_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_DICTIONARY_DATA = 1
_LENGTH, _NODES, _BUFFERS, _COMPRESSION = 0, 1, 2, 3
"""Places of fields in their FlatBuffers tables."""
_PAIR_SIZE = 16


class Vector(NamedTuple):
    """Pairs of numbers of 64 bits, such as the offset and the length of each buffer."""

    at: int
    n_pairs: int

    def read(self, metadata: bytes) -> tuple[int, ...]:
        """The numbers, those of a pair after each other."""
        return struct.unpack_from(f"<{2 * self.n_pairs}q", metadata, self.at)


class Places(NamedTuple):
    """The kind of a message, and where the numbers of its batch stand; None for those that are left out.

    Attributes
    ----------
    body_length, length : int or None
        Of the body's bytes, and of the batch's rows.
    nodes : Vector
        Length and number of nulls of each column.
    buffers : Vector
        Offset in the body and length of each buffer.
    """

    kind: int
    body_length: int | None = None
    length: int | None = None
    nodes: Vector = Vector(0, 0)
    buffers: Vector = Vector(0, 0)
    is_compressed: bool = False


def places_in(metadata: bytes) -> Places:
    """Where the numbers of a message's batch stand.

    Raises
    ------
    ValueError
        If the metadata lead nowhere.
    struct.error
        If they are cut off.
    """
    root = _indirect(metadata, 0)
    at_kind, at_header = _field(metadata, root, _HEADER_TYPE), _field(metadata, root, _HEADER)
    kind = metadata[at_kind] if at_kind else 0
    if kind not in (DICTIONARY, BATCH) or not at_header:
        return Places(kind)
    batch = _indirect(metadata, at_header)
    if kind == DICTIONARY:
        at_data = _field(metadata, batch, _DICTIONARY_DATA)
        if not at_data:
            return Places(kind)
        batch = _indirect(metadata, at_data)
    return Places(
        kind,
        _field(metadata, root, _BODY_LENGTH),
        _field(metadata, batch, _LENGTH),
        _vector(metadata, batch, _NODES),
        _vector(metadata, batch, _BUFFERS),
        _field(metadata, batch, _COMPRESSION) is not None,
    )


def number_at(metadata: bytes, place: int | None) -> int:
    """A number of 64 bits; 0 if it is left out."""
    return 0 if place is None else int(struct.unpack_from("<q", metadata, place)[0])


def _vector(metadata: bytes, table: int, place: int) -> Vector:
    at_vector = _field(metadata, table, place)
    if at_vector is None:
        return Vector(0, 0)
    vector = _indirect(metadata, at_vector)
    (count,) = struct.unpack_from("<I", metadata, vector)
    if count > len(metadata) // _PAIR_SIZE:
        raise ValueError("a message's metadata are cut off")
    return Vector(vector + 4, count)


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
