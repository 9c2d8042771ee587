"""What a predictor and the process of some functions say to each other: msgpack, each message after its length.

No pickle in either direction. Light: the process imports this, and what it imports is the time that it takes to start.
"""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

LENGTH = struct.Struct("<I")
ALL, AFTER = -1, -2
"""In the place of a function: all that are computed together, and what comes after the model."""
FAILED_TO_LOAD = -1
_TEXTS = "O"
_LONGEST_REASON = 1_000


class Begin(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a process begins with.

    Attributes
    ----------
    modules : tuple of (str, str, bytes)
        A name of each, where it came from, and its source.
    functions : tuple of (str, tuple of str)
        The name and the inputs of each that is wanted.
    memory_bytes : int
        What the process may allocate.
    is_chained : bool
        Whether the functions take each other's values, and may all be asked together.
    after : (str, tuple of str) or None
        The name and the inputs of what comes after the model.
    """

    modules: tuple[tuple[str, str, bytes], ...]
    functions: tuple[tuple[str, tuple[str, ...]], ...]
    memory_bytes: int
    is_chained: bool = True
    after: tuple[str, tuple[str, ...]] | None = None


class Column(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One column: numbers and times as their bytes, strings as a list with None for null."""

    dtype: str
    data: bytes | list[str | None]

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> "Column":
        dtype = values.dtype
        if dtype.kind == _TEXTS:
            return cls(_TEXTS, values.tolist())
        return cls(dtype.str, values.tobytes())

    def array(self) -> npt.NDArray[Any]:
        """As it was, writable."""
        if isinstance(self.data, list):
            texts = np.empty(len(self.data), object)
            texts[:] = self.data
            return texts
        return np.frombuffer(self.data, self.dtype).copy()


class Ask(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Some rows.

    Attributes
    ----------
    only : int
        The place of the one function that is wanted, `ALL`, or `AFTER`.
    columns : list of Column
        In the order that the process knows by the functions' inputs; see `taken`.
    """

    number: int
    only: int
    n_rows: int
    columns: list[Column]


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to the question of that number; `FAILED_TO_LOAD` for a process that ends without taking any.

    Attributes
    ----------
    values : bytes
        float64, shape (n_functions, n_rows), of those that were asked.
    reason : str
        Why there are no values; empty if there are.
    feature : str
        Whose fault it is, if it is one function's.
    """

    number: int
    values: bytes = b""
    reason: str = ""
    feature: str = ""

    @classmethod
    def failed(cls, number: int, reason: str, *, feature: str = "") -> "Told":
        return cls(number, reason=reason[:_LONGEST_REASON], feature=feature)


def taken(functions: Sequence[tuple[str, tuple[str, ...]]], only: int = ALL) -> tuple[str, ...]:
    """The names of the columns of a question: what the functions take that is no function's value, in order."""
    if only != ALL:
        return functions[only][1]
    own = {name for name, _ in functions}
    return tuple(dict.fromkeys(name for _, inputs in functions for name in inputs if name not in own))


def framed(message: msgspec.Struct) -> bytes:
    """A message as it is sent."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
