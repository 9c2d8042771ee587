"""Calls of gRPC: their messages from tensors in JSON, and how they end in the words of the other doors."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import numpy as np

from octavo.serving.columns import plain
from octavo.serving.grpc.framing import PREFIX_BYTES as PREFIX_BYTES
from octavo.serving.grpc.framing import frame as frame
from octavo.serving.grpc.messages import SERVICE, ModelInferRequest, ModelInferResponse
from octavo.serving.tensors import bytes_of_texts, from_bytes

GRPC = "application/grpc"
HEADERS = {"content_type": GRPC, "te": "trailers"}
INFER = f"/{SERVICE}/ModelInfer"
_LISTS = {"FP32": "fp32_contents", "FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}
_DTYPES = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "BOOL": "?"}
_HTTP = {0: 200, 3: 422, 4: 504, 5: 404, 7: 403, 8: 429, 12: 415, 13: 500, 14: 503, 16: 401}


def by_lists(tensors: Sequence[Mapping[str, Any]], **more: Any) -> Any:
    """A request with its values in lists."""
    inputs = [
        {**_head(one), "contents": {_LISTS[one["datatype"]]: [_element(value) for value in one["data"]]}}
        for one in tensors
    ]
    return ModelInferRequest(model_name="eta", inputs=inputs, **more)


def raw(tensors: Sequence[Mapping[str, Any]], **more: Any) -> Any:
    """A request with its values in bytes."""
    parts = [
        bytes_of_texts(one["data"]) if one["datatype"] == "BYTES" else _packed(one["data"], one["datatype"])
        for one in tensors
    ]
    inputs = [_head(one) for one in tensors]
    return ModelInferRequest(model_name="eta", inputs=inputs, raw_input_contents=parts, **more)


def document(message: bytes) -> dict[str, Any]:
    """An answer as it would be in JSON."""
    answer = ModelInferResponse.FromString(message)
    raw_parts = answer.raw_output_contents or [None] * len(answer.outputs)
    return {
        **{name: getattr(answer, name) for name in ("model_name", "model_version", "id")},
        "parameters": {name: one.bool_param for name, one in answer.parameters.items()},
        "outputs": [
            {"name": one.name, "datatype": one.datatype, "shape": list(one.shape), "data": _values(one, part)}
            for one, part in zip(answer.outputs, raw_parts, strict=True)
        ],
    }


def told(trailers: Mapping[str, str]) -> tuple[int, dict[str, str | None] | None]:
    """The status of HTTP for a call's end, and its problem; None if it ended well."""
    status, code = int(trailers["grpc-status"]), trailers.get("octavo-code")
    if status == 0:
        return 200, None
    problem = {"error": unquote(trailers["grpc-message"]), "code": code, "request_id": trailers["x-request-id"]}
    more = {name: unquote(trailers[f"octavo-{name}"]) for name in ("field", "fix") if f"octavo-{name}" in trailers}
    return 413 if code == "limit_exceeded" else _HTTP[status], {**problem, **more}


def _values(output: Any, part: bytes | None) -> list[Any]:
    if part is None:
        values = list(output.contents.ListFields()[0][1])
        return [value.decode() for value in values] if output.datatype == "BYTES" else values
    if output.datatype == "BYTES":
        tensor = from_bytes(memoryview(part), name="", place="", datatype="BYTES", shape=tuple(output.shape))
        return plain(tensor.column())
    return np.frombuffer(part, _DTYPES[output.datatype]).tolist()


def _head(tensor: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tensor[name] for name in ("name", "datatype", "shape")}


def _element(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _packed(values: Sequence[Any], datatype: str) -> bytes:
    return np.array(values, _DTYPES[datatype]).tobytes()
