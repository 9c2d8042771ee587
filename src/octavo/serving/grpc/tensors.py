"""Tensors of the protocol's messages: from typed lists or raw bytes, and back in the form that the request chose."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from octavo.errors import InvalidRequest
from octavo.serving.tensors import BYTES, FIXED, Tensor, check_datatype, from_bytes

_MOST_TENSORS = 4096
_LONGEST_SHAPE = 2
_LISTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""Where the values of a datatype stand; FP16 has no list and comes raw."""


def tensors_of(request: Any) -> dict[str, Tensor]:
    """The inputs of a ModelInferRequest by name.

    Raises
    ------
    InvalidRequest
        If their lists or bytes are not what their datatypes and shapes say.
    """
    inputs, raw = request.inputs, request.raw_input_contents
    if not 1 <= len(inputs) <= _MOST_TENSORS:
        raise InvalidRequest(
            f"the request holds {len(inputs):,} inputs", field="inputs", fix=f"send 1 to {_MOST_TENSORS:,} inputs"
        )
    if raw and len(raw) != len(inputs):
        raise InvalidRequest(
            f"raw_input_contents holds {len(raw):,} parts for {len(inputs):,} inputs",
            field="raw_input_contents",
            fix="send one part for each input, in their order, or none",
        )
    found: dict[str, Tensor] = {}
    for number, given in enumerate(inputs):
        place = f"inputs[{number}]"
        if given.name in found:
            raise InvalidRequest(f"{place} is a second {given.name[:80]!r}", field=f"{place}.name", fix="send it once")
        found[given.name] = _tensor(given, raw[number] if raw else None, place=place)
    return found


def check_parameters(parameters: Any, *, place: str) -> None:
    """Refuse a parameter of a tensor, none of which is known; it would be left out of account silently.

    Raises
    ------
    InvalidRequest
    """
    for name in parameters:
        raise InvalidRequest(
            f"{place} has the parameter {name[:80]!r}, which this server does not take",
            field=f"{place}.parameters",
            fix="leave it out",
        )


def _tensor(given: Any, raw: bytes | None, *, place: str) -> Tensor:
    check_parameters(given.parameters, place=place)
    check_datatype(given.datatype, place=place)
    shape = _shape(given.shape, place=place)
    if raw is None:
        return _from_lists(given, place=place, shape=shape)
    if given.contents.ListFields():
        raise InvalidRequest(
            f"{place} holds both of contents and raw_input_contents", field=place, fix="send the one or the other"
        )
    return from_bytes(memoryview(raw), name=given.name, place=place, datatype=given.datatype, shape=shape)


def _shape(sizes: Sequence[int], *, place: str) -> tuple[int, ...]:
    shape = tuple(sizes)
    if not 1 <= len(shape) <= _LONGEST_SHAPE or min(shape) < 0:
        raise InvalidRequest(
            f"{place}.shape has {len(shape)} sizes, or one below 0",
            field=f"{place}.shape",
            fix="send one or two sizes of at least 0",
        )
    return shape


def _from_lists(given: Any, *, place: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor from the one list that its datatype names; as bytes, so that what follows is the same."""
    own, lists = _LISTS.get(given.datatype), given.contents.ListFields()
    if own is None or any(field.name != own for field, _ in lists):
        raise InvalidRequest(
            f"{place}.contents holds {', '.join(field.name for field, _ in lists) or 'nothing'} for {given.datatype}",
            field=f"{place}.contents",
            fix=f"send {own}" if own else "send raw_input_contents",
        )
    values = lists[0][1] if lists else ()
    if len(values) != prod(shape):
        raise InvalidRequest(
            f"{place} holds {len(values)} values, which are not those of the shape {list(shape)}",
            field=place,
            fix="send exactly what the shape says",
        )
    data = _elements(values) if given.datatype == BYTES else _packed(values, given.datatype, place=place)
    return from_bytes(memoryview(data), name=given.name, place=place, datatype=given.datatype, shape=shape)


def _elements(values: Sequence[bytes]) -> bytes:
    return b"".join(part for one in values for part in (len(one).to_bytes(4, "little"), one))


def _packed(values: Sequence[int | float], datatype: str, *, place: str) -> bytes:
    try:
        return np.array(list(values), FIXED[datatype]).tobytes()
    except OverflowError as error:  # a list of 32 bits holds what 8 and 16 do not
        raise InvalidRequest(
            f"{place}.contents holds a number that is no {datatype}", field=f"{place}.contents", fix="send smaller ones"
        ) from error
