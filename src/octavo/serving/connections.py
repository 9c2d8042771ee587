"""The connections of a predictor, with bounds on what the HTTP server below leaves unbounded.

uvicorn waits for ever for a request's headers, takes them in any size, and keeps an answer that its caller does not
read. Here one sweep a second looks at all connections; a timer for each request would cost a tenth of its answer.
"""

import asyncio
import time
from collections.abc import Sequence
from enum import IntEnum
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from octavo import problems
from octavo.clock import SystemClock
from octavo.identifiers import new_id
from octavo.serving.heads import ARRIVED, SENT, Known

HEAD_TIMEOUT_S, IDLE_TIMEOUT_S, ANSWER_TIMEOUT_S = 10.0, 75.0, 30.0
MOST_HEAD_BYTES, MOST_HEADERS = 16_384, 64
_HEAD_END = b"\r\n\r\n"
_SWEEP_EVERY_S = 1.0
_GRACE_S, _FAREWELL_S = 1.0, 2.0
_MOST_GATHERED = 32


class State(IntEnum):
    """What a connection waits for."""

    HEAD = 0
    ANSWER = 1
    NOTHING = 2
    END = 3


_IDLE_S = {State.HEAD: HEAD_TIMEOUT_S, State.NOTHING: IDLE_TIMEOUT_S, State.END: _FAREWELL_S}
_MORE = {HTTPStatus.SERVICE_UNAVAILABLE: b"retry-after: 1\r\n"}


class Shortcut(Protocol):
    """Answers some requests from their bytes on: `octavo.serving.shortcut.Shortcut`."""

    def known(self, head: bytes, *, now_ns: int) -> Known | None:
        """What is known of a request by its head; None if it is to go the long way."""

    def take(self, known: Known, head: bytes, body: bytes, connection: "Connection", *, arrived_ns: int) -> None:
        """Have a request answered that is known and there; the connection is told the answer, or given it back."""


class Gathered(msgspec.Struct):
    """What has come of a request whose head is known.

    Attributes
    ----------
    parts : list of bytes
        Of its body.
    n_lacking : int
        Bytes that are still to come.
    """

    head: bytes
    parts: list[bytes]
    n_lacking: int

    @property
    def sent(self) -> bytes:
        """All of it, as it was sent."""
        return b"".join([self.head, *self.parts])


class Connections:
    """Makes the connections of one server and bounds them.

    Parameters
    ----------
    most : int
        Beyond it, whoever has kept the server waiting longest for a request's headers makes room; if nobody does, the
        new one is turned away.
    shortcut : Shortcut or None
        Is shown all requests.

    Attributes
    ----------
    n_gathered : int
        Connections that wait for the rest of a request whose head is known.
    """

    def __init__(self, *, most: int, shortcut: Shortcut | None = None) -> None:
        self.most = most
        self.shortcut = shortcut
        self.n_gathered = 0
        self._open: set[Connection] = set()
        self._answer_head = b""
        self._told_headers: list[tuple[bytes, bytes]] | None = None

    def __call__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> "Connection":
        """A connection, as uvicorn makes them of a protocol's class."""
        return Connection(self, config, server_state, app_state, _loop)

    def watch(self) -> None:
        """Sweep once a second from now on, in the running loop."""
        loop = asyncio.get_running_loop()

        def sweep() -> None:
            self.sweep(time.perf_counter_ns())
            loop.call_later(_SWEEP_EVERY_S, sweep)

        loop.call_later(_SWEEP_EVERY_S, sweep)

    def sweep(self, now_ns: int) -> None:
        """End the connections whose time is over."""
        for connection in tuple(self._open):
            connection.end_if_over(now_ns)

    def opened(self, connection: "Connection") -> bool:
        """Take a connection in; whether there is room for it."""
        if len(self._open) >= self.most and not self._make_room(time.perf_counter_ns()):
            return False
        self._open.add(connection)
        return True

    def closed(self, connection: "Connection") -> None:
        """Forget a connection."""
        self._open.discard(connection)

    def answer_head(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The head of an answer that is JSON, up to the length of its body.

        Parameters
        ----------
        headers : list of (name, value)
            What all answers say, such as the time; another list once it is another time.
        """
        if headers is not self._told_headers:
            self._told_headers = headers
            told = b"".join([b"%s: %s\r\n" % header for header in headers])
            self._answer_head = b"%s%scontent-type: application/json\r\ncache-control: no-store\r\ncontent-length: " % (
                STATUS_LINE[HTTPStatus.OK],
                told,
            )
        return self._answer_head

    def _make_room(self, now_ns: int) -> bool:
        waiting = [one for one in self._open if one.state is State.HEAD and one.lasts_s(now_ns) > _GRACE_S]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda one: one.since_ns)
        self._open.discard(oldest)
        oldest.transport.abort()
        return True


class Connection(HttpToolsProtocol):
    """One caller's connection.

    Attributes
    ----------
    state : State
    since_ns : int
        When its head began, or it fell idle; on the clock of `time.perf_counter_ns`.
    """

    def __init__(self, connections: Connections, config: Any, server_state: Any, app_state: Any, loop: Any) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.state = State.HEAD
        self.since_ns = time.perf_counter_ns()
        self._all = connections
        self._unsent_since_ns = 0
        self._head_bytes = self._read_bytes = 0
        self._sent = self._held = b""
        self._is_new, self._is_taken, self._is_last = True, False, False
        self._gathered: Gathered | None = None
        self._refusal = HTTPStatus.BAD_REQUEST

    def lasts_s(self, now_ns: int) -> float:
        """How long it has been in its state."""
        return (now_ns - self.since_ns) / 1e9

    def end_if_over(self, now_ns: int) -> None:
        """End it if it waits too long for its caller to send, or to take what was sent."""
        if self.transport.get_write_buffer_size() == 0:
            self._unsent_since_ns = 0
        elif self._unsent_since_ns == 0:
            self._unsent_since_ns = now_ns
        elif now_ns - self._unsent_since_ns > ANSWER_TIMEOUT_S * 1e9:
            self.transport.abort()
        if self.transport.is_closing():
            return
        waited_s = self.lasts_s(now_ns)
        if self._gathered is not None and waited_s > _GRACE_S:
            self.go_on(self._gather_no_more().sent)
        elif self.state is State.HEAD and self._head_bytes and waited_s > HEAD_TIMEOUT_S:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self.state is not State.ANSWER and waited_s > _IDLE_S[self.state]:
            self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin, if there is room."""
        super().connection_made(transport)
        if not self._all.opened(self):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._gathered is not None:
            self._gather_no_more()
        self._all.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Have a request answered the short way, or read on."""
        if self.state is State.NOTHING or self._is_new:
            self._is_new = False
            self._begin(data)
        elif self._gathered is not None:
            self._gather(self._gathered, data)
        elif self._is_taken:
            self._held += data
            self.flow.pause_reading()
        elif self.state is not State.END:
            self._read(data)

    def _begin(self, data: bytes) -> None:
        """Read the beginning of a request, or all of it."""
        end, now_ns = data.find(_HEAD_END) + len(_HEAD_END), time.perf_counter_ns()
        head, shortcut = data[:end], self._all.shortcut
        known = None if shortcut is None or self.flow.write_paused else shortcut.known(head, now_ns=now_ns)
        n_lacking = 0 if known is None else known.n_body + end - len(data)
        if shortcut is None or known is None or n_lacking < 0 or (n_lacking and self._all.n_gathered >= _MOST_GATHERED):
            self._sent = head if end >= len(_HEAD_END) else b""
            self._read(data)
            return
        self._is_taken, self.state, self.since_ns = True, State.ANSWER, now_ns
        if n_lacking:
            self._gathered = Gathered(head, [data[end:]], n_lacking)
            self._all.n_gathered += 1
        else:
            shortcut.take(known, head, data[end:], self, arrived_ns=now_ns)

    def _gather(self, gathered: Gathered, data: bytes) -> None:
        """Read on until the whole request is there."""
        gathered.parts.append(data)
        gathered.n_lacking -= len(data)
        if gathered.n_lacking > 0:
            return
        self._gather_no_more()
        shortcut = self._all.shortcut
        assert shortcut is not None, "it knew the head"
        known = shortcut.known(gathered.head, now_ns=time.perf_counter_ns())
        if known is None or gathered.n_lacking:
            self.go_on(gathered.sent)
        else:
            shortcut.take(known, gathered.head, b"".join(gathered.parts), self, arrived_ns=self.since_ns)

    def _gather_no_more(self) -> Gathered:
        """What has come; it is forgotten here."""
        gathered, self._gathered = self._gathered, None
        assert gathered is not None, "there is something"
        self._all.n_gathered -= 1
        return gathered

    def answer(self, body: bytes) -> None:
        """Answer the request that went the short way, with JSON."""
        head = self._all.answer_head(self.server_state.default_headers)
        self._answer(b"%s%d\r\n\r\n%s" % (head, len(body), body))

    def tell(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer it with anything else."""
        told = [b"%s: %s\r\n" % header for header in (*self.server_state.default_headers, *headers)]
        is_last = any(name == b"connection" and value == b"close" for name, value in headers)
        self._answer(b"".join([STATUS_LINE[status], *told, b"\r\n"]), body, is_last=is_last)

    def _answer(self, *parts: bytes, is_last: bool = False) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        for part in parts:
            self.transport.write(part)
        self._is_taken, self.state, self.since_ns = False, State.NOTHING, time.perf_counter_ns()
        if self._is_last or is_last:
            self.transport.close()
        elif self._held:
            self.data_received(self._take_up())

    def go_on(self, sent: bytes) -> None:
        """Have the request that went the short way, which was sent so, answered the long way."""
        self._is_taken, self.state = False, State.NOTHING
        if not self.transport.is_closing():
            self._read(sent + self._take_up())
            if self._is_last:
                super().shutdown()

    def _take_up(self) -> bytes:
        """What has been sent since a request went the short way."""
        held, self._held = self._held, b""
        self.flow.resume_reading()
        return held

    def _read(self, data: bytes) -> None:
        """Read up to the most bytes that a head may have."""
        self._read_bytes = len(data)
        super().data_received(data)
        if self.state is State.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def shutdown(self) -> None:
        """End, once the request under way is answered."""
        if self._gathered is not None:
            self.go_on(self._gather_no_more().sent)
        if self._is_taken:
            self._is_last = True
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        """Note when a request arrives."""
        super().on_message_begin()
        self.state = State.HEAD
        self.since_ns = time.perf_counter_ns()
        ours = {ARRIVED: self.since_ns, SENT: self._sent}
        self.scope.update(ours)  # type: ignore[typeddict-item]  # keys of ours
        self._sent = b""

    def on_headers_complete(self) -> None:
        """Have a request answered, unless its headers are too many or too large."""
        self._head_bytes = 0
        if len(self.headers) > MOST_HEADERS or (
            self._read_bytes > MOST_HEAD_BYTES
            and len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MOST_HEAD_BYTES
        ):
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("the head is too large")
        self.state = State.ANSWER
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """As uvicorn has it, but for its timer: the sweep ends what is idle or goes on sending a body in vain."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.state is State.ANSWER:
            self.state = State.HEAD if self.cycle.more_body else State.NOTHING
            self.since_ns = time.perf_counter_ns()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or more of it than may be."""
        self._refuse(self._refusal)

    def _refuse(self, status: HTTPStatus) -> None:
        """End the connection with a problem that is a matter of HTTP alone.

        What the caller still sends is read for a moment, and dropped: closed on it, he would not see the answer.
        """
        detail, fix = _WORDS[status]
        problem = problems.refusal(status, detail, fix=fix, request_id=new_id(SystemClock()))
        body = msgspec.json.encode(problem)
        self.transport.write(
            b"%scontent-type: %s\r\ncontent-length: %d\r\n%sconnection: close\r\n\r\n%s"
            % (STATUS_LINE[status], problems.MEDIA_TYPE.encode(), len(body), _MORE.get(status, b""), body)
        )
        self.transport.write_eof()
        self.state, self.since_ns = State.END, time.perf_counter_ns()


_WORDS = {
    HTTPStatus.BAD_REQUEST: ("this is not HTTP/1.1", "send a well-formed request"),
    HTTPStatus.REQUEST_TIMEOUT: (
        f"the headers did not arrive within {HEAD_TIMEOUT_S:g} seconds",
        "send the whole request at once",
    ),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        f"the headers are more than {MOST_HEADERS}, or larger than {MOST_HEAD_BYTES:,} bytes",
        "send fewer and shorter headers",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "all connections are taken",
        "try again in a second, and send many requests over each connection",
    ),
}
