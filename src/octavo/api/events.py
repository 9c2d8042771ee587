"""How data comes in: events of a source, and outcomes of predictions."""

from dataclasses import replace

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from octavo.api.bodies import decode_json, read_body, to_request
from octavo.api.endpoints import Endpoint, Identify
from octavo.api.operations_door import denial, operation_endpoint
from octavo.errors import InvalidRequest
from octavo.features.events.bodies import BodyKind
from octavo.features.events.ingest import BadRows
from octavo.features.operations import IngestEvents, LoadEvents
from octavo.operations import Dispatcher

EVENTS, OUTCOMES = ("/events/{source}", "events.ingest"), ("/outcomes", "outcomes.record")
MEDIA_TYPES = {
    "application/json": BodyKind.JSON,
    "application/vnd.apache.arrow.stream": BodyKind.ARROW,
    "application/vnd.apache.parquet": BodyKind.PARQUET,
}
"""What a body of events may be; JSON unless the request says."""


def data_endpoints(dispatcher: Dispatcher, *, identify: Identify, max_body_bytes: int) -> list[Endpoint]:
    """``POST /events/{source}``, and ``POST /outcomes`` with ``{"rows": [...]}``."""
    path, name = OUTCOMES
    outcomes = operation_endpoint(
        dispatcher.operations[name], dispatcher, path, identify=identify, max_bytes=max_body_bytes
    )
    return [_events_endpoint(dispatcher, identify=identify, max_bytes=max_body_bytes), outcomes]


def _events_endpoint(dispatcher: Dispatcher, *, identify: Identify, max_bytes: int) -> Endpoint:
    path, name = EVENTS

    async def handle(request: Request) -> Response:
        source, bad, kind = request.path_params["source"], _bad_rows(request), _kind(request)
        body = await read_body(request, max_bytes=max_bytes)

        def run() -> bytes:
            asked = _request(body, kind, source=source, bad=bad)
            return msgspec.json.encode(dispatcher.call(asked, request.state.principal, trace=request.state.request_id))

        return Response(await run_in_threadpool(run), media_type="application/json")

    return Endpoint(
        method="POST",
        path=path,
        permission=dispatcher.operations[name].permission,
        handle=handle,
        identify=identify,
        dispatched=True,
        deny=denial(dispatcher.operations[name], dispatcher),
    )


def _request(body: bytes, kind: BodyKind, *, source: str, bad: BadRows) -> IngestEvents | LoadEvents:
    """The operation that takes a body; rows that may have to be kept stay as they were sent."""
    if kind is not BodyKind.JSON or bad is BadRows.KEEP:
        return LoadEvents(source=source, body=body, kind=kind, bad=bad)
    document = decode_json(body)
    if isinstance(document, list):
        document = {"rows": document}
    elif not isinstance(document, dict):
        raise InvalidRequest("the body holds no events", fix='send {"rows": [...]}, a list of events, or one event')
    elif document and "rows" not in document:
        document = {"rows": [document]}
    asked: IngestEvents = to_request({**document, "source": source}, IngestEvents)
    return replace(asked, bad=bad)


def _bad_rows(request: Request) -> BadRows:
    given = request.query_params.get("bad", BadRows.REFUSE)
    unknown = [name for name in request.query_params if name != "bad"]
    if unknown or given not in set(BadRows):
        wrong = unknown[0] if unknown else "bad"
        raise InvalidRequest(f"the query holds a wrong {wrong!r}", field=wrong, fix="leave it out, or send bad=keep")
    return BadRows(given)


def _kind(request: Request) -> BodyKind:
    given = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if given not in MEDIA_TYPES and given.startswith(("application/vnd.", "application/x-")):
        raise InvalidRequest(
            f"a body of {given[:80]!r} is not taken", field="content-type", fix=f"send one of {', '.join(MEDIA_TYPES)}"
        )
    return MEDIA_TYPES.get(given, BodyKind.JSON)
