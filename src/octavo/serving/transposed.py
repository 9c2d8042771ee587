"""Many rows of fields as columns, which are cheaper to give to a model, and to keep, than as many tuples."""

import struct
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.types import DType
from octavo.serving.asked import AskedColumns, AskedRows
from octavo.serving.columns import AcceptedColumn, AcceptedWords, Grid
from octavo.serving.json_forms import JsonForms
from octavo.serving.requests import Fields, RequestDecoder

_SHORT, _FEW = 100_000, 8
"""Rows of a body of less bytes, and so few rows of any, are cheaper as they are."""
_MARKED = np.dtype([("mark", "u1"), ("value", ">f8")])
_encode = msgspec.msgpack.Encoder().encode


def asked_by_rows(decoder: RequestDecoder, body: bytes) -> AskedRows | AskedColumns:
    """What the rows of a body ask for.

    They stay rows where they are few, and where a field holds what no array does as it was sent: an instant with its
    offset, or null in the place of a whole number or a truth.

    Raises
    ------
    InvalidRequest, LimitExceeded
        See `RequestDecoder.decode`.
    """
    if len(body) < _SHORT:
        return AskedRows(decoder.decode(body))
    if not decoder.names or DType.TIMESTAMP in decoder.dtypes.values():
        return AskedRows(decoder.decode(body))
    asked = _forms.read(decoder, body)
    if asked is not None:
        return asked
    fields = decoder.decode_fields(body)
    _forms.learn(decoder, body)
    asked = _by_columns(list(decoder.dtypes.values()), fields) if fields.n_rows > _FEW else None
    return asked or AskedRows(list(zip(*fields.values, strict=True)))


_forms = JsonForms()


def _by_columns(dtypes: Sequence[DType], fields: Fields) -> AskedColumns | None:
    """None where no array holds a field."""
    places = [place for place, dtype in enumerate(dtypes) if dtype is DType.FLOAT64]
    floats = _floats([fields.values[place] for place in places], n_rows=fields.n_rows)
    numbers = dict(zip(places, floats if floats is not None else (), strict=False))
    try:
        columns = [
            AcceptedColumn(numbers[place]) if place in numbers else _column(dtype, fields.values[place])
            for place, dtype in enumerate(dtypes)
        ]
    except struct.error:
        return None
    grid = None if floats is None else Grid(tuple(places), floats.T)
    return AskedColumns(columns, n_rows=fields.n_rows, grid=grid)


def _floats(fields: Sequence[Sequence[float | None]], *, n_rows: int) -> npt.NDArray[np.float64] | None:
    """Numbers of some fields, shape (n_fields, n_rows); None if something is null.

    Made of what msgpack writes, a mark and eight bytes of each, in a third of the time that `struct` takes, or numpy.
    """
    data = _encode(fields)
    size = len(_encode([0.0] * n_rows))  # of a field, its length before it
    first = len(data) - size * len(fields)
    if first < 0 or not fields:
        return None
    marked = np.frombuffer(data, np.uint8, offset=first).reshape(len(fields), size)[:, -n_rows * _MARKED.itemsize :]
    return marked.view(_MARKED)["value"].astype(np.float64)


def _column(dtype: DType, values: Sequence[Any]) -> AcceptedColumn:
    if dtype is DType.FLOAT64:
        return AcceptedColumn(np.array(values, np.float64))
    if dtype is DType.BOOL:
        return AcceptedColumn(_packed("b", values).view(np.bool_))
    if dtype is DType.INT64:
        return AcceptedColumn(_packed("q", values))
    places = {word: place for place, word in enumerate(set(values))}
    return AcceptedWords(list(places), _packed("i", itemgetter(*values)(places)))


def _packed(kind: str, values: Sequence[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(struct.pack(f"<{len(values)}{kind}", *values), f"<{kind}")
