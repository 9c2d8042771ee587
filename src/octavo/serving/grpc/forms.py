"""Forms of requests: those of one caller for one row differ in their values alone, and the rest is looked at once.

To walk over a message of 23 tensors takes longer than to predict by it. So a request that was read field by field
leaves its form behind: its very bytes, with holes where values stand. What has the same bytes around its holes has been
understood with that. Anything else is read field by field, and that alone decides what is refused, and how.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import hypot
from operator import itemgetter
from random import Random
from typing import Any

import numpy as np

from octavo.definitions.types import DType
from octavo.serving.asked import Asked, AskedMatrix, AskedRows
from octavo.serving.columns import are_all_small
from octavo.serving.grpc import wire
from octavo.serving.grpc.layouts import Layout, read_text
from octavo.serving.inference import MATRIX
from octavo.serving.reading import Addressee, asked_by_matrix, asked_by_records
from octavo.serving.requests import LARGEST_FLOAT32, RequestDecoder
from octavo.serving.tensors import BYTES, DATATYPES, FIXED, LENGTH_BYTES

_LONGEST = 8_192
"""Bytes of a message whose form is remembered."""
_MOST_NAMES, _FORMS_OF_A_NAME = 1_024, 4
_LENGTHS = 2
"""Bytes of a tag and a length before a short value."""

_NAME, _VERSION, _ID, _INPUT, _OUTPUT, _RAW = 1, 2, 3, 5, 6, 7
_DATATYPE, _SHAPE, _CONTENTS = 2, 3, 5
_LISTS = {"FP64": 7, "FP32": 6, "INT64": 3, "INT32": 2, "BOOL": 1, BYTES: 8}
_CODES = {"FP64": "d", "FP32": "f", "INT64": "q", "INT32": "i"}
_FLOATS = ("FP64", "FP32")
_FIRST_LAST = {"INT64": (-(2**63), 2**63 - 1), "INT32": (-(2**31), 2**31 - 1), "BOOL": (0, 1)}
_PLAIN: Mapping[DType, Sequence[str]] = {
    DType.FLOAT64: ("FP64", "FP32"),
    DType.INT64: ("INT64", "INT32"),
    DType.BOOL: ("BOOL",),
    DType.STRING: (BYTES,),
    DType.CATEGORY: (BYTES,),
}
"""What stands in a row as it was sent, once it is known to be small enough."""


class Form:
    """The form of one request.

    Parameters
    ----------
    request : ModelInferRequest
        Was understood.
    wanted : tuple of str
        The outputs that it asks for.

    Attributes
    ----------
    model, version : str
    raw : bool
        Whether its values stand in bytes rather than in lists.
    """

    def __init__(self, request: Any, *, wanted: tuple[str, ...]) -> None:
        self.model: str = request.model_name
        self.version: str = request.model_version
        self.raw = len(request.raw_input_contents) > 0
        self.wanted = wanted
        self.has_id = bool(request.id)
        self._sent = [(one.name, one.datatype) for one in request.inputs]
        self._n_inputs = _n_inputs(request)
        self._layout = _layout(request, raw=self.raw, n_inputs=self._n_inputs)
        self._decoder: RequestDecoder | None = None
        self._is_known = self._is_plain = False
        self._pick = self._floats = _picker([])

    def values(self, message: bytes) -> list[Any] | None:
        """The values of a request, its id before them if there is one; None if it is of another form."""
        return None if self._layout is None else self._layout.values(message)

    def asked(self, lineup: Addressee, values: Sequence[Any]) -> Asked | None:
        """What values, without an id, ask for; None if that is to be seen field by field.

        Raises
        ------
        InvalidRequest
            If they are not what the deployment takes.
        """
        if lineup.decoder is not self._decoder:
            self._bind(lineup.decoder)
        if self._n_inputs is not None:
            return self._matrix(lineup, values[0])
        if self._is_plain and hypot(*self._floats(values)) <= LARGEST_FLOAT32:  # so each is finite, and small enough
            return AskedRows([tuple(self._pick((*values, None)))])
        if not self._is_known:
            return None
        row = {name: None if value != value else value for (name, _), value in zip(self._sent, values, strict=True)}
        return asked_by_records(lineup, [row])

    def _matrix(self, lineup: Addressee, data: bytes) -> Asked | None:
        inputs = lineup.common_inputs
        if MATRIX in lineup.decoder.dtypes or inputs is None or len(inputs) != self._n_inputs:
            return None
        matrix = np.frombuffer(data, FIXED[self._sent[0][1]]).reshape(1, -1)
        if matrix.dtype == np.float32 and are_all_small(matrix):
            return AskedMatrix(matrix)
        return asked_by_matrix(lineup, matrix, field=MATRIX)

    def _bind(self, decoder: RequestDecoder) -> None:
        """Find out which value is which of a deployment's fields."""
        self._decoder = decoder
        names, dtypes = [name for name, _ in self._sent], decoder.dtypes
        self._is_known = len(set(names)) == len(names) and all(
            name in dtypes and datatype in DATATYPES[dtypes[name]] for name, datatype in self._sent
        )
        self._is_plain = (
            self._is_known
            and decoder.required <= set(names)
            and all(datatype in _PLAIN.get(dtypes[name], ()) for name, datatype in self._sent)
        )
        self._floats = _picker([place for place, (_, datatype) in enumerate(self._sent) if datatype in _FLOATS])
        self._pick = _picker([names.index(name) if name in names else -1 for name in decoder.names])


class Forms:
    """The forms that requests came in lately, by the deployment that they ask.

    Parameters
    ----------
    learnt : float
        The share of unknown forms that is learnt: callers whose forms never come again are not to pay for each.
    """

    def __init__(self, *, learnt: float = 0.125) -> None:
        self._by_name: dict[bytes, list[Form]] = {}
        self._learnt = learnt
        self._chance = Random(0)

    def find(self, message: bytes) -> tuple[Form, list[Any]] | None:
        """The form that a request has, and its values; None if it has none that is known."""
        forms = self._by_name.get(_head(message))
        if forms is None:
            return None
        for place, form in enumerate(forms):
            values = form.values(message)
            if values is not None:
                if place:
                    forms.insert(0, forms.pop(place))
                return form, values
        return None

    def learn(self, request: Any, message: bytes, *, wanted: tuple[str, ...]) -> None:
        """Remember the form of a request that was understood, if it is of one row and its turn has come."""
        if len(message) > _LONGEST or request.inputs[0].shape[0] != 1 or self._chance.random() >= self._learnt:
            return
        form = Form(request, wanted=wanted)
        if form.values(message) is None:
            return
        if len(self._by_name) >= _MOST_NAMES:
            self._by_name.clear()
        forms = self._by_name.setdefault(_head(message), [])
        forms.insert(0, form)
        del forms[_FORMS_OF_A_NAME:]


def _head(message: bytes) -> bytes:
    """The field of the deployment's name, which is the first."""
    return message[: _LENGTHS + message[1]] if len(message) > 1 else b""


def _n_inputs(request: Any) -> int | None:
    """The model's inputs, if they are sent side by side; None if they are sent as fields."""
    first = request.inputs[0]
    is_matrix = len(request.inputs) == 1 and first.name == MATRIX and first.datatype in ("FP32", "FP64")
    return first.shape[1] if is_matrix and len(first.shape) == 2 and first.shape[1] else None


def _layout(request: Any, *, raw: bool, n_inputs: int | None) -> Layout | None:
    """Where the values of a request of one row stand; None if one is of a kind for which that is not known."""
    layout = Layout()
    layout.add(wire.text(_NAME, request.model_name) + wire.text(_VERSION, request.model_version))
    if request.id:
        layout.add(wire.tag(_ID))
        layout.add_value("B")
        layout.add_text(read_text, sizes=(0,))
    for given in request.inputs:
        if list(given.shape) not in ([1], [1, n_inputs or 1]) or given.datatype not in _LISTS:
            return None
        head = wire.text(_NAME, given.name) + wire.text(_DATATYPE, given.datatype) + wire.numbers(_SHAPE, given.shape)
        if raw:
            layout.add(wire.field(_INPUT, head))
        else:
            _lay_listed(layout, head, given.datatype, n_inputs=n_inputs)
    for output in request.outputs:
        layout.add(wire.field(_OUTPUT, wire.text(_NAME, output.name)))
    if raw:
        for given in request.inputs:
            if given.datatype == "BOOL":
                return None
            _lay_raw(layout, given.datatype, n_inputs=n_inputs)
    layout.end()
    return layout


def _lay_listed(layout: Layout, head: bytes, datatype: str, *, n_inputs: int | None) -> None:
    number = _LISTS[datatype]
    if datatype in _FLOATS:
        code, size = _code(datatype, n_inputs=n_inputs)
        contents = wire.field(_CONTENTS, wire.field(number, bytes(size)))
        layout.add(wire.field(_INPUT, head + contents)[:-size])
        layout.add_value(code)
        return
    layout.add(wire.tag(_INPUT))
    layout.add_value("B")
    layout.add(head + wire.tag(_CONTENTS))
    layout.add_value("B")
    layout.add(wire.tag(number))
    layout.add_value("B")
    read = read_text if datatype == BYTES else partial(_whole, datatype)
    layout.add_text(read, sizes=(len(head) + _LENGTHS + _LENGTHS, _LENGTHS, 0))


def _lay_raw(layout: Layout, datatype: str, *, n_inputs: int | None) -> None:
    if datatype == BYTES:
        layout.add(wire.tag(_RAW))
        layout.add_value("B")
        layout.add_value("I")
        layout.add_text(read_text, sizes=(LENGTH_BYTES, 0))
        return
    code, size = _code(datatype, n_inputs=n_inputs)
    layout.add(wire.field(_RAW, bytes(size))[:-size])
    layout.add_value(code)


def _code(datatype: str, *, n_inputs: int | None) -> tuple[str, int]:
    """A value's code of `struct`, and its bytes."""
    size = FIXED[datatype].itemsize
    return (_CODES[datatype], size) if n_inputs is None else (f"{n_inputs * size}s", n_inputs * size)


def _whole(datatype: str, data: bytes) -> int | None:
    """A whole number from a list; None if it is none of the datatype."""
    number = wire.read_varint(data)
    if number is None or not _FIRST_LAST[datatype][0] <= number <= _FIRST_LAST[datatype][1]:
        return None
    return bool(number) if datatype == "BOOL" else number


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Takes what stands at some places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: [values[place] for place in places]
