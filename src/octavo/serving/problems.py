"""Errors as HTTP answers: problem details (RFC 9457)."""

from dataclasses import dataclass, field
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

_STATUSES: tuple[tuple[type[OctavoError], HTTPStatus], ...] = (
    (LimitExceeded, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidRequest, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


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

    def __init__(
        self, status: HTTPStatus, detail: str, *, fix: str, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.fix, self.headers = status, detail, fix, headers


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error's answer."""

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
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())


def problem(error: Exception, *, request_id: str) -> Answer:
    """The answer to an error. What is not an error of Octavo's own is shown without its text, which may hold anything."""
    if isinstance(error, HttpError):
        return _answer(
            error.status,
            code=error.status.name.lower(),
            detail=error.detail,
            fix=error.fix,
            request_id=request_id,
            headers=error.headers,
        )
    if isinstance(error, OctavoError):
        status = next((s for kind, s in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = ((b"www-authenticate", b"Bearer"),) if status is HTTPStatus.UNAUTHORIZED else ()
        return _answer(
            status,
            code=error.code,
            detail=error.message,
            field=getattr(error, "field", None),
            fix=getattr(error, "fix", None),
            request_id=request_id,
            headers=headers,
        )
    detail = "something failed that should not; its cause is in the log under this request's id"
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, code="internal", detail=detail, request_id=request_id)


def _answer(
    status: HTTPStatus,
    *,
    code: str,
    detail: str,
    request_id: str,
    field: str | None = None,
    fix: str | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Answer:
    document = Problem(
        type=f"urn:octavo:problem:{code}",
        title=status.phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        field=field,
        fix=fix,
    )
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers = (*headers, (b"retry-after", b"1"))
    return Answer(
        status=status, body=msgspec.json.encode(document), content_type=b"application/problem+json", headers=headers
    )
