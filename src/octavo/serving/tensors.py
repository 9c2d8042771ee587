"""Tensors of the Open Inference Protocol: datatypes, and values from JSON and from bytes whose lengths may lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.types import DType
from octavo.errors import InvalidRequest
from octavo.serving.columns import Words, numbered
from octavo.serving.documents import Scalar
from octavo.serving.requests import LARGEST_FLOAT32

FLOATS: dict[str, np.dtype[Any]] = {"FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
INTEGERS: dict[str, np.dtype[Any]] = {
    f"{sign}INT{bits}": np.dtype(f"<{kind}{bits // 8}")
    for sign, kind in (("", "i"), ("U", "u"))
    for bits in (8, 16, 32, 64)
}
FIXED: dict[str, np.dtype[Any]] = {"BOOL": np.dtype(np.uint8), **INTEGERS, **FLOATS}
BYTES = "BYTES"
LENGTH_BYTES = 4
"""Bytes before each element of BYTES."""
_ZEROS, _FEW = bytes(LENGTH_BYTES - 1), 8
_KINDS: dict[str, set[type]] = {BYTES: {str}, "BOOL": {bool}, **{name: {int, float} for name in FLOATS}}
"""What JSON has for a datatype; for the others whole numbers."""

DATATYPES = {
    DType.FLOAT64: ("FP64", *(name for name in FLOATS if name != "FP64"), *INTEGERS),
    DType.INT64: ("INT64", *(name for name in INTEGERS if name != "INT64")),
    DType.BOOL: ("BOOL",),
    DType.STRING: (BYTES,),
    DType.CATEGORY: (BYTES,),
    DType.TIMESTAMP: (BYTES,),
}
"""What a field may be sent as, its own first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor that was sent.

    Attributes
    ----------
    place : str
        Where in the request it stands, such as ``inputs[2]``.
    values : list, ndarray or Words
        Flat; an array if it came as bytes and is of numbers. In JSON null is missing.
    """

    name: str
    place: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Scalar] | npt.NDArray[Any] | Words

    def floats(self) -> npt.NDArray[np.float64]:
        """As an array of its shape; NaN is missing."""
        return np.array(self.values, np.float64).reshape(self.shape)

    def column(self) -> list[Scalar] | npt.NDArray[Any] | Words:
        """One value per row; None is missing, which in bytes is NaN."""
        return self.values


def check_datatype(datatype: str, *, place: str) -> None:
    """Refuse what is no datatype.

    Raises
    ------
    InvalidRequest
    """
    if datatype != BYTES and datatype not in FIXED:
        raise InvalidRequest(
            f"{place}.datatype is {datatype[:20]!r}",
            field=f"{place}.datatype",
            fix=f"send one of {', '.join([*FIXED, BYTES])}",
        )


def from_json(data: list[Any], *, name: str, place: str, datatype: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor from the flat or nested list of its values.

    Raises
    ------
    InvalidRequest
        If there are not as many as the shape says, or some are not of the datatype.
    """
    values = [value for row in data for value in row] if data and isinstance(data[0], list) else data
    if len(values) != prod(shape):
        raise _wrong_length(f"{len(values)} values", place=place, shape=shape)
    if not _fit(values, datatype):
        number = next(number for number, value in enumerate(values) if not _fit([value], datatype))
        raise InvalidRequest(
            f"{place}.data[{number}] is no {datatype}",
            field=f"{place}.data[{number}]",
            fix="send values of the datatype that 32 bits hold, or null for what is missing",
        )
    return Tensor(name=name, place=place, datatype=datatype, shape=shape, values=values)


def from_bytes(data: memoryview, *, name: str, place: str, datatype: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor from its bytes, little-endian.

    Raises
    ------
    InvalidRequest
        If they are not as many as shape and datatype say, or are no values of the datatype.
    """
    n_values = prod(shape)
    if datatype == BYTES:
        return Tensor(
            name=name,
            place=place,
            datatype=datatype,
            shape=shape,
            values=_words(bytes(data), n_values) or _texts(bytes(data), n_values, place=place, shape=shape),
        )
    dtype = FIXED[datatype]
    if len(data) != n_values * dtype.itemsize:
        raise _wrong_length(f"{len(data)} bytes", place=place, shape=shape, of=f" of {datatype}")
    array: npt.NDArray[Any] = np.frombuffer(data, dtype)
    if datatype == "BOOL":
        if array.size and array.max() > 1:
            raise InvalidRequest(f"{place} holds a byte that is no BOOL", field=place, fix="send 0 or 1 for each value")
        array = array.astype(np.bool_)
    return Tensor(name=name, place=place, datatype=datatype, shape=shape, values=array)


def bytes_of_texts(texts: list[str]) -> bytes:
    """Elements of BYTES, each after its length."""
    encoded = [text.encode() for text in texts]
    return b"".join(part for one in encoded for part in (len(one).to_bytes(LENGTH_BYTES, "little"), one))


def _words(data: bytes, n_values: int) -> Words | None:
    """The elements of BYTES, if they are many and all short; None where they are to be looked at one by one.

    The length of a short one ends in three zeros. So between these stand an element and the first byte of the next
    one's length, which is looked at once for each such pair; if all lengths are right, the parts are.
    """
    if not _FEW < n_values <= len(data) // (LENGTH_BYTES + 1):
        return None
    first, *parts = (data + b"\0").split(_ZEROS, n_values)
    if len(first) != 1 or len(parts) != n_values:
        return None
    found, places = numbered(parts)
    if b"" in found:
        return None
    sizes, following = np.array([(len(part) - 1, part[-1]) for part in found]).T
    if sizes[places[0]] != first[0] or (sizes[places[1:]] != following[places[:-1]]).any():
        return None
    try:
        words, numbers = numbered([part[:-1].decode() for part in found])
    except UnicodeDecodeError:
        return None
    return Words(words, numbers[places])


def _texts(data: bytes, n_values: int, *, place: str, shape: tuple[int, ...]) -> list[Scalar]:
    found = list[bytes]()
    at, size = 0, len(data)
    for _ in range(n_values + 1):
        if at >= size:
            break
        start = at + LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "little")
        if at > size:
            raise InvalidRequest(
                f"{place}: element {len(found)} ends {at - size} bytes behind the tensor",
                field=place,
                fix="send each element after its length in 4 bytes, little-endian",
            )
        found.append(data[start:at])
    texts = {one: _text(one, found, place=place) for one in dict.fromkeys(found)}
    if len(found) != n_values:
        many = "more" if len(found) > n_values else str(len(found))
        raise _wrong_length(f"{many} elements", place=place, shape=shape)
    return [texts[one] for one in found]


def _text(one: bytes, found: list[bytes], *, place: str) -> str:
    try:
        return one.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{place}: element {found.index(one)} is not UTF-8", field=place, fix="encode text as UTF-8"
        ) from error


def _fit(values: Sequence[Any], datatype: str) -> bool:
    """Whether values from JSON are all of a datatype, or null; all are looked at at once."""
    kinds = set(map(type, values))
    if NoneType in kinds:
        values, kinds = [value for value in values if value is not None], kinds - {NoneType}
    if not values:
        return True
    if not kinds <= _KINDS.get(datatype, {int}):
        return False
    if datatype in FLOATS:
        lowest, highest = -LARGEST_FLOAT32, LARGEST_FLOAT32
    elif datatype in INTEGERS:
        limits = np.iinfo(INTEGERS[datatype])
        lowest, highest = int(limits.min), int(limits.max)
    else:
        return True
    return bool(lowest <= min(values) <= max(values) <= highest)


def _wrong_length(what: str, *, place: str, shape: tuple[int, ...], of: str = "") -> InvalidRequest:
    return InvalidRequest(
        f"{place} holds {what}, which are not those of the shape {list(shape)}{of}",
        field=place,
        fix="send exactly what the shape says",
    )
