"""The usual request of the Open Inference Protocol: few rows, of which each field is a flat list in the JSON.

Such a body is checked against its datatypes while it is parsed, and its fields become rows, which are answered together
with those of other doors. All else, and all that is wrong, is for `octavo.serving.inference` to read, or to refuse.
"""

from typing import Annotated, Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from octavo.serving.asked import Asked
from octavo.serving.columns import rows_of
from octavo.serving.reading import Addressee, asked_by_records
from octavo.serving.requests import LARGEST_FLOAT32, has_more_keys
from octavo.serving.tensors import BYTES, DATATYPES, FLOATS, INTEGERS
from octavo.serving.turns import FEW

_MOST_SIGNATURES = 64
_INPUT_KEYS = 4
_LARGE = 65_536


def _values(datatype: str) -> Any:
    if datatype in FLOATS:
        return list[Annotated[float, Meta(ge=-LARGEST_FLOAT32, le=LARGEST_FLOAT32)] | None]
    if datatype in INTEGERS:
        limits = np.iinfo(INTEGERS[datatype])
        return list[Annotated[int, Meta(ge=int(limits.min), le=int(limits.max))] | None]
    return list[bool | None] if datatype == "BOOL" else list[str | None]


_INPUTS: Any = {
    datatype: msgspec.defstruct(
        f"Plain{datatype}",
        [("name", str), ("shape", Annotated[list[int], Meta(max_length=1)]), ("data", _values(datatype))],
        forbid_unknown_fields=True,
        tag_field="datatype",
        tag=datatype,
        frozen=True,
        gc=False,
    )
    for datatype in (*FLOATS, *INTEGERS, "BOOL", BYTES)
    if datatype != "UINT64"  # whose largest are beyond what is checked while parsing
}
_Input: Any = None
for _kind in _INPUTS.values():
    _Input = _kind if _Input is None else _Input | _kind


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    inputs: Annotated[list[_Input], Meta(min_length=1, max_length=4096)]
    id: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Document).decode
_fitting: WeakKeyDictionary[Addressee, set[tuple[Any, ...]]] = WeakKeyDictionary()


class Plain(NamedTuple):
    """What such a request asks for, and the id that it gave itself."""

    asked: Asked
    id: str | UnsetType


def read_plain(lineup: Addressee, body: bytes) -> Plain | None:
    """The rows of a usual request; None if it is another one, or wrong.

    Raises
    ------
    InvalidRequest
        If a value is none of the deployment's.
    """
    if len(body) > _LARGE:  # then the rows are hardly few
        return None
    try:
        document = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    inputs: list[Any] = document.inputs
    columns, n_rows = [one.data for one in inputs], len(inputs[0].data)
    if not 0 < n_rows <= FEW or set(map(len, columns)) != {n_rows}:
        return None
    if [one.shape for one in inputs] != [[n_rows]] * len(inputs):
        return None
    if has_more_keys(body, 1 + _INPUT_KEYS * len(inputs) + (document.id is not UNSET)):
        return None
    names = [one.name for one in inputs]
    if not _fits(lineup, names, list(map(type, inputs))):
        return None
    return Plain(asked_by_records(lineup, rows_of(names, columns)), document.id)


def _fits(lineup: Addressee, names: list[str], kinds: list[Any]) -> bool:
    """Whether each name is there once, as a datatype that its field takes; who sends one such request sends more."""
    known = _fitting.get(lineup)
    if known is None:
        known = _fitting[lineup] = set()
    signature = (*names, *kinds)
    if signature in known:
        return True
    dtypes = lineup.decoder.dtypes
    fits = len(set(names)) == len(names) and all(
        name in dtypes and any(kind is _INPUTS.get(datatype) for datatype in DATATYPES[dtypes[name]])
        for name, kind in zip(names, kinds, strict=True)
    )
    if fits and len(known) < _MOST_SIGNATURES:
        known.add(signature)
    return fits
