"""Calls of one connection, each as an ASGI application sees it."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Protocol

from octavo.serving.heads import ARRIVED

Fields = tuple[tuple[bytes, bytes], ...]
Message = MutableMapping[str, Any]


class Sender(Protocol):
    """The connection that calls come over."""

    def send(self, stream: "Stream", message: Message) -> None:
        """Send a part of a call's answer, as ASGI has it."""

    def reply(self, stream: "Stream", message: bytes) -> None:
        """Send the whole answer to a call that has gone well."""

    def reset(self, stream: "Stream") -> None:
        """End a call without an answer."""

    def go_on(self, stream: "Stream") -> None:
        """Have a call answered by the application."""


class Stream:
    """A call on its way.

    Parameters
    ----------
    connection : Sender
    number : int
        The stream's.
    fields : tuple of pairs
        Of its head; those that HTTP/2 itself needs begin with a colon.
    arrived_ns : int
        When it was read, on the clock of `time.perf_counter_ns`.

    Attributes
    ----------
    has_trailers : bool
        Whether its answer ends with trailers.
    is_whole : bool
        Whether all of its body has come.
    is_answered : bool
        Whether all of its answer is ready to be sent.
    is_gone : bool
        Whether nobody waits for it any more.
    left : tuple of int or None
        How much of its answer was still to be sent at the last look, and since when it is so much; None before the
        first.
    """

    __slots__ = (
        "_connection",
        "_heard",
        "_is_read",
        "_parts",
        "arrived_ns",
        "fields",
        "has_trailers",
        "is_answered",
        "is_gone",
        "is_whole",
        "left",
        "number",
    )

    def __init__(self, connection: Sender, number: int, fields: Fields, *, arrived_ns: int) -> None:
        self.number, self.fields, self.arrived_ns = number, fields, arrived_ns
        self.is_whole = self.is_answered = self.is_gone = False
        self.left: tuple[int, int] | None = None
        self._connection = connection
        self._parts: list[bytes] = []
        self._heard: asyncio.Future[None] | None = None
        self._is_read = self.has_trailers = False

    @property
    def scope(self) -> dict[str, Any]:
        """What ASGI says of a request."""
        head = dict(self.fields)
        method, path = head[b":method"].decode("latin-1"), head.get(b":path", b"").decode("latin-1")
        return {"type": "http", "method": method, "path": path, "headers": self.fields, ARRIVED: self.arrived_ns}

    @property
    def body(self) -> bytes:
        """What has come and was not received."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def feed(self, data: bytes, *, is_last: bool) -> None:
        """Take in a part of the body; nobody reads on once the call is answered."""
        if data and not self.is_answered:
            self._parts.append(data)
        self.is_whole |= is_last
        if data or is_last:
            self._wake()

    def abandon(self) -> None:
        """Note that nobody waits for the answer."""
        self.is_gone = True
        self._wake()

    async def receive(self) -> Message:
        """What has come of the body, or that its caller has gone."""
        while not (self.is_gone or self._parts or self.is_whole > self._is_read):
            self._heard = asyncio.get_running_loop().create_future()
            await self._heard
        if self.is_gone:
            return {"type": "http.disconnect"}
        body, self._is_read = self.body, self.is_whole
        self._parts.clear()
        return {"type": "http.request", "body": body, "more_body": not self.is_whole}

    async def send(self, message: Message) -> None:
        """Answer."""
        if not self.is_gone:
            self._connection.send(self, message)

    def reply(self, message: bytes) -> None:
        """Answer with one message, and that it went well."""
        if not self.is_gone:
            self._connection.reply(self, message)

    def go_on(self) -> None:
        """Have it answered by the application."""
        if not self.is_gone:
            self._connection.go_on(self)

    def reset(self) -> None:
        """End without an answer."""
        if not self.is_gone:
            self._connection.reset(self)

    def _wake(self) -> None:
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)
