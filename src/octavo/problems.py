"""Errors as problem details (RFC 9457): every process that speaks HTTP refuses in the same words and statuses."""

from http import HTTPStatus

import msgspec

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
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"www-authenticate": 'Bearer realm="octavo"'},
    HTTPStatus.SERVICE_UNAVAILABLE: {"retry-after": "1"},
}


MOST_TEXT = 2_000
"""Characters of what a refusal says: it repeats what was sent, which may be of any length."""


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

    @property
    def headers(self) -> dict[str, str]:
        """What an answer with this status carries besides."""
        return _HEADERS.get(HTTPStatus(self.status), {})


def status_of(error: OctavoError) -> HTTPStatus:
    """The status of an error; 500 for what is no caller's mistake."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_of(error: OctavoError, *, request_id: str) -> Problem:
    """The problem details of an error."""
    field, fix = (error.field, error.fix) if isinstance(error, InvalidRequest) else (None, None)
    status = status_of(error)
    return refusal(status, error.message, code=error.code, request_id=request_id, field=field, fix=fix)


def refusal(
    status: HTTPStatus,
    detail: str,
    *,
    request_id: str,
    code: str | None = None,
    field: str | None = None,
    fix: str | None = None,
) -> Problem:
    """The problem details of a refusal; by its status alone if it is a matter of HTTP and of no error of Octavo's."""
    code = code or status.name.lower()
    return Problem(
        type=f"urn:octavo:problem:{code}",
        title=status.phrase,
        status=status.value,
        detail=shortened(detail),
        code=code,
        request_id=request_id,
        field=None if field is None else shortened(field),
        fix=None if fix is None else shortened(fix),
    )


def shortened(text: str) -> str:
    """A text of at most `MOST_TEXT` characters."""
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"


def unexpected(request_id: str, *, process: str) -> Problem:
    """The problem details of an error that nobody foresaw: its text, which may hold anything, stays in the log."""
    detail = f"something failed here; the log of the {process} tells more under request {request_id}"
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, detail, code="internal", request_id=request_id)
