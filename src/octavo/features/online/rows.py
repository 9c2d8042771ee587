"""The reading of states as one call of machine code, by addresses: what is called with arrays costs as much as it does.

A call takes four blocks of memory: numbers of the request, the states as they stand in the store, the tables of what to
read (`pack_tables`), and a place for the answer, which is overwritten by the next call.
"""

import ctypes
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba import types
from numba.np.numpy_support import carray

from octavo.features.online.compiled import Floats, Octets, Singles, Table, Words, inlined
from octavo.features.online.reading import FEATURE, VIEW, WINDOW, read_states
from octavo.features.online.shapes import GROUP, SHAPE
from octavo.features.online.soundness import damaged
from octavo.features.values import FeatureStatus, OnlineValues

_TABLES = (VIEW, SHAPE, GROUP, WINDOW, FEATURE)
_WIDTHS = tuple(dtype.itemsize // 8 for dtype in _TABLES)
_HEAD = len(_TABLES) + 2
"""Words before the tables: how many rows each has, then how many ranks and how many values of an answer there are."""
_REQUEST = 4
"""Words before a request's places and sizes: the moment, how many rows, places and states there are."""
_DEFAULT = int(FeatureStatus.DEFAULT)
_FEW = 64

_Room = tuple[OnlineValues, tuple[int, int, int]]
"""Room for an answer, and the addresses of its arrays."""


def pack_tables(tables: Sequence[Table], ranks: Floats, unknown: Floats, defaults: Floats) -> Words:
    """The tables of what to read as one block.

    Parameters
    ----------
    tables : sequence of Table
        Views, shapes, groups, windows and features, as `read_states` takes them.
    ranks : ndarray, shape (n_features,), float64
    unknown : ndarray, shape (2, n_values), float64
        Value and status of each value of an entity that nothing is known about.
    defaults : ndarray, shape (n_values,), float64
        NaN where none is declared.
    """
    sizes = [*(len(table) for table in tables), len(ranks), len(defaults)]
    parts = [np.array(sizes, np.int64), *(table.view(np.int64) for table in tables)]
    parts += [ranks.view(np.int64), unknown.ravel().view(np.int64), defaults.view(np.int64)]
    return np.concatenate(parts)


class RowsReader:
    """Reads by one set of tables. Not to be shared between threads.

    Parameters
    ----------
    tables : ndarray, int64
        As made by `pack_tables`.
    """

    def __init__(self, tables: Words) -> None:
        self._tables = tables
        self._tables_at = tables.ctypes.data
        self._n_values = int(tables[_HEAD - 1])
        self._call = _machine_code()
        self._rooms: dict[int, _Room] = {}

    def read(self, states: Sequence[bytes], places: Sequence[int], *, n_rows: int, at_us: int) -> OnlineValues:
        """Values of some rows.

        Parameters
        ----------
        states : sequence of bytes
        places : sequence of int
            By view, the state of each row; -1 for none.

        Raises
        ------
        IntegrityError
            If a state is damaged.
        """
        numbers = array("q", [at_us, n_rows, len(places), len(states), *places, *map(len, states)])
        request, data = numbers.tobytes(), b"".join(states)
        is_few = n_rows <= _FEW  # to make room and to find out addresses takes longer than to copy some rows
        answer, addresses = (self._rooms.get(n_rows) if is_few else None) or self._room(n_rows)
        if not self._call(request, data, self._tables_at, *addresses):
            raise damaged()
        if not is_few:
            return answer
        self._rooms[n_rows] = answer, addresses
        values, status, ages_s = answer
        return OnlineValues(values.copy(), status.copy(), ages_s.copy())

    def _room(self, n_rows: int) -> _Room:
        """Room for an answer in one block of memory, and the addresses of its arrays: numpy takes long to tell them."""
        shape, n = (n_rows, self._n_values), n_rows * self._n_values
        room = bytearray(max(9 * n, 1))
        at = ctypes.addressof(ctypes.c_char.from_buffer(room))
        arrays = np.ndarray(shape, np.float32, room), np.ndarray(shape, np.float32, room, 4 * n)
        answer = OnlineValues(arrays[0], np.ndarray(shape, np.uint8, room, 8 * n), arrays[1])
        return answer, (at, at + 8 * n, at + 4 * n)


@lru_cache(maxsize=1)
def _machine_code() -> Callable[..., int]:
    """`_by_addresses` as machine code, compiled when it is first needed, and kept on disk."""
    words, singles, octets = map(_pointer, (types.int64, types.float32, types.uint8))
    signature = types.int64(words, words, words, singles, octets, singles)
    try:
        code = numba.cfunc(signature, cache=True)(_by_addresses)
    except RuntimeError:  # there is nowhere to keep it
        code = numba.cfunc(signature)(_by_addresses)
    # It keeps the interpreter's lock: to give it up for so short, and to have it back, is felt.
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_char_p, ctypes.c_char_p, *[ctypes.c_void_p] * 4)
    assert code.address is not None, "it is compiled"
    call = prototype(code.address)
    call.code = code  # type: ignore[attr-defined]  # it must live as long as it may be called
    return call


def _pointer(kind: Any) -> Any:
    return types.CPointer(kind)  # type: ignore[no-untyped-call]  # numba says no more of it


def _by_addresses(request: Any, data: Any, tables: Any, values: Any, status: Any, ages_s: Any) -> Any:
    """Read the rows of a request; 0 if a state is not sound, else 1."""
    at_us, n_rows, n_places, n_states = request[0], request[1], request[2], request[3]
    numbers = carray(request, (_REQUEST + n_places + n_states,))
    index = numbers[_REQUEST : _REQUEST + n_places].reshape(tables[0], n_rows)
    starts = _starts(numbers[_REQUEST + n_places :])
    if starts[0] < 0:
        return 0
    shape = n_rows, tables[_HEAD - 1]
    answer = carray(values, shape), carray(status, shape), carray(ages_s, shape)
    program = carray(tables, (_length(carray(tables, (_HEAD,))),))
    if not _read_rows(carray(data, (starts[-1],)), starts, index, at_us, program, answer):
        return 0
    return 1


@inlined
def _starts(sizes: Words) -> Words:
    """Where states begin and the last one ends, in words; the first place is -1 if one is not of whole words."""
    starts = np.zeros(len(sizes) + 1, np.int64)
    for state in range(len(sizes)):
        starts[state + 1] = starts[state] + (sizes[state] >> 3)
        if sizes[state] & 7:
            starts[0] = -1
            break
    return starts


@inlined
def _length(head: Words) -> int:
    """Words of a block of tables."""
    words: int = _HEAD + head[5] + 3 * head[6]
    for table, width in enumerate(_WIDTHS):
        words += head[table] * width
    return words


@inlined
def _read_rows(
    data: Words, starts: Words, index: Words, at_us: int, tables: Words, answer: tuple[Singles, Octets, Singles]
) -> bool:
    views_end = _HEAD + tables[0] * _WIDTHS[0]
    shapes_end = views_end + tables[1] * _WIDTHS[1]
    groups_end = shapes_end + tables[2] * _WIDTHS[2]
    windows_end = groups_end + tables[3] * _WIDTHS[3]
    features_end = windows_end + tables[4] * _WIDTHS[4]
    views, shapes = tables[_HEAD:views_end].view(VIEW), tables[views_end:shapes_end].view(SHAPE)
    groups, windows = tables[shapes_end:groups_end].view(GROUP), tables[groups_end:windows_end].view(WINDOW)
    features, numbers = tables[windows_end:features_end].view(FEATURE), tables[features_end:].view(np.float64)
    ranks, of_values = numbers[: tables[5]], numbers[tables[5] :].reshape(3, tables[6])
    values, status, ages_s = answer
    for row in range(values.shape[0]):
        for place in range(values.shape[1]):
            values[row, place], status[row, place] = of_values[0, place], np.uint8(of_values[1, place])
            ages_s[row, place] = np.nan
    if not read_states(
        data, starts, index, at_us, views, shapes, groups, windows, features, ranks, values, status, ages_s
    ):
        return False
    for row in range(values.shape[0]):
        for place in range(values.shape[1]):
            default = of_values[2, place]
            if default == default and values[row, place] != values[row, place]:
                values[row, place], status[row, place] = default, _DEFAULT
    return True
