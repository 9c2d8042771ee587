"""How a call ends: the status of gRPC, and the trailers that say it."""

from enum import IntEnum
from http import HTTPStatus

from octavo.problems import Problem

Trailers = list[tuple[bytes, bytes]]

_LONGEST_VALUE = 2_000
"""Bytes of one trailer; clients take 8 KB of them all."""


class Status(IntEnum):
    """The statuses that are given here; the numbers are gRPC's."""

    OK = 0
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


_BY_HTTP = {
    HTTPStatus.BAD_REQUEST: Status.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: Status.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: Status.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: Status.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: Status.UNIMPLEMENTED,
    HTTPStatus.REQUEST_TIMEOUT: Status.DEADLINE_EXCEEDED,
    HTTPStatus.CONFLICT: Status.ABORTED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Status.RESOURCE_EXHAUSTED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: Status.UNIMPLEMENTED,
    HTTPStatus.UNPROCESSABLE_ENTITY: Status.INVALID_ARGUMENT,
    HTTPStatus.TOO_MANY_REQUESTS: Status.RESOURCE_EXHAUSTED,
    HTTPStatus.INTERNAL_SERVER_ERROR: Status.INTERNAL,
    HTTPStatus.NOT_IMPLEMENTED: Status.UNIMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE: Status.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: Status.DEADLINE_EXCEEDED,
}
_COMES_BACK = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def status_of(problem: Problem) -> Status:
    """The status of gRPC that says what a status of HTTP says."""
    return _BY_HTTP.get(HTTPStatus(problem.status), Status.UNKNOWN)


def trailers_of(problem: Problem) -> Trailers:
    """A problem as the end of a call: the same sentence, code, field and fix that the other doors give."""
    detail = f"{problem.detail}; {problem.fix}" if problem.fix else problem.detail
    trailers = [
        (b"grpc-status", b"%d" % status_of(problem)),
        (b"grpc-message", escaped(detail)),
        (b"octavo-code", problem.code.encode("ascii")),
        (b"x-request-id", problem.request_id.encode("ascii")),
    ]
    if problem.field is not None:
        trailers.append((b"octavo-field", escaped(problem.field)))
    if problem.fix is not None:
        trailers.append((b"octavo-fix", escaped(problem.fix)))
    if problem.status in _COMES_BACK:
        trailers.append((b"grpc-retry-pushback-ms", b"1000"))
    return trailers


def escaped(text: str) -> bytes:
    """Text as a trailer carries it: printable ASCII as it is, everything else as ``%`` and two digits a byte."""
    parts: list[bytes] = []
    size = 0
    for character in text:
        part = character.encode() if " " <= character <= "~" and character != "%" else _escaped(character)
        size += len(part)
        if size > _LONGEST_VALUE:
            break
        parts.append(part)
    return b"".join(parts)


def _escaped(character: str) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in character.encode("utf-8", "replace"))
