"""Forms of long bodies of JSON: what one caller sends again and again has the same keys in the same order.

A body that was read and found right leaves its form behind: the bytes between the values of its first row. Rows that
have the same bytes there are read by a compiled loop in a third of the time. Whatever that cannot tell for certain, or
would have to refuse, is for the usual reading, which alone decides.
"""

import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from octavo.definitions.types import DType
from octavo.processes import SUPERVISOR_VARIABLE
from octavo.serving.asked import AskedColumns
from octavo.serving.columns import AcceptedColumn, AcceptedWords, Grid, as_slice
from octavo.serving.requests import LONGEST_STRING, RequestDecoder

FLOAT, WHOLE, TRUTH, TEXT = range(4)
"""The kinds of fields, to the loop."""

MOST_WORDS = 64
"""Different texts of a field in one body."""

_REMEMBERED = 4
"""Forms of a deployment."""
_BLANKS = rb"[ \t\n\r]*"


def _blank(pattern: bytes) -> re.Pattern[bytes]:
    """A pattern in which a blank stands for any that JSON allows."""
    return re.compile(pattern.replace(b" ", _BLANKS))


_BEGINNING = _blank(rb' \{ "rows" : \[ ')
_FIRST, _NEXT = _blank(rb'\{ "([^"\\]*)" : '), _blank(rb' , "([^"\\]*)" : ')
_VALUE = re.compile(rb'"[^"\\]*"|[-+.\w]+')
_BETWEEN, _END = _blank(rb" \} , "), _blank(rb" \} \] \} \Z")
_PATIENCE_S = 300
_KINDS = {DType.FLOAT64: FLOAT, DType.INT64: WHOLE, DType.BOOL: TRUTH, DType.STRING: TEXT, DType.CATEGORY: TEXT}

Loop = Callable[..., tuple[int, int, int]]

log = logging.getLogger(__name__)


class _Form(NamedTuple):
    """A form, as `octavo.serving.json_loops.read` takes it, and the field that each value is of."""

    pieces: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    may_lack: npt.NDArray[np.bool_]
    places: list[int]
    dtypes: list[DType]


class JsonForms:
    """The forms of the long bodies that deployments were sent last. Used from one thread only.

    Parameters
    ----------
    loop : callable or None
        The compiled loop; None to have it made, apart, once it is needed.

    Attributes
    ----------
    loading : Thread or None
        Sees to that.
    """

    def __init__(self, loop: Loop | None = None) -> None:
        self.loading: threading.Thread | None = None
        self._loop = loop
        self._known: WeakKeyDictionary[RequestDecoder, list[_Form]] = WeakKeyDictionary()

    def read(self, decoder: RequestDecoder, body: bytes) -> AskedColumns | None:
        """What a body asks for; None if it is to be read as usual."""
        if self._loop is None:
            return None
        for form in self._known.get(decoder, ()):
            asked = _asked(self._loop, form, body, most_rows=decoder.max_rows)
            if asked is not None:
                return asked
        return None

    def learn(self, decoder: RequestDecoder, body: bytes) -> None:
        """Remember the form of a body that was read as usual, and found right."""
        if self._loop is None:
            self._have_loop()
            return
        form = _form_of(decoder, body)
        if form is None:
            return
        known = self._known.setdefault(decoder, [])
        if not any(bytes(one.pieces) == bytes(form.pieces) for one in known):
            known[:] = [form, *known][:_REMEMBERED]

    def _have_loop(self) -> None:
        """Have the loop compiled by another process, for which nobody waits, and load what it leaves."""
        if self.loading is None:
            self.loading = threading.Thread(target=self._load, name="json loops", daemon=True)
            self.loading.start()

    def _load(self) -> None:
        compiling = [sys.executable, "-m", "octavo.serving.json_loops"]
        environment = {**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())}
        done = subprocess.run(compiling, env=environment, timeout=_PATIENCE_S, check=False, capture_output=True)
        if done.returncode:
            log.warning("the loop that reads JSON cannot be compiled", extra={"reason": done.stderr[-500:].decode()})
            return
        from octavo.serving import json_loops

        if json_loops.is_kept():  # compiled here it would hold up everybody
            json_loops.compile_read()
            self._loop = json_loops.read


def _asked(loop: Loop, form: _Form, body: bytes, *, most_rows: int) -> AskedColumns | None:
    octets, beginning = np.frombuffer(body, np.uint8), _BEGINNING.match(body)
    if beginning is None:
        return None
    shortest = len(form.pieces) + len(form.places)
    shape = len(form.places), min(len(body) // shortest + 1, most_rows)
    floats, wholes, words = np.empty(shape), np.empty(shape, np.int64), np.full((shape[0], MOST_WORDS, 2), -1)
    n_rows, n_nulls, at = loop(
        octets, beginning.end(), form.pieces, form.ends, form.kinds, form.may_lack, floats, wholes, words
    )
    if not n_rows or _END.match(body, at) is None:
        return None
    columns: list[AcceptedColumn | None] = [None] * shape[0]
    for line, (place, dtype) in enumerate(zip(form.places, form.dtypes, strict=True)):
        if dtype is DType.FLOAT64:
            columns[place] = AcceptedColumn(floats[line, :n_rows])
        elif dtype is DType.INT64:
            columns[place] = AcceptedColumn(wholes[line, :n_rows])
        elif dtype is DType.BOOL:
            columns[place] = AcceptedColumn(wholes[line, :n_rows] != 0)
        else:
            texts = _texts(body, words[line])
            if texts is None:
                return None
            columns[place] = AcceptedWords(texts, wholes[line, :n_rows].astype(np.int32))
    lines = [line for line, dtype in enumerate(form.dtypes) if dtype is DType.FLOAT64]
    if n_nulls or not lines:
        return AskedColumns(columns, n_rows=n_rows)
    grid = Grid(tuple([form.places[line] for line in lines]), floats[as_slice(lines), :n_rows].T)
    return AskedColumns(columns, n_rows=n_rows, grid=grid)


def _texts(body: bytes, words: npt.NDArray[np.int64]) -> list[str | None] | None:
    """The different texts of a field; None if one is to be looked at closely."""
    try:
        texts = [body[first : first + size].decode() for first, size in words[words[:, 0] >= 0].tolist()]
    except UnicodeDecodeError:
        return None
    return [*texts] if all(len(text) <= LONGEST_STRING for text in texts) else None


def _form_of(decoder: RequestDecoder, body: bytes) -> _Form | None:
    """The form of a body that is right; None if it has none that can be known again."""
    beginning = _BEGINNING.match(body)
    if beginning is None or DType.TIMESTAMP in decoder.dtypes.values():
        return None
    at, names, pieces = beginning.end(), list[str](), list[bytes]()
    while (key := (_NEXT if names else _FIRST).match(body, at)) and (value := _VALUE.match(body, key.end())):
        names.append(key[1].decode())
        pieces.append(key[0])
        at = value.end()
    between = _BETWEEN.match(body, at)
    if between is None or sorted(names) != sorted(decoder.names):
        return None
    dtypes = [decoder.dtypes[name] for name in names]
    return _Form(
        np.frombuffer(b"".join([*pieces, between[0]]), np.uint8),
        np.cumsum([*map(len, pieces), len(between[0])]),
        np.array([_KINDS[dtype] for dtype in dtypes]),
        np.array([name not in decoder.required for name in names]),
        [decoder.places[name] for name in names],
        dtypes,
    )
