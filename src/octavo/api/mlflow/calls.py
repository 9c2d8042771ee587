"""How one call of MLflow's REST API becomes operations, and how it is answered, or refused in the client's words."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from octavo.api.bodies import decode_object, read_body
from octavo.api.endpoints import Endpoint, Handle, Identify
from octavo.errors import (
    Conflict,
    InvalidDefinition,
    InvalidRequest,
    NotAllowed,
    NotFound,
    OctavoError,
    Unavailable,
)
from octavo.operations import Dispatcher
from octavo.problems import shortened

ROOT = "/api/2.0/mlflow"

Call = Callable[[object], Any]
"""Runs an operation in the caller's name."""

Answer = dict[str, Any]

_MANY = frozenset({"order_by", "experiment_ids", "run_ids", "stages"})
"""What may be given several times in a query."""

_REFUSALS: tuple[tuple[type[OctavoError], str, HTTPStatus], ...] = (
    (NotFound, "RESOURCE_DOES_NOT_EXIST", HTTPStatus.NOT_FOUND),
    (NotAllowed, "PERMISSION_DENIED", HTTPStatus.FORBIDDEN),
    (InvalidRequest, "INVALID_PARAMETER_VALUE", HTTPStatus.BAD_REQUEST),
    (InvalidDefinition, "INVALID_PARAMETER_VALUE", HTTPStatus.BAD_REQUEST),
    (Unavailable, "TEMPORARILY_UNAVAILABLE", HTTPStatus.SERVICE_UNAVAILABLE),
)


class Sent(msgspec.Struct, kw_only=True):
    """What a client sends; what we do not know of it is left out of account, as clients of other releases expect."""


class Pair(Sent):
    """A tag or a parameter."""

    key: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """One call.

    Attributes
    ----------
    path : str
        Below `ROOT`.
    permission : str
        What its operations need.
    takes : type
        A `Sent`.
    answer : callable
        Makes the answer of what was sent; blocks.
    """

    verb: str
    path: str
    permission: str
    takes: type[Any]
    answer: Callable[[Any, Call], Answer]


def endpoint(method: Method, dispatcher: Dispatcher, *, identify: Identify, max_bytes: int) -> Endpoint:
    """The endpoint of a call."""

    async def handle(request: Request) -> Response:
        return await answered(request, lambda: _run(request), dispatcher, creates=method.path.endswith("/create"))

    async def _run(request: Request) -> Answer:
        sent = {**await _document(request, max_bytes=max_bytes), **request.path_params}
        try:
            asked = msgspec.convert(sent, method.takes, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"the request does not fit: {error}") from error
        return await run_in_threadpool(method.answer, asked, caller_of(request, dispatcher))

    return Endpoint(
        method=method.verb,
        path=f"{ROOT}/{method.path}",
        permission=method.permission,
        handle=handle,
        identify=identify,
        dispatched=True,
        deny=denial(method.path, method.permission, dispatcher),
    )


def denial(path: str, permission: str, dispatcher: Dispatcher) -> Handle:
    """What refuses a caller who may not at all, in the client's words, and records that."""

    async def deny(request: Request) -> Response:
        principal, trace = request.state.principal, request.state.request_id
        refuse = partial(dispatcher.deny_call, f"mlflow {path}", permission, principal, trace=trace)
        return await answered(request, lambda: run_in_threadpool(refuse), dispatcher)

    return deny


def caller_of(request: Request, dispatcher: Dispatcher) -> Call:
    """What runs operations in the name of a request's caller."""

    def call(asked: object) -> Any:
        return dispatcher.call(asked, request.state.principal, trace=request.state.request_id)

    return call


async def answered(
    request: Request, answer: Callable[[], Any], dispatcher: Dispatcher, *, creates: bool = False
) -> Response:
    """An answer as JSON, or the refusal as MLflow's client reads it.

    Parameters
    ----------
    creates : bool
        Whether a conflict means that the thing is there already.
    """
    try:
        made = await answer()
    except OctavoError as error:
        return _refusal(error, creates=creates)
    return made if isinstance(made, Response) else Response(msgspec.json.encode(made), media_type="application/json")


def pairs(given: Iterable[Pair]) -> dict[str, str]:
    """Tags or parameters by name.

    Raises
    ------
    InvalidRequest
        If one is given twice with different values.
    """
    found: dict[str, str] = {}
    for one in given:
        if found.setdefault(one.key, one.value) != one.value:
            raise InvalidRequest(f"{one.key!r} is given twice, with different values", field=one.key)
    return found


def listed(given: Mapping[str, str]) -> list[Answer]:
    """Tags or parameters as MLflow lists them."""
    return [{"key": key, "value": value} for key, value in given.items()]


async def _document(request: Request, *, max_bytes: int) -> dict[str, Any]:
    query = {
        name: request.query_params.getlist(name) if name in _MANY else value
        for name, value in request.query_params.items()
    }
    body = await read_body(request, max_bytes=max_bytes)
    return {**query, **(decode_object(body) if body else {})}


def _refusal(error: OctavoError, *, creates: bool) -> Response:
    if isinstance(error, Conflict):
        code = "RESOURCE_ALREADY_EXISTS" if creates else "INVALID_PARAMETER_VALUE"
        status = HTTPStatus.BAD_REQUEST
    else:
        known = next((one for one in _REFUSALS if isinstance(error, one[0])), None)
        if known is None:
            raise error
        _, code, status = known
    fix = getattr(error, "fix", None)
    message = shortened(f"{error.message}: {fix}" if fix else error.message)
    return Response(
        msgspec.json.encode({"error_code": code, "message": message}), status_code=status, media_type="application/json"
    )
