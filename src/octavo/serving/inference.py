"""One inference request of the Open Inference Protocol v2: its tensors as rows, and the predictions as tensors."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, UnsetType

from octavo.errors import InvalidRequest, NotFound
from octavo.serving.answers import Predictions
from octavo.serving.asked import Asked
from octavo.serving.attempts import AnsweredTogether
from octavo.serving.documents import DocumentDecoder, Scalar
from octavo.serving.ids import ID_LETTERS
from octavo.serving.plain_tensors import read_plain
from octavo.serving.reading import Addressee, asked_by_columns, asked_by_matrix, check_count
from octavo.serving.tensors import (
    BYTES,
    DATATYPES,
    LENGTH_BYTES,
    Tensor,
    check_datatype,
    from_bytes,
    from_json,
)

MATRIX = "model_inputs"
"""The tensor that holds the model's inputs as they are."""

OUTPUTS = {"prediction": "FP64", "id": BYTES, "version": "INT64"}
_ALL_AS_JSON = dict.fromkeys(OUTPUTS, False)
_LONGEST_SHAPE = 2
_REMEMBERED = 4096
_Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Parameters = dict[str, Scalar] | UnsetType


class _Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    datatype: str
    shape: Annotated[list[_Size], Meta(min_length=1, max_length=_LONGEST_SHAPE)]
    parameters: _Parameters = UNSET
    data: list[Scalar | list[Scalar]] | UnsetType = UNSET


class _Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    parameters: _Parameters = UNSET


class _Inference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    inputs: Annotated[list[_Input], Meta(min_length=1, max_length=4096)]
    outputs: Annotated[list[_Output], Meta(max_length=64)] | UnsetType = UNSET
    id: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET
    parameters: _Parameters = UNSET


_decoder = DocumentDecoder(
    _Inference, wanted='{"inputs": [{"name": ..., "datatype": ..., "shape": [...], "data": [...]}, ...]}'
)


class Inference:
    """One request: reads its body, and gives the answer its form.

    Parameters
    ----------
    header_bytes : int or None
        How much of the body is JSON, if binary tensors follow.
    """

    def __init__(self, *, header_bytes: int | None) -> None:
        self._header_bytes = header_bytes
        self._id: str | UnsetType = UNSET
        self._outputs: dict[str, bool] = {}

    @property
    def is_json(self) -> bool:
        """Whether all outputs that were asked for are to be JSON."""
        return True not in self._outputs.values()

    def read(self, lineup: Addressee, body: bytes) -> Asked:
        """What the request asks for.

        Raises
        ------
        InvalidRequest
            If the tensors do not fit each other, their bytes or the deployment.
        NotFound
            If an output is asked for that there is not.
        """
        if self._header_bytes is None and (plain := read_plain(lineup, body)) is not None:
            self._id, self._outputs = plain.id, _ALL_AS_JSON
            return plain.asked
        if self._header_bytes is not None and self._header_bytes > len(body):
            raise InvalidRequest(
                f"Inference-Header-Content-Length is {self._header_bytes:,}, the whole body {len(body):,} bytes",
                fix="send the length of the JSON at its beginning",
            )
        head = body if self._header_bytes is None else body[: self._header_bytes]
        document = _decoder.decode(head)
        self._id, self._outputs = document.id, _wanted_outputs(document)
        tensors = _tensors(document.inputs, memoryview(body)[len(head) :])
        return asked_by_tensors(lineup, tensors)

    def encode(self, answer: Predictions, *, version: int) -> tuple[bytes, int | None]:
        """The answer's body, and how much of it is JSON if binary tensors follow."""
        binary: list[bytes] = []
        document: dict[str, Any] = {"model_name": answer.deployment, "model_version": str(version)}
        if self._id is not UNSET:
            document["id"] = self._id
        if answer.degraded:
            document["parameters"] = {"degraded": True}
        document["outputs"] = [
            output_of(name, answer, binary=binary if is_binary else None) for name, is_binary in self._outputs.items()
        ]
        head = msgspec.json.encode(document)
        return (head + b"".join(binary), len(head)) if binary else (head, None)

    def written(self, answered: AnsweredTogether) -> bytes:
        """The answer's body, all of it JSON."""
        together, row = answered.together, answered.first
        version = together.share.version
        if self._id is not UNSET or answered.last - row > 1:
            return self.encode(answered.answer, version=version)[0]
        form, holes = _one_row(together.deployment, version, together.degraded, tuple(self._outputs))
        made = msgspec.json.encode(together.values.item(row)), together.ids.texts[row].encode("ascii")
        return form % tuple([made[hole] for hole in holes])


@lru_cache(_REMEMBERED)
def _one_row(deployment: str, version: int, degraded: bool, outputs: tuple[str, ...]) -> tuple[bytes, tuple[int, ...]]:
    """The answer to one row, a ``%b`` in the place of a prediction and of an id, and which of the two each is of."""
    document: dict[str, Any] = {"model_name": deployment, "model_version": str(version)}
    if degraded:
        document["parameters"] = {"degraded": True}
    values = {"prediction": b"%b", "id": b'"%b"', "version": b"%d" % version}
    told = [
        msgspec.json.encode({"name": name, "datatype": OUTPUTS[name], "shape": [1]})[:-1]
        + b',"data":['
        + values[name]
        + b"]}"
        for name in outputs
    ]
    head = msgspec.json.encode(document)[:-1].replace(b"%", b"%%")
    form = head + b',"outputs":[' + b",".join(told) + b"]}"
    return form, tuple(int(name == "id") for name in outputs if name != "version")


def _wanted_outputs(document: _Inference) -> dict[str, bool]:
    """The outputs that are asked for, all unless some are named, and whether as bytes."""
    parameters = {} if document.parameters is UNSET else document.parameters
    by_default = parameters.get("binary_data_output") is True
    if document.outputs is UNSET or not document.outputs:
        return dict.fromkeys(OUTPUTS, by_default)
    wanted: dict[str, bool] = {}
    for place, output in enumerate(document.outputs):
        if output.name not in OUTPUTS:
            raise NotFound("output", output.name[:80], OUTPUTS)
        own = _parameters(output.parameters, known="binary_data", place=f"outputs[{place}]")
        wanted[output.name] = own is True or (own is None and by_default)
    return wanted


def _parameters(parameters: _Parameters, *, known: str, place: str) -> Scalar:
    """The value of the one parameter that is known; others would be left out of account silently."""
    given = {} if parameters is UNSET else parameters
    for name in given:
        if name != known:
            raise InvalidRequest(
                f"{place} has the parameter {name[:80]!r}, which this server does not take",
                field=f"{place}.parameters",
                fix="leave it out",
            )
    return given.get(known)


def _tensors(inputs: Sequence[_Input], rest: memoryview) -> dict[str, Tensor]:
    """The tensors by name; `rest` is what follows the JSON, all of which must be theirs."""
    found: dict[str, Tensor] = {}
    for number, given in enumerate(inputs):
        place = f"inputs[{number}]"
        if given.name in found:
            raise InvalidRequest(f"{place} is a second {given.name[:80]!r}", field=f"{place}.name", fix="send it once")
        size = _binary_size(given, place=place, n_left=len(rest))
        found[given.name] = _tensor(given, rest[:size], place=place)
        rest = rest[size:]
    if rest:
        raise InvalidRequest(
            f"{len(rest):,} bytes behind the JSON belong to no tensor",
            fix="send binary_data_size with each tensor that is sent as bytes",
        )
    return found


def _binary_size(given: _Input, *, place: str, n_left: int) -> int:
    """How many bytes behind the JSON are a tensor's; 0 if its data stands in the JSON."""
    size = _parameters(given.parameters, known="binary_data_size", place=place)
    if (size is None) == (given.data is UNSET):
        raise InvalidRequest(
            f"{place} holds {'neither' if size is None else 'both'} of data and binary_data_size",
            field=place,
            fix="send the one or the other",
        )
    if size is None:
        return 0
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= n_left:
        raise InvalidRequest(
            f"{place}.parameters.binary_data_size is no number of the {n_left:,} bytes that are left",
            field=f"{place}.parameters.binary_data_size",
            fix="send the tensors' bytes after the JSON, in the order of the inputs",
        )
    return size


def _tensor(given: _Input, data: memoryview, *, place: str) -> Tensor:
    check_datatype(given.datatype, place=place)
    shape = tuple(given.shape)
    if given.data is UNSET:
        return from_bytes(data, name=given.name, place=place, datatype=given.datatype, shape=shape)
    return from_json(given.data, name=given.name, place=place, datatype=given.datatype, shape=shape)


def asked_by_tensors(lineup: Addressee, tensors: dict[str, Tensor]) -> Asked:
    """What tensors ask for: the model's inputs as they are, or the fields by name.

    Raises
    ------
    InvalidRequest
        If they do not fit each other or the deployment.
    """
    if MATRIX in tensors and MATRIX not in lineup.decoder.names:
        return _by_matrix(lineup, tensors)
    return _by_columns(lineup, tensors)


def _by_matrix(lineup: Addressee, tensors: dict[str, Tensor]) -> Asked:
    tensor = tensors[MATRIX]
    if len(tensors) > 1:
        raise InvalidRequest(
            f"{MATRIX} is sent beside fields", field=tensor.place, fix="send either the one or the other"
        )
    if tensor.datatype not in ("FP32", "FP64"):
        raise _wrong_datatype(tensor, ("FP32", "FP64"))
    if len(tensor.shape) != _LONGEST_SHAPE:
        raise InvalidRequest(
            f"{MATRIX} has the shape {list(tensor.shape)}", field=f"{tensor.place}.shape", fix="send [rows, inputs]"
        )
    check_count(lineup, tensor.shape[0])
    return asked_by_matrix(lineup, tensor.floats(), field=MATRIX)


def _by_columns(lineup: Addressee, tensors: dict[str, Tensor]) -> Asked:
    n_rows = next(iter(tensors.values())).shape[0]
    for tensor in tensors.values():
        if tensor.shape not in ((n_rows,), (n_rows, 1)):
            raise InvalidRequest(
                f"{tensor.name[:80]!r} has the shape {list(tensor.shape)}, where the first tensor has {n_rows} rows",
                field=f"{tensor.place}.shape",
                fix=f"send each field as [{n_rows}] or [{n_rows}, 1]",
            )
        dtype = lineup.decoder.dtypes.get(tensor.name)
        if dtype is not None and tensor.datatype not in DATATYPES[dtype]:
            raise _wrong_datatype(tensor, DATATYPES[dtype])
    return asked_by_columns(lineup, {name: tensor.column() for name, tensor in tensors.items()}, n_rows=n_rows)


def _wrong_datatype(tensor: Tensor, wanted: Sequence[str]) -> InvalidRequest:
    return InvalidRequest(
        f"{tensor.name!r} is sent as {tensor.datatype}",
        field=f"{tensor.place}.datatype",
        fix=f"send {' or '.join(wanted)}",
    )


def output_of(name: str, answer: Predictions, *, binary: list[bytes] | None) -> dict[str, Any]:
    """One output as a tensor; its bytes go to `binary`, if it is given."""
    output = {"name": name, "datatype": OUTPUTS[name], "shape": [len(answer)]}
    if binary is None:
        values = answer.ids.texts if name == "id" else _numbers(name, answer).tolist()
        return {**output, "data": values}
    data = raw_output(name, answer)
    binary.append(data)
    return {**output, "parameters": {"binary_data_size": len(data)}}


def raw_output(name: str, answer: Predictions) -> bytes:
    """The bytes of one output."""
    if name != "id":
        return _numbers(name, answer).tobytes()
    letters = answer.ids.letters
    elements = np.empty((len(letters), LENGTH_BYTES + ID_LETTERS), np.uint8)
    elements[:, :LENGTH_BYTES] = np.frombuffer(ID_LETTERS.to_bytes(LENGTH_BYTES, "little"), np.uint8)
    elements[:, LENGTH_BYTES:] = letters
    return elements.tobytes()


def _numbers(name: str, answer: Predictions) -> npt.NDArray[Any]:
    return answer.values if name == "prediction" else answer.versions
