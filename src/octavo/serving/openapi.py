"""The OpenAPI 3.1 description of a predictor: its routes, and what all that it serves takes now."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version

from octavo import problems
from octavo.errors import Conflict, Unavailable
from octavo.serving.composed import AnyLineup, Composed, ServedComposite
from octavo.serving.explaining import MOST_ROWS
from octavo.serving.inference import MATRIX
from octavo.serving.later.described import later
from octavo.serving.later.routes import LATER
from octavo.serving.lineup import Lineup
from octavo.serving.routes import PUBLIC, Route
from octavo.serving.schemas import ANSWERS, Schema, inference, invocation, rows

_JSON, _TEXT = "application/json", "text/plain"
_REFUSALS = {
    400: "This is not HTTP.",
    401: "There is no valid token.",
    403: "The caller lacks the permission.",
    404: "There is no such thing.",
    405: "It is not done by this method.",
    408: "The body did not arrive in time.",
    409: "It is not clear which deployment is asked.",
    413: "The body, or the number of rows, is too large.",
    415: "The body is of another kind, or compressed.",
    422: "The body is not what the deployment takes; `field` and `fix` say why.",
    429: "Too much is asked at once; `Retry-After` says when to try again.",
    431: "The headers are too large.",
    500: "Something failed; the log tells more under `request_id`.",
    503: "It cannot be answered now; `Retry-After` says when to try again.",
    504: "It was not answered in time.",
}


def describe(
    routes: Iterable[Route],
    lineups: Mapping[str, Lineup],
    composites: Mapping[str, ServedComposite],
    *,
    max_body_bytes: int,
) -> Schema:
    """The whole document; paths of deployments and composites stand there once for each that can be asked."""
    paths: dict[str, Schema] = {}
    asked = dict(sorted(lineups.items())) | _composed(composites, lineups)
    for route in routes:
        for path, operation in _operations(route, asked):
            paths.setdefault(path, {})[route.method.lower()] = _completed(operation, route, path=path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Octavo predictor",
            "version": version("octavo"),
            "description": f"A body may have {max_body_bytes:,} bytes.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(ANSWERS),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "octavo_<id>_<secret>"}},
        },
    }


def _composed(composites: Mapping[str, ServedComposite], lineups: Mapping[str, Lineup]) -> dict[str, Composed]:
    """Composites without those that cannot be asked now, because of their deployments."""
    found = {}
    for name, composite in sorted(composites.items()):
        with suppress(Conflict, Unavailable):
            found[name] = Composed(composite, lineups)
    return found


def _operations(route: Route, asked: Mapping[str, AnyLineup]) -> Iterator[tuple[str, Schema]]:
    """The paths below a route, each with what is particular to it."""
    if route.path == "/predict/":
        for name, lineup in asked.items():
            yield f"/predict/{name}", _predict(name, lineup)
            yield (
                f"/predict/{name}/invocations",
                _invoke(lineup, f"Predictions of {name}, as MLflow is asked for them."),
            )
    elif route.path == LATER:
        for name, lineup in asked.items():
            yield later(name, lineup.decoder, method=route.method, answer=_answered(lineup))
    elif route.path == "/v2/models/":
        for name, lineup in asked.items():
            for place in (name, *(f"{name}/versions/{one}" for one in lineup.versions)):
                yield from _model(f"/v2/models/{place}", lineup, method=route.method)
    elif route.path == "/invocations":
        lineups = [lineup for lineup in asked.values() if isinstance(lineup, Lineup)]
        only = lineups[0] if len(lineups) == 1 else None
        yield (
            route.path,
            _invoke(only, "Predictions of the one deployment that is served, as MLflow is asked for them."),
        )
    else:
        yield route.path, _PLAIN[route.path]


def _answered(lineup: AnyLineup) -> str:
    """The schema of what it answers in JSON."""
    return "Together" if isinstance(lineup, Composed) else "Predictions"


def _predict(name: str, lineup: AnyLineup) -> Schema:
    asked = {"requestBody": _body(rows(lineup.decoder)), "responses": {"200": _answer(_answered(lineup))}}
    if isinstance(lineup, Composed):
        return {
            "summary": f"What the nodes of {name} answer together; rows may also be sent as an Arrow stream.",
            **asked,
        }
    return {
        "summary": f"Predictions of {name}; rows may also be sent as an Arrow stream.",
        "parameters": [
            {
                "name": "values",
                "in": "query",
                "schema": {"type": "string"},
                "description": "`1` to be told the model's inputs too.",
            },
            {
                "name": "explain",
                "in": "query",
                "schema": {"type": "string", "pattern": "^(true|false|[0-9]{1,4})$"},
                "description": f"`true`, or of how many inputs, for reasons; of up to {MOST_ROWS} rows.",
            },
        ],
        **asked,
    }


def _invoke(lineup: AnyLineup | None, summary: str) -> Schema:
    schema = {"type": "object"} if lineup is None else invocation(lineup.decoder)
    return {"summary": summary, "requestBody": _body(schema), "responses": {"200": _answer("Scores")}}


def _model(path: str, lineup: AnyLineup, *, method: str) -> Iterator[tuple[str, Schema]]:
    if method == "GET":
        yield path, {"summary": "What the model takes and gives.", "responses": {"200": _answer("Model")}}
        yield f"{path}/ready", {"summary": "Whether the model is served.", "responses": {"200": _object()}}
    else:
        summary = "Predictions by the Open Inference Protocol v2"
        if isinstance(lineup, Lineup):
            summary += f"; `{MATRIX}` instead of fields is the model's own matrix"
        yield (
            f"{path}/infer",
            {
                "summary": f"{summary}.",
                "requestBody": _body(inference(lineup.decoder)),
                "responses": {"200": _answer("Inference")},
            },
        )


def _completed(operation: Schema, route: Route, *, path: str) -> Schema:
    """With the permission that it needs, and how it is refused."""
    is_v2, is_public = path.startswith("/v2"), route.permission == PUBLIC
    content = _content("InferenceError", _JSON) if is_v2 else _content("Problem", problems.MEDIA_TYPE)
    refusals = {str(status): {"description": words, "content": content} for status, words in _REFUSALS.items()}
    return {
        **operation,
        "operationId": f"{route.method.lower()}{path.replace('/', '_')}",
        "description": "Needs no token." if is_public else f"Needs the permission `{route.permission}`.",
        "security": [] if is_public else [{"token": []}],
        "responses": {**refusals, **operation["responses"]},
    }


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {_JSON: {"schema": schema}}}


def _content(name: str, media_type: str) -> Schema:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _answer(name: str) -> Schema:
    return {"description": "Done.", "content": _content(name, _JSON)}


def _object(description: str = "Done.") -> Schema:
    return {"description": description, "content": {_JSON: {"schema": {"type": "object"}}}}


def _text(description: str = "Done.") -> Schema:
    return {"description": description, "content": {_TEXT: {"schema": {"type": "string"}}}}


_UNREADY = {"503": _object("It is not ready to be asked.")}
_PLAIN: Mapping[str, Schema] = {
    "/livez": {"summary": "Whether the process lives.", "responses": {"200": _object()}},
    "/readyz": {"summary": "Whether it can be asked.", "responses": {"200": _object(), **_UNREADY}},
    "/ping": {
        "summary": "Whether it serves a deployment.",
        "responses": {"200": _text(), "503": _text("It does not.")},
    },
    "/metrics": {"summary": "Its counters, as Prometheus reads them.", "responses": {"200": _text()}},
    "/status": {"summary": "What it serves, and why nothing newer.", "responses": {"200": _object()}},
    "/v2/repository/index": {
        "summary": "What can be called by which name and version, and whether it is loaded.",
        "requestBody": {
            "content": {_JSON: {"schema": {"type": "object", "properties": {"ready": {"type": "boolean"}}}}}
        },
        "responses": {
            "200": {
                "description": "Done.",
                "content": {_JSON: {"schema": {"type": "array", "items": {"type": "object"}}}},
            }
        },
    },
    "/openapi.json": {"summary": "This description.", "responses": {"200": _object()}},
    "/v2": {"summary": "The server's metadata.", "responses": {"200": _object()}},
    "/v2/health/live": {"summary": "Whether the process lives.", "responses": {"200": _object()}},
    "/v2/health/ready": {"summary": "Whether it can be asked.", "responses": {"200": _object(), **_UNREADY}},
}
