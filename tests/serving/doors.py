"""The same request through every door of a predictor."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from tests.serving import calls
from tests.serving.asgi import Reply

from octavo.serving.tensors import bytes_of_texts

Rows = Sequence[Mapping[str, Any]]
INFER = "/v2/models/eta/infer"
ARROW = "application/vnd.apache.arrow.stream"
_DTYPES = {"distance": "FP64", "sched_dep": "BYTES", "seats": "INT64", "origin": "BYTES", "amount": "FP64"}


@dataclass(frozen=True, kw_only=True)
class Door:
    """A way to ask.

    Attributes
    ----------
    body : callable
        Makes of rows, which hold the same fields, what is sent, and the headers that go with it.
    values : callable
        Takes the predicted values from an answer.
    """

    path: str
    body: Callable[[Rows], tuple[bytes, dict[str, str]]]
    values: Callable[[Reply], list[float]]


def _json(document: object) -> tuple[bytes, dict[str, str]]:
    return json.dumps(document).encode(), {"content_type": "application/json"}


def _columns(rows: Rows) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def tensors(rows: Rows) -> list[dict[str, Any]]:
    """Rows as the JSON tensors of their fields."""
    return [
        {"name": name, "datatype": _DTYPES[name], "shape": [len(values)], "data": values}
        for name, values in _columns(rows).items()
    ]


def with_binary(
    heads: Sequence[Mapping[str, Any]], parts: Sequence[bytes], **more: Any
) -> tuple[bytes, dict[str, str]]:
    """Tensors whose bytes follow the JSON."""
    inputs = [{**head, "parameters": {"binary_data_size": len(part)}} for head, part in zip(heads, parts, strict=True)]
    head = json.dumps({"inputs": inputs, **more}).encode()
    headers = {"inference_header_content_length": str(len(head)), "content_type": "application/octet-stream"}
    return head + b"".join(parts), headers


def _binary(rows: Rows) -> tuple[bytes, dict[str, str]]:
    given = tensors(rows)
    data = [
        bytes_of_texts(one["data"])
        if one["datatype"] == "BYTES"
        else np.array(one["data"], {"FP64": "<f8", "INT64": "<i8"}[one["datatype"]]).tobytes()
        for one in given
    ]
    return with_binary([{key: one[key] for key in ("name", "datatype", "shape")} for one in given], data)


def _csv(rows: Rows) -> tuple[bytes, dict[str, str]]:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(), {"content_type": "text/csv"}


def arrow(table: pa.Table, *, fixed: bool = False, **options: Any) -> bytes:
    """A table as an IPC stream, or as a file."""
    sink = pa.BufferOutputStream()
    write = pa.ipc.new_file if fixed else pa.ipc.new_stream
    with write(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _arrow(rows: Rows) -> tuple[bytes, dict[str, str]]:
    return arrow(pa.table(_columns(rows))), {"content_type": ARROW, "accept": ARROW}


def told_by_arrow(reply: Reply) -> pa.Table:
    """An answer in Arrow."""
    assert reply.headers["content-type"] == ARROW, reply.body
    return pa.ipc.open_stream(reply.body).read_all()


def _values_of_arrow(reply: Reply) -> list[float]:
    values: list[float] = told_by_arrow(reply).column("value").to_pylist()
    return values


def _split(rows: Rows) -> dict[str, Any]:
    return {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}


def _ours(reply: Reply) -> list[float]:
    return [one["value"] for one in reply.json["predictions"]]


def _mlflows(reply: Reply) -> list[float]:
    values: list[float] = reply.json["predictions"]
    return values


def outputs(reply: Reply) -> dict[str, Any]:
    """The tensors of an answer in JSON."""
    return {one["name"]: one["data"] for one in reply.json["outputs"]}


def _tensor(reply: Reply) -> list[float]:
    values: list[float] = outputs(reply)["prediction"]
    return values


def _call(message: Any) -> tuple[bytes, dict[str, str]]:
    return calls.frame(message.SerializeToString()), calls.HEADERS


DOORS = {
    "predict": Door(path="/predict/eta", body=lambda rows: _json({"rows": rows}), values=_ours),
    "arrow": Door(path="/predict/eta", body=_arrow, values=_values_of_arrow),
    "tensors": Door(path=INFER, body=lambda rows: _json({"inputs": tensors(rows)}), values=_tensor),
    "binary tensors": Door(path=INFER, body=_binary, values=_tensor),
    "a version's tensors": Door(
        path="/v2/models/eta/versions/1/infer", body=lambda rows: _json({"inputs": tensors(rows)}), values=_tensor
    ),
    "split": Door(path="/invocations", body=lambda rows: _json({"dataframe_split": _split(rows)}), values=_mlflows),
    "records": Door(path="/invocations", body=lambda rows: _json({"dataframe_records": rows}), values=_mlflows),
    "inputs": Door(path="/invocations", body=lambda rows: _json({"inputs": _columns(rows)}), values=_mlflows),
    "instances": Door(path="/invocations", body=lambda rows: _json({"instances": rows}), values=_mlflows),
    "gRPC": Door(path=calls.INFER, body=lambda rows: _call(calls.by_lists(tensors(rows))), values=_tensor),
    "gRPC, raw": Door(path=calls.INFER, body=lambda rows: _call(calls.raw(tensors(rows))), values=_tensor),
    "csv": Door(path="/predict/eta/invocations", body=_csv, values=_mlflows),
}
