"""What the heads of requests say: checked, and remembered for as long as callers repeat theirs."""

import re
from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec

from octavo.clock import SystemClock
from octavo.identifiers import new_id
from octavo.serving.routes import Headers, Route

_REMEMBERED = 512
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")
_OF_ONE_REQUEST = (b"traceparent", b"x-request-id")

Scope = MutableMapping[str, Any]
Read = Callable[[Scope, Headers], "Head"]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A request's head, whose caller may make the request.

    Attributes
    ----------
    deployment : str
        Of which rows of JSON ask a plain prediction, to be answered as JSON; empty if the request is about more.
    is_followed : bool
        Whether its answer's head says more than what it is.
    """

    route: Route
    caller: str
    headers: Headers
    deployment: str = ""
    is_followed: bool = False


class Heads:
    """Remembers what was read of heads; whoever sends the same again is spared the reading.

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
        self._until_ns = 0
        self._known: dict[tuple[Any, ...], Head] = {}

    def of(self, scope: Scope, *, now_ns: int) -> Head:
        """The head of a request.

        Raises
        ------
        OctavoError
            As `read` does.
        """
        if now_ns >= self._until_ns:
            self._known.clear()
            self._until_ns = now_ns + self._for_ns
        key = scope["method"], scope["path"], scope["query_string"], *scope["headers"]
        return self._known.get(key) or self._remember(key, scope)

    def _remember(self, key: tuple[Any, ...], scope: Scope) -> Head:
        headers = dict(scope["headers"])
        head = self._read(scope, headers)
        if self._for_ns and len(self._known) < _REMEMBERED and not any(name in headers for name in _OF_ONE_REQUEST):
            self._known[key] = head
        return head


def sent_id(headers: Headers) -> bytes | None:
    """The id that a caller gave the request; None if it gave none that may be repeated."""
    sent = headers.get(b"x-request-id")
    return sent if sent is not None and _REQUEST_ID.match(sent) else None


def request_id_of(headers: Headers) -> str:
    """The request's id: its caller's, or one of ours."""
    sent = sent_id(headers)
    return new_id(SystemClock()) if sent is None else sent.decode("ascii")
