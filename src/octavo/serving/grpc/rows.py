"""Messages read field by field. One row, the commonest request, is taken as it is, without a tensor for each value.

What is unusual in the least is left to the tensors, which refuse it by name or take it.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Any

from octavo.definitions.types import DType
from octavo.serving.asked import Asked
from octavo.serving.documents import Scalar
from octavo.serving.grpc.tensors import tensors_of
from octavo.serving.inference import asked_by_tensors
from octavo.serving.reading import Addressee, asked_by_records
from octavo.serving.tensors import DATATYPES

_LISTS: dict[str, str] = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "INT32": "int_contents",
    "UINT64": "uint64_contents",
    "UINT32": "uint_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}
_FORMATS: dict[str, Struct] = {
    "FP64": Struct("<d"),
    "FP32": Struct("<f"),
    "INT64": Struct("<q"),
    "INT32": Struct("<i"),
    "UINT64": Struct("<Q"),
    "UINT32": Struct("<I"),
}
_LENGTH_BYTES = 4


def asked_by_fields(lineup: Addressee, request: Any) -> Asked:
    """What a ModelInferRequest asks for, of whatever form it is.

    Raises
    ------
    InvalidRequest
        If its tensors do not fit each other or the deployment.
    LimitExceeded
        If there are too many rows.
    """
    row = one_row(request, lineup.decoder.dtypes)
    if row is not None:
        return asked_by_records(lineup, [row])
    return asked_by_tensors(lineup, tensors_of(request))


def one_row(request: Any, fields: Mapping[str, DType]) -> dict[str, Scalar] | None:
    """The values of a ModelInferRequest of one row, by field; None where a closer look is needed.

    Parameters
    ----------
    fields : mapping of name to DType
        What a row may hold.
    """
    raw = request.raw_input_contents
    row: dict[str, Scalar] = {}
    if raw and len(raw) != len(request.inputs):
        return None
    for number, given in enumerate(request.inputs):
        datatype = given.datatype
        shape = given.shape
        if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)) or shape[0] != 1:
            return None
        dtype = fields.get(name := given.name)
        if dtype is None or datatype not in DATATYPES[dtype] or given.parameters:
            return None
        lists = given.contents.ListFields()
        found = (None if lists else _unpacked(raw[number], datatype)) if raw else _listed(lists, datatype)
        if found is None:
            return None
        value = found[0]
        row[name] = None if value != value else value
    return row if row and len(row) == len(request.inputs) else None


def _listed(lists: Any, datatype: str) -> Any:
    """The one value of the one list; None if that is not what there is."""
    if len(lists) != 1:
        return None
    [(field, values)] = lists
    if len(values) != 1 or field.name != _LISTS.get(datatype):
        return None
    return _text(values[0]) if datatype == "BYTES" else values


def _unpacked(data: bytes, datatype: str) -> Any:
    """The one value of some bytes; None if that is not what they are."""
    if datatype == "BYTES":
        is_one = int.from_bytes(data[:_LENGTH_BYTES], "little") == len(data) - _LENGTH_BYTES
        return _text(data[_LENGTH_BYTES:]) if is_one else None
    form = _FORMATS.get(datatype)
    return None if form is None or len(data) != form.size else form.unpack(data)


def _text(data: bytes) -> tuple[str] | None:
    try:
        return (data.decode(),)
    except UnicodeDecodeError:
        return None
