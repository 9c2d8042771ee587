"""Answers as ModelInferResponse, written field by field: what stays the same between answers is made once.

A message of protobuf is its fields one after the other, so that bytes made before can stand before bytes made now.
"""

from functools import lru_cache
from typing import Any

from octavo.serving.answers import Predictions
from octavo.serving.grpc.messages import ModelInferResponse
from octavo.serving.inference import OUTPUTS, raw_output

_ID, _OUTPUT, _RAW = b"\x1a", b"\x2a", b"\x32"
_CONTENTS, _INT64S, _FP64S, _BYTES = b"\x2a", b"\x1a", b"\x3a", b"\x42"
_REMEMBERED = 4096


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
    parts = [_head(answer.deployment, version, answer.degraded)]
    if id:
        parts.append(_field(_ID, id.encode()))
    heads = _output_heads(wanted, len(answer))
    if raw:
        parts += [_field(_OUTPUT, head) for head in heads]
        parts += [_field(_RAW, _raw(name, answer)) for name in wanted]
    else:
        contents = (_field(_CONTENTS, _list(name, answer)) for name in wanted)
        parts += [_field(_OUTPUT, head + values) for head, values in zip(heads, contents, strict=True)]
    return b"".join(parts)


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
    if len(answer) == 1 and name == "id":
        text = answer.ids.texts[0].encode()
        return len(text).to_bytes(4, "little") + text
    if name == "version" and answer.version is not None:
        return answer.version.to_bytes(8, "little") * len(answer)
    return raw_output(name, answer)


def _list(name: str, answer: Predictions) -> bytes:
    if name == "prediction":
        return _field(_FP64S, answer.values.astype("<f8", copy=False).tobytes())
    if name == "id":
        return b"".join(_field(_BYTES, text.encode()) for text in answer.ids.texts)
    if answer.version is not None:
        return _field(_INT64S, _varint(answer.version) * len(answer))
    return _field(_INT64S, b"".join(map(_varint, answer.versions.tolist())))


def _field(tag: bytes, data: bytes) -> bytes:
    """A field of bytes behind its tag and length."""
    return tag + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    """A number of at least 0, seven bits in a byte."""
    if number < 0x80:
        return _SMALL[number]
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_SMALL = [bytes([number]) for number in range(0x80)]
