"""Fields of protobuf, written one after the other; their numbers are below 16."""

from collections.abc import Iterable

_SMALL = [bytes([number]) for number in range(0x80)]
_BITS = 64


def varint(number: int) -> bytes:
    """A number of at least 0, seven bits in a byte."""
    if number < len(_SMALL):
        return _SMALL[number]
    parts = bytearray()
    while number >= len(_SMALL):
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def read_varint(data: bytes) -> int | None:
    """The number of 64 bits, with its sign, of which bytes are the shortest form; None if they are of none."""
    number = 0
    for place, byte in enumerate(data):
        number |= (byte & 0x7F) << 7 * place
    if number >> _BITS or varint(number) != data:
        return None
    return number - (1 << _BITS) if number >> _BITS - 1 else number


def tag(number: int) -> bytes:
    """What stands before the length of a field."""
    return _SMALL[number << 3 | 2]


def field(number: int, data: bytes) -> bytes:
    """A field of bytes behind its tag and length."""
    return tag(number) + varint(len(data)) + data


def text(number: int, value: str) -> bytes:
    """A field of text; an empty one is left out."""
    return field(number, value.encode()) if value else b""


def numbers(number: int, values: Iterable[int]) -> bytes:
    """A field of numbers of at least 0."""
    return field(number, b"".join(map(varint, values)))
