"""What the heads of requests say: checked, and remembered by their bytes for as long as callers repeat theirs."""

import re
from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec

from octavo.clock import SystemClock
from octavo.identifiers import new_id
from octavo.serving.asked import Asked
from octavo.serving.attempts import AnsweredTogether
from octavo.serving.lineup import Lineup
from octavo.serving.routes import Headers, Route

ARRIVED = "octavo.arrived_ns"
"""Where a request's scope says when its first bytes were read, on the clock of `time.perf_counter_ns`."""

SENT = "octavo.sent"
"""Where a request's scope holds its head as it was sent, if all of it came at once."""

_REMEMBERED = 2048
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")
_KEPT = ("method", "path", "raw_path", "query_string", "headers")
_OF_ONE_REQUEST = (b"traceparent", b"x-request-id")
_OF_THE_CONNECTION = (b"transfer-encoding", b"expect", b"upgrade")
_LENGTH = re.compile(rb"\r\n(content-length): ?(\d{1,12})\r\n", re.IGNORECASE)

Scope = MutableMapping[str, Any]
Read = Callable[[Scope, Headers], "Head"]
Form = Callable[[Lineup, bytes], tuple[Asked, Callable[[AnsweredTogether], bytes]] | None]
"""Reads a body; what it asks for, and what writes the answer to it as JSON. None if it asks for another answer."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A request's head, whose caller may make the request.

    Attributes
    ----------
    deployment : str
        Of which a plain prediction is asked by JSON, to be answered as JSON; empty if the request is about more.
    form : callable or None
        Of such a request.
    is_followed : bool
        Whether its answer's head says more than what it is.
    """

    route: Route
    caller: str
    headers: Headers
    deployment: str = ""
    form: Form | None = None
    is_followed: bool = False


class Known(msgspec.Struct):
    """A head that is remembered, and how long it is believed without being read again.

    Attributes
    ----------
    n_body : int
        Bytes of the body that follows it.
    until_ns : int
        On the clock of `time.perf_counter_ns`.
    """

    head: Head
    scope: Scope
    n_body: int
    until_ns: int


class Heads:
    """Remembers what was read of heads; whoever sends the same bytes again is spared the reading.

    Parameters
    ----------
    read : callable
        Reads a head, and refuses who may not send it.
    for_s : float
        How long a head is believed: who was let in may not be any more.
    """

    def __init__(self, read: Read, *, for_s: float) -> None:
        self._read = read
        self._for_ns = round(for_s * 1e9)
        self._known: dict[bytes, Known] = {}
        self._by_rest: dict[bytes, Known] = {}

    def of(self, scope: Scope, *, now_ns: int) -> Head:
        """The head of a request.

        Raises
        ------
        OctavoError
            As `read` does.
        """
        sent = scope.get(SENT, b"")
        known = self.known(sent, now_ns=now_ns)
        if known is not None:
            return known.head
        head = self._read(scope, dict(scope["headers"]))
        if sent and self._for_ns and _says_all(sent, scope, head.headers):
            kept = {name: scope[name] for name in _KEPT}
            known = Known(head, kept, int(head.headers.get(b"content-length", b"0")), now_ns + self._for_ns)
            _remember(self._known, sent, known)
            if (length := _LENGTH.search(sent)) is not None:
                _remember(self._by_rest, _without(length), known)
        return head

    def known(self, sent: bytes, *, now_ns: int) -> Known | None:
        """The head of a request by its bytes; None if it is not known, or its caller may not make it any more.

        Raises
        ------
        OctavoError
            As `read` does.
        """
        known = self._known.get(sent)
        if known is None and (length := _LENGTH.search(sent)) is not None:
            known = self._of_another_length(sent, length)
        if known is not None and now_ns >= known.until_ns:
            del self._known[sent]
            known.head = self._read(known.scope, known.head.headers)
            known.until_ns = now_ns + self._for_ns
            self._known[sent] = known
        return known

    def _of_another_length(self, sent: bytes, length: re.Match[bytes]) -> Known | None:
        """What is known of a head that differs from another in the length of its body alone."""
        other = self._by_rest.get(_without(length))
        if other is None:
            return None
        name, n_body = length[1].lower(), length[2]
        headers = [(key, n_body if key == name else value) for key, value in other.scope["headers"]]
        head = msgspec.structs.replace(other.head, headers=dict(headers))
        known = Known(head, {**other.scope, "headers": headers}, int(n_body), other.until_ns)
        _remember(self._known, sent, known)
        return known


def _remember(known: dict[bytes, Known], key: bytes, value: Known) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = value


def _without(length: re.Match[bytes]) -> bytes:
    """A head but for the length of its body."""
    sent = length.string
    return sent[: length.start(2)] + sent[length.end(2) :]


def _says_all(sent: bytes, scope: Scope, headers: Headers) -> bool:
    """Whether the bytes of a head mean the same whenever they are read: nothing but whole lines of what was read.

    They must hold no more and no less than the parser found in them, or a later reading by them alone would take
    another place for the head's end.
    """
    first = b"%s %s" % (scope["method"].encode(), scope["raw_path"])
    lines = sent.count(b"\n")
    return (
        sent.startswith((first + b" HTTP/1.1\r\n", first + b"?" + scope["query_string"] + b" HTTP/1.1\r\n"))
        and lines == sent.count(b"\r\n") == len(scope["headers"]) + 2
        and len(headers) == len(scope["headers"])
        and headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and not any(name in headers for name in _OF_ONE_REQUEST + _OF_THE_CONNECTION)
    )


def sent_id(headers: Headers) -> bytes | None:
    """The id that a caller gave the request; None if it gave none that may be repeated."""
    sent = headers.get(b"x-request-id")
    return sent if sent is not None and _REQUEST_ID.match(sent) else None


def request_id_of(headers: Headers) -> str:
    """The request's id: its caller's, or one of ours."""
    sent = sent_id(headers)
    return new_id(SystemClock()) if sent is None else sent.decode("ascii")
