"""The same rows by each of the predictor's doors, and what it answers there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from load import post
from tensors import Row, are_numbers, by_column, in_one

MATRIX = "model_inputs"
ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, kw_only=True)
class Door:
    """A way in.

    Attributes
    ----------
    request : callable
        Of the token, the deployment's name and rows.
    read : callable
        The predictions in an answer.
    """

    name: str
    request: Callable[[str, str, Sequence[Row]], bytes]
    read: Callable[[bytes], list[float]]


def _rows(token: str, deployment: str, rows: Sequence[Row]) -> bytes:
    body = msgspec.json.encode({"rows": rows})
    return post(f"/predict/{deployment}", body, authorization=f"Bearer {token}")


def _columns(token: str, deployment: str, rows: Sequence[Row]) -> bytes:
    return _infer(token, deployment, msgspec.json.encode({"inputs": by_column(rows)}))


def _matrix(token: str, deployment: str, rows: Sequence[Row]) -> bytes:
    return _infer(token, deployment, msgspec.json.encode({"inputs": in_one(rows, name=MATRIX)}))


def _binary(token: str, deployment: str, rows: Sequence[Row]) -> bytes:
    """Tensors as bytes: one for all numbers, or one for each column."""
    parts, described = [], []
    for tensor in in_one(rows, name=MATRIX) if are_numbers(rows) else by_column(rows):
        data = _bytes_of(tensor["data"])
        parts.append(data)
        about = {name: tensor[name] for name in ("name", "shape", "datatype")}
        described.append({**about, "parameters": {"binary_data_size": len(data)}})
        if tensor["datatype"] == "FP64":
            described[-1]["datatype"] = "FP32"
    head = msgspec.json.encode({"inputs": described, "parameters": {"binary_data_output": True}})
    about_body = {"kind": "application/octet-stream", "inference_header_content_length": str(len(head))}
    return _infer(token, deployment, b"".join([head, *parts]), **about_body)


def _infer(token: str, deployment: str, body: bytes, **headers: str) -> bytes:
    return post(f"/v2/models/{deployment}/infer", body, authorization=f"Bearer {token}", **headers)


def _bytes_of(data: Sequence[Any]) -> bytes:
    if isinstance(data[0], str):
        encoded = [text.encode() for text in data]
        return b"".join(part for text in encoded for part in (len(text).to_bytes(4, "little"), text))
    return np.array(data, "<f4").tobytes()


def _arrow(token: str, deployment: str, rows: Sequence[Row]) -> bytes:
    return _stream(token, deployment, pa.Table.from_pylist(list(rows)))


def _arrow_of_32_bits(token: str, deployment: str, rows: Sequence[Row]) -> bytes:
    """As a caller sends it who cares: numbers as the model takes them, and each text once."""
    table = pa.Table.from_pylist(list(rows))
    columns = [
        column.cast(pa.float32()) if pa.types.is_floating(column.type) else column.dictionary_encode()
        for column in table.columns
    ]
    return _stream(token, deployment, pa.table(columns, names=table.column_names))


def _stream(token: str, deployment: str, table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return post(
        f"/predict/{deployment}",
        sink.getvalue().to_pybytes(),
        kind=ARROW,
        accept=ARROW,
        authorization=f"Bearer {token}",
    )


def _read_rows(body: bytes) -> list[float]:
    return [one["value"] for one in msgspec.json.decode(body)["predictions"]]


def _read_tensors(body: bytes) -> list[float]:
    [output] = [one for one in msgspec.json.decode(body)["outputs"] if one["name"] == "prediction"]
    values: list[float] = output["data"]
    return values


def _read_binary(body: bytes) -> list[float]:
    """The predictions stand first among the outputs, and each output after the other behind the JSON."""
    document: dict[str, Any] = {}
    end = 0
    while not document:  # its length is in a header, which is not kept: it ends with the brace that makes it whole
        end = body.index(b"}", end) + 1
        try:
            document = msgspec.json.decode(body[:end])
        except msgspec.DecodeError:
            continue
    [first, *_] = document["outputs"]
    assert first["name"] == "prediction"
    values: list[float] = np.frombuffer(body[end : end + first["parameters"]["binary_data_size"]], "<f8").tolist()
    return values


def _read_arrow(body: bytes) -> list[float]:
    with pa.ipc.open_stream(body) as stream:
        values: list[float] = stream.read_all().column("value").to_pylist()
    return values


ROWS = Door(name="Octavo, rows", request=_rows, read=_read_rows)
COLUMNS = Door(name="Octavo, tensors", request=_columns, read=_read_tensors)
BARE = Door(name="Octavo, one tensor", request=_matrix, read=_read_tensors)
BINARY = Door(name="Octavo, binary tensors", request=_binary, read=_read_binary)
ARROWS = Door(name="Octavo, Arrow", request=_arrow, read=_read_arrow)
SMALL_ARROWS = Door(name="Octavo, Arrow of 32 bits", request=_arrow_of_32_bits, read=_read_arrow)
