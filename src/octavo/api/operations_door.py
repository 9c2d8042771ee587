"""Every operation over HTTP: ``POST /api/{operation}`` with its request as a JSON object, answered as JSON."""

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from octavo.api.bodies import decode_object, read_body, to_request
from octavo.api.endpoints import Endpoint, Handle, Identify
from octavo.errors import InvalidRequest
from octavo.operations import Dispatcher, Operation

_TOLD_BYTES = 64_000


def operation_endpoints(dispatcher: Dispatcher, *, identify: Identify, max_body_bytes: int) -> list[Endpoint]:
    """One endpoint per operation, which needs the operation's permission."""
    return [
        operation_endpoint(operation, dispatcher, f"/api/{operation.name}", identify=identify, max_bytes=max_body_bytes)
        for operation in dispatcher.operations
    ]


def operation_endpoint(
    operation: Operation, dispatcher: Dispatcher, path: str, *, identify: Identify, max_bytes: int
) -> Endpoint:
    """An endpoint that runs one operation; parameters of its path are fields of the request."""

    async def handle(request: Request) -> Response:
        document = {**decode_object(await read_body(request, max_bytes=max_bytes)), **request.path_params}

        def run() -> bytes:
            asked = to_request(document, operation.request)
            return msgspec.json.encode(dispatcher.call(asked, request.state.principal, trace=request.state.request_id))

        return Response(await run_in_threadpool(run), media_type="application/json")

    return Endpoint(
        method="POST",
        path=path,
        permission=operation.permission,
        handle=handle,
        identify=identify,
        dispatched=True,
        deny=denial(operation, dispatcher),
    )


def denial(operation: Operation, dispatcher: Dispatcher) -> Handle:
    """What refuses a caller who may not run an operation, and records what they wanted as far as that is soon told."""

    async def deny(request: Request) -> Response:
        asked: object | None = None
        try:
            body = await read_body(request, max_bytes=_TOLD_BYTES)
            asked = to_request({**decode_object(body), **request.path_params}, operation.request)
        except InvalidRequest:
            pass
        return await run_in_threadpool(
            dispatcher.deny, operation, asked, request.state.principal, trace=request.state.request_id
        )

    return deny
