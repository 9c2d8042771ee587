"""Loops over the words of online states, compiled to machine code by numba.

What is decorated is compiled when it is first called, which takes seconds, and kept on disk from then on: beside its
source, or else where numba keeps such things for the user (``NUMBA_CACHE_DIR`` says otherwise).
"""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
import numpy.typing as npt

Words: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Singles: TypeAlias = npt.NDArray[np.float32]
Octets: TypeAlias = npt.NDArray[np.uint8]
Table: TypeAlias = Any
"""A structured array of whole numbers, made by `table`; its records have attributes."""
Record: TypeAlias = Any

_F = TypeVar("_F", bound=Callable[..., Any])


def compiled(function: _F) -> _F:
    """A function of numbers and arrays as machine code; its arithmetic is IEEE's, in the order that is written."""
    return _compiled(function, inline=False)


def inlined(function: _F) -> _F:
    """The same, and its code stands in that of its callers: to pass arrays takes longer than to read a few words."""
    return _compiled(function, inline=True)


def _compiled(function: _F, *, inline: bool) -> _F:
    try:
        made: _F = numba.njit(function, cache=True, nogil=True, error_model="numpy", forceinline=inline)
    except RuntimeError:  # there is nowhere to keep it
        made = numba.njit(function, nogil=True, error_model="numpy", forceinline=inline)
    return made


def table(*columns: str) -> np.dtype[np.void]:
    """The type of a `Table` with some columns."""
    return np.dtype([(column, np.int64) for column in columns], align=True)
