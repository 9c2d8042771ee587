"""Answers as ModelInferResponse, written field by field: what stays the same between answers is made once.

A message of protobuf is its fields one after the other, so that bytes made before can stand before bytes made now.
"""

from functools import lru_cache
from struct import pack
from typing import Any

from octavo.serving.answers import Predictions, Together
from octavo.serving.grpc import wire
from octavo.serving.grpc.messages import ModelInferResponse
from octavo.serving.ids import ID_LETTERS
from octavo.serving.inference import OUTPUTS, raw_output
from octavo.serving.tensors import LENGTH_BYTES

_ID, _OUTPUT, _RAW = 3, 5, 6
_CONTENTS = 5
_LISTS = {"prediction": 7, "id": 8, "version": 3}
_NUMBER_BYTES = 8
_REMEMBERED = 4096
_NOTHING = b"\xff"
"""A byte that stands in no text and in no number that is written here."""


def encode_response(answer: Predictions, wanted: tuple[str, ...], *, id: str, version: int, raw: bool) -> bytes:
    """An answer's message.

    Parameters
    ----------
    wanted : tuple of str
        The outputs that it shall hold.
    id : str
        The request's own; empty if it has none.
    version : int
        That the answer names.
    raw : bool
        Whether values stand in bytes rather than in lists.
    """
    head = _head(answer.deployment, version, answer.degraded) + wire.text(_ID, id)
    sole = answer.version
    if sole is not None and len(answer) == 1:
        return head + _row(wanted, sole, raw, answer.values.item(), answer.ids.texts[0])
    heads = _output_heads(wanted, len(answer))
    if raw:
        parts = [wire.field(_OUTPUT, one) for one in heads]
        parts += [wire.field(_RAW, _raw(name, answer)) for name in wanted]
    else:
        contents = (wire.field(_CONTENTS, _list(name, answer)) for name in wanted)
        parts = [wire.field(_OUTPUT, one + values) for one, values in zip(heads, contents, strict=True)]
    return head + b"".join(parts)


def encode_row(answer: Together, row: int, wanted: tuple[str, ...], *, id: str, raw: bool) -> bytes:
    """The message that is the answer to one row of those that were answered together; see `encode_response`."""
    version = answer.share.version
    head = _head(answer.deployment, version, answer.degraded) + wire.text(_ID, id)
    return head + _row(wanted, version, raw, answer.values.item(row), answer.ids.texts[row])


def _row(wanted: tuple[str, ...], version: int, raw: bool, value: float, id: str) -> bytes:
    form, holes = _one_row(wanted, version, raw)
    made = (pack("<d", value), id.encode("ascii"))
    return form % tuple([made[hole] for hole in holes])


@lru_cache(_REMEMBERED)
def _one_row(wanted: tuple[str, ...], version: int, raw: bool) -> tuple[bytes, tuple[int, ...]]:  # a key of the cache
    """The outputs of one row, a ``%b`` in the place of a prediction and of an id, and which of the two each is of."""
    values = {
        "prediction": _NOTHING * _NUMBER_BYTES,
        "id": (ID_LETTERS.to_bytes(LENGTH_BYTES, "little") if raw else b"") + _NOTHING * ID_LETTERS,
        "version": version.to_bytes(_NUMBER_BYTES, "little") if raw else wire.varint(version),
    }
    heads = _output_heads(wanted, 1)
    if raw:
        outputs = [wire.field(_OUTPUT, head) for head in heads] + [wire.field(_RAW, values[name]) for name in wanted]
    else:
        lists = [wire.field(_CONTENTS, wire.field(_LISTS[name], values[name])) for name in wanted]
        outputs = [wire.field(_OUTPUT, head + values) for head, values in zip(heads, lists, strict=True)]
    written = b"".join(outputs).replace(b"%", b"%%")
    form = written.replace(_NOTHING * ID_LETTERS, b"%b").replace(_NOTHING * _NUMBER_BYTES, b"%b")
    return form, tuple(int(name == "id") for name in wanted if name != "version")


@lru_cache(_REMEMBERED)
def _head(deployment: str, version: int, degraded: bool) -> bytes:  # a key of the cache
    response = ModelInferResponse(model_name=deployment, model_version=str(version))
    if degraded:
        response.parameters["degraded"].bool_param = True
    data: bytes = response.SerializeToString()
    return data


@lru_cache(_REMEMBERED)
def _output_heads(wanted: tuple[str, ...], n_rows: int) -> list[bytes]:
    tensor: Any = ModelInferResponse.InferOutputTensor
    return [tensor(name=name, datatype=OUTPUTS[name], shape=[n_rows]).SerializeToString() for name in wanted]


def _raw(name: str, answer: Predictions) -> bytes:
    if name == "version" and answer.version is not None:
        return answer.version.to_bytes(_NUMBER_BYTES, "little") * len(answer)
    return raw_output(name, answer)


def _list(name: str, answer: Predictions) -> bytes:
    number = _LISTS[name]
    if name == "prediction":
        return wire.field(number, answer.values.astype("<f8", copy=False).tobytes())
    if name == "id":
        return b"".join(wire.field(number, text.encode()) for text in answer.ids.texts)
    if answer.version is not None:
        return wire.field(number, wire.varint(answer.version) * len(answer))
    return wire.numbers(number, answer.versions.tolist())
