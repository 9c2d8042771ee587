"""Errors as HTTP answers: problem details (RFC 9457)."""

from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from octavo.errors import (
    Conflict,
    InvalidRequest,
    LimitExceeded,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OctavoError,
    Unavailable,
)

Headers = tuple[tuple[bytes, bytes], ...]

MEDIA_TYPE = b"application/problem+json"
_STATUSES: tuple[tuple[type[OctavoError], HTTPStatus], ...] = (
    (LimitExceeded, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidRequest, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
_EXTRA_HEADERS: dict[HTTPStatus, Headers] = {
    HTTPStatus.UNAUTHORIZED: ((b"www-authenticate", b'Bearer realm="octavo"'),),
    HTTPStatus.SERVICE_UNAVAILABLE: ((b"retry-after", b"1"),),
}


class HttpError(Exception):
    """A refusal that is a matter of HTTP alone.

    Parameters
    ----------
    status : HTTPStatus
    detail : str
    fix : str
        What to do instead.
    headers : tuple of (name, value)
    """

    def __init__(self, status: HTTPStatus, detail: str, *, fix: str, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.status, self.fix, self.headers = status, fix, headers


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: Headers = ()


def status_of(error: OctavoError) -> HTTPStatus:
    """The status of an error; 500 for what is no caller's mistake."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_of(error: Exception, *, request_id: str) -> Answer:
    """The answer to an error. One that nobody foresaw is answered without its text, which may hold anything."""
    if isinstance(error, HttpError):
        code, status = error.status.name.lower(), error.status
        return _answer(code, status=status, error=error, request_id=request_id, headers=error.headers)
    if isinstance(error, OctavoError):
        status = status_of(error)
        headers = _EXTRA_HEADERS.get(status, ())
        return _answer(error.code, status=status, error=error, request_id=request_id, headers=headers)
    foreseen = OctavoError(f"something failed here; the log of the predictor tells more under request {request_id}")
    return _answer("internal", status=HTTPStatus.INTERNAL_SERVER_ERROR, error=foreseen, request_id=request_id)


def _answer(code: str, *, status: HTTPStatus, error: Exception, request_id: str, headers: Headers = ()) -> Answer:
    document = Problem(
        type=f"urn:octavo:problem:{code}",
        title=status.phrase,
        status=status.value,
        detail=str(error),
        code=code,
        request_id=request_id,
        field=getattr(error, "field", None),
        fix=getattr(error, "fix", None),
    )
    return Answer(status=status.value, body=msgspec.json.encode(document), content_type=MEDIA_TYPE, headers=headers)
