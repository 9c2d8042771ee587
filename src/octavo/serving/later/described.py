"""What the description of a predictor says of asynchronous predictions."""

from octavo.serving.later.routes import LATER
from octavo.serving.requests import RequestDecoder
from octavo.serving.schemas import Schema, objects, rows

_JSON = "application/json"
_STATE: Schema = objects(
    {"id": {"type": "string"}, "deployment": {"type": "string"}, "state": {"type": "string"}},
    required=("id", "deployment", "state"),
)
_ACCEPTED: Schema = {
    "description": "It is to be answered; `Location` says where, `Retry-After` when to ask again.",
    "content": {_JSON: {"schema": _STATE}},
}
_ID: Schema = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f-]+$"}}


def later(name: str, decoder: RequestDecoder, *, method: str, answer: str) -> tuple[str, Schema]:
    """The path of a method for one deployment or composite, and what is done there.

    Parameters
    ----------
    answer : str
        The schema of what is answered in the end.
    """
    if method == "POST":
        return f"{LATER}{name}", {
            "summary": f"Predictions of {name} later; the options and bodies of /predict/{name}, and larger ones.",
            "parameters": [
                _header("Idempotency-Key", "Sent again with it, a request is the same."),
                _header("Callback-URL", "Where to tell that it is answered."),
            ],
            "requestBody": {"required": True, "content": {_JSON: {"schema": rows(decoder)}}},
            "responses": {"202": _ACCEPTED},
        }
    path = f"{LATER}{name}/{{id}}"
    if method == "DELETE":
        gone: Schema = {"description": "It is forgotten.", "content": {_JSON: {"schema": _STATE}}}
        return path, {"summary": "Forget it, answered or not.", "parameters": [_ID], "responses": {"200": gone}}
    return path, {
        "summary": f"The answer, as /predict/{name} would have given it.",
        "parameters": [_ID],
        "responses": {
            "200": {
                "description": "Done.",
                "content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{answer}"}}},
            },
            "202": _ACCEPTED,
        },
    }


def _header(name: str, words: str) -> Schema:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": words}
