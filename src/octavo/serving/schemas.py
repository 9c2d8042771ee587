"""JSON schemas of what a predictor takes and answers, as its description tells them."""

from collections.abc import Mapping
from typing import Any

from octavo.definitions.types import DType
from octavo.features.values import FeatureStatus
from octavo.serving.inference import OUTPUTS
from octavo.serving.requests import FIRST_YEAR, LARGEST_FLOAT32, LAST_YEAR, LONGEST_STRING, RequestDecoder
from octavo.serving.tensors import DATATYPES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "maxLength": LONGEST_STRING}
_FIELDS: Mapping[DType, Schema] = {
    DType.FLOAT64: {"type": "number", "minimum": -LARGEST_FLOAT32, "maximum": LARGEST_FLOAT32},
    DType.INT64: {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    DType.BOOL: {"type": "boolean"},
    DType.STRING: _TEXT,
    DType.CATEGORY: _TEXT,
    DType.TIMESTAMP: {
        "type": "string",
        "format": "date-time",
        "description": f"RFC 3339 with an offset, of a year from {FIRST_YEAR} to {LAST_YEAR}.",
    },
}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_NUMBERS: Schema = {"type": "array", "items": {"type": "number"}}


def objects(properties: Mapping[str, Schema], *, required: tuple[str, ...], closed: bool = False) -> Schema:
    """Objects with some properties; `closed` if with no others."""
    schema: Schema = {"type": "object", "properties": dict(properties), "required": list(required)}
    return schema | {"additionalProperties": False} if closed else schema


def row(decoder: RequestDecoder) -> Schema:
    """One row of a request."""
    required = decoder.required
    properties = {name: _field(dtype, required=name in required) for name, dtype in decoder.dtypes.items()}
    return objects(properties, required=tuple(name for name in properties if name in required), closed=True)


def rows(decoder: RequestDecoder) -> Schema:
    """The body of ``POST /predict/{deployment}``."""
    return objects({"rows": _records(decoder)}, required=("rows",), closed=True)


def invocation(decoder: RequestDecoder) -> Schema:
    """A body as MLflow's scoring server takes it."""
    records = _records(decoder)
    forms: dict[str, Schema] = {
        "dataframe_records": records,
        "instances": records,
        "inputs": records,
        "dataframe_split": objects(
            {
                "columns": {"type": "array", "items": {"type": "string"}},
                "data": {"type": "array", "items": {"type": "array", "items": _SCALAR}},
                "index": {"type": "array", "items": _SCALAR},
            },
            required=("columns", "data"),
            closed=True,
        ),
    }
    return {"oneOf": [objects({name: form}, required=(name,), closed=True) for name, form in forms.items()]}


def inference(decoder: RequestDecoder) -> Schema:
    """A request of the Open Inference Protocol; which tensors there are is said by the model's metadata."""
    datatypes = sorted({datatype for known in DATATYPES.values() for datatype in known})
    tensor = objects(
        {
            "name": {"type": "string", "enum": list(decoder.names)},
            "datatype": {"type": "string", "enum": datatypes},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "data": {"type": "array", "items": _SCALAR},
        },
        required=("name", "datatype", "shape", "data"),
        closed=True,
    )
    outputs: Schema = {"type": "array", "items": objects({"name": {"enum": list(OUTPUTS)}}, required=("name",))}
    return objects(
        {
            "id": {"type": "string", "maxLength": 1024},
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": outputs,
        },
        required=("inputs",),
        closed=True,
    )


_STATUSES: Schema = {
    "type": "object",
    "additionalProperties": {"enum": [status.word for status in FeatureStatus if status]},
}
_VALUES: Schema = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
_REASON = objects(
    {"input": {"type": "string"}, "contribution": {"type": "number"}, "value": {"type": ["number", "null"]}},
    required=("input", "contribution", "value"),
)
_PREDICTION = objects(
    {
        "id": {"type": "string", "format": "uuid"},
        "value": {"type": "number"},
        "version": {"type": "integer", "minimum": 1},
        "arm": {"type": "string"},
        "features": _STATUSES,
        "values": _VALUES,
        "base": {"type": "number"},
        "before": {"type": "number"},
        "reasons": {"type": "array", "items": _REASON},
    },
    required=("id", "value", "version"),
)
_NODE = objects(
    {
        "value": {"type": ["number", "null"]},
        "id": {"type": "string", "format": "uuid"},
        "version": {"type": ["integer", "null"], "minimum": 1},
    },
    required=("value",),
)
_TOGETHER = objects(
    {
        "id": {"type": "string", "format": "uuid"},
        "value": {"type": "number"},
        "nodes": {"type": "object", "additionalProperties": _NODE},
    },
    required=("id", "value", "nodes"),
)
ANSWERS: Mapping[str, Schema] = {
    "Predictions": objects(
        {
            "deployment": {"type": "string"},
            "model": {"type": "string"},
            "predictions": {"type": "array", "items": _PREDICTION, "minItems": 1},
            "degraded": {"type": "boolean"},
        },
        required=("deployment", "model", "predictions"),
    ),
    "Together": objects(
        {
            "composite": {"type": "string"},
            "version": {"type": "integer", "minimum": 1},
            "predictions": {"type": "array", "items": _TOGETHER, "minItems": 1},
            "degraded": {"type": "boolean"},
        },
        required=("composite", "version", "predictions"),
    ),
    "Scores": objects(
        {
            "predictions": _NUMBERS,
            "ids": {"type": "array", "items": {"type": "string"}},
            "degraded": {"type": "boolean"},
        },
        required=("predictions", "ids"),
    ),
    "Inference": objects(
        {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {
                "type": "array",
                "items": objects(
                    {
                        "name": {"enum": list(OUTPUTS)},
                        "datatype": {"enum": sorted(set(OUTPUTS.values()))},
                        "shape": {"type": "array", "items": {"type": "integer"}},
                        "data": {"type": "array"},
                    },
                    required=("name", "datatype", "shape"),
                ),
            },
        },
        required=("model_name", "model_version", "outputs"),
    ),
    "Model": objects(
        {
            "name": {"type": "string"},
            "versions": {"type": "array", "items": {"type": "string"}},
            "platform": {"type": "string"},
            "inputs": {"type": "array", "items": {"type": "object"}},
            "outputs": {"type": "array", "items": {"type": "object"}},
        },
        required=("name", "versions", "platform", "inputs", "outputs"),
    ),
    "Problem": objects(
        {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string"},
            "request_id": {"type": "string"},
            "field": {"type": "string"},
            "fix": {"type": "string"},
        },
        required=("type", "title", "status", "detail", "code", "request_id"),
    ),
    "InferenceError": objects(
        {
            "error": {"type": "string"},
            "code": {"type": "string"},
            "request_id": {"type": "string"},
            "field": {"type": "string"},
            "fix": {"type": "string"},
        },
        required=("error", "code", "request_id"),
    ),
}
"""By the names that the description refers to them by."""


def _records(decoder: RequestDecoder) -> Schema:
    return {"type": "array", "items": row(decoder), "minItems": 1, "maxItems": decoder.max_rows}


def _field(dtype: DType, *, required: bool) -> Schema:
    schema = _FIELDS.get(dtype, {})
    return schema if required or "type" not in schema else {**schema, "type": [schema["type"], "null"]}
