"""The OpenAPI 3.1 description of the API, made from the operations themselves."""

from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from octavo.api.clock_door import PATH as CLOCK_PATH
from octavo.api.clock_door import AdvanceClock, ClockReading
from octavo.api.events import EVENTS, MEDIA_TYPES, OUTCOMES
from octavo.features.events.bodies import BodyKind
from octavo.features.events.ingest import BadRows
from octavo.operations import Operation, Operations
from octavo.problems import MEDIA_TYPE, Problem

_REFERENCE = "#/components/schemas/{name}"
Schema = dict[str, Any]


def describe(operations: Operations, *, version: str, replay: bool) -> Schema:
    """The whole document.

    Parameters
    ----------
    replay : bool
        Whether the clock can be set.
    """
    types: list[Any] = [Problem, ClockReading, AdvanceClock]
    answers = {operation.name: answer_type(operation) for operation in operations}
    types += [operation.request for operation in operations]
    types += [answer for answer in answers.values() if describable(answer)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    known = {_identity(kind): schema for kind, schema in zip(types, schemas, strict=True)}

    def schema_of(kind: Any) -> Schema:
        return known.get(_identity(kind), {})

    paths: dict[str, Schema] = {}
    for operation in operations:
        method = _method(operation, schema_of(operation.request), schema_of(answers[operation.name]))
        paths[f"/api/{operation.name}"] = {"post": method}
        for path, name in (EVENTS, OUTCOMES):
            if name == operation.name:
                paths[path] = {"post": _data_method(operation, path, answer=schema_of(answers[name]))}
    paths[CLOCK_PATH] = _clock_methods(schema_of(ClockReading), schema_of(AdvanceClock), replay=replay)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Octavo", "version": version, "description": "Every operation of the control process."},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "octavo_<id>_<secret>"}},
        },
    }


def answer_type(operation: Operation) -> Any:
    """What an operation returns, as annotated."""
    return get_type_hints(operation.function).get("return", Any)


def describable(kind: Any) -> bool:
    """Whether msgspec can give a JSON schema for a type."""
    try:
        msgspec.json.schema(kind)
    except (TypeError, NotImplementedError):
        return False
    return True


def _identity(kind: Any) -> str:
    return repr(kind)


def _method(operation: Operation, request: Schema, answer: Schema) -> Schema:
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.name.partition(".")[0]],
        "description": f"Needs the permission `{operation.permission}`.",
        "requestBody": {"content": {"application/json": {"schema": request}}},
        "responses": _responses(answer),
    }


def _data_method(operation: Operation, path: str, *, answer: Schema) -> Schema:
    rows: Schema = {
        "type": "object",
        "required": ["rows"],
        "properties": {"rows": {"type": "array", "items": {"type": "object"}}},
    }
    method = _method(operation, rows, answer) | {"operationId": path.strip("/").partition("/")[0]}
    if "{source}" in path:
        event: Schema = {"type": "object"}
        json = {"schema": {"anyOf": [rows, {"type": "array", "items": event}, event]}}
        encoded: Schema = {media_type: {} for media_type, kind in MEDIA_TYPES.items() if kind is not BodyKind.JSON}
        method["requestBody"] = {"content": {"application/json": json, **encoded}}
        method["parameters"] = [
            {"name": "source", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "bad", "in": "query", "schema": {"type": "string", "enum": list(BadRows)}},
        ]
    return method


def _clock_methods(reading: Schema, advance: Schema, *, replay: bool) -> Schema:
    base: Schema = {"tags": ["clock"], "responses": _responses(reading)}
    methods: Schema = {"get": base | {"operationId": "clock.read", "summary": "What time it is on the platform."}}
    if replay:
        methods["post"] = base | {
            "operationId": "clock.advance",
            "summary": "Move a replay to a moment, once all events sent before are applied.",
            "requestBody": {"required": True, "content": {"application/json": {"schema": advance}}},
        }
    return methods


def _responses(answer: Mapping[str, Any]) -> Schema:
    problem = {"content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}}}
    return {
        "200": {"description": "Done.", "content": {"application/json": {"schema": dict(answer)}}},
        "4XX": {"description": "Refused: the caller can mend it."} | problem,
        "5XX": {"description": "Failed: try again, or see the log."} | problem,
    }
