"""Errors as HTTP answers: statuses, and problem details (RFC 9457)."""

from http import HTTPStatus

import msgspec
from starlette.responses import Response

from octavo.errors import (
    Conflict,
    GateFailed,
    InvalidDefinition,
    InvalidRequest,
    LimitExceeded,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OctavoError,
    TrainingFailed,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
_STATUSES: tuple[tuple[type[OctavoError], HTTPStatus], ...] = (
    (LimitExceeded, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidRequest, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InvalidDefinition, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (GateFailed, HTTPStatus.CONFLICT),
    (TrainingFailed, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, for programs and people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    field: str | None = None
    fix: str | None = None


def status_of(error: OctavoError) -> HTTPStatus:
    """The status of an error; 500 for what is no caller's mistake."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_of(error: OctavoError, *, request_id: str) -> Problem:
    """The problem details of an error."""
    status = status_of(error)
    return Problem(
        type=f"urn:octavo:problem:{error.code}",
        title=status.phrase,
        status=status.value,
        detail=error.message,
        code=error.code,
        request_id=request_id,
        field=error.field if isinstance(error, InvalidRequest) else None,
        fix=error.fix if isinstance(error, InvalidRequest) else None,
    )


def unexpected(request_id: str) -> Problem:
    """The problem details of an error that nobody foresaw: its text stays in the log, found by the request's id."""
    return Problem(
        type="urn:octavo:problem:internal",
        title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
        status=500,
        detail=f"something failed here; the log of the control process tells more under request {request_id}",
        code="internal",
        request_id=request_id,
    )


def problem_response(problem: Problem) -> Response:
    """A problem as an answer."""
    headers = {}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="octavo"'
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return Response(msgspec.json.encode(problem), problem.status, headers, MEDIA_TYPE)
