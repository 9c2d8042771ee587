"""Problem details (RFC 9457) as they come back from a server, turned into Octavo's own errors again."""

from collections.abc import Iterator
from typing import Any

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

_BY_STATUS: dict[int, type[OctavoError]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    413: LimitExceeded,
    429: LimitExceeded,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_LONGEST_DETAIL = 200


def error_of(status: int, body: bytes) -> OctavoError:
    """The error that an answer of 400 or more tells of, in the server's own words.

    Its class is that of the problem's ``code``. Where the code is not one of Octavo's, because a proxy answered, the
    status decides.
    """
    problem = _problem(body)
    detail = str(problem.get("detail") or problem.get("title") or f"the server answered {status}")
    kind = _KINDS.get(str(problem.get("code"))) or _BY_STATUS.get(status)
    if kind is None:
        kind = InvalidRequest if status < 500 else OctavoError
    error = kind.__new__(kind)
    facts = {name: problem.get(name) for name in ("field", "fix", "request_id")}
    OctavoError.__init__(error, detail, status=status, **facts)
    if isinstance(error, InvalidRequest):
        error.field, error.fix = facts["field"], facts["fix"]
    return error


def _problem(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"detail": body.decode("utf-8", "replace").strip()[:_LONGEST_DETAIL]}


def _kinds(kind: type[OctavoError]) -> Iterator[type[OctavoError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


_KINDS = {kind.code: kind for kind in _kinds(OctavoError) if kind is not OctavoError}
