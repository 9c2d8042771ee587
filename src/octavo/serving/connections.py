"""The connections of a predictor, with bounds on what the HTTP server below leaves unbounded.

uvicorn waits for ever for a request's headers, takes them in any size, and keeps an answer that its caller does not
read. Here one sweep a second looks at all connections; a timer for each request would cost a tenth of its answer.
"""

import asyncio
import time
from enum import IntEnum
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from octavo import problems
from octavo.clock import SystemClock
from octavo.identifiers import new_id

ARRIVED = "octavo.arrived_ns"
"""Where a request's scope says when its first bytes were read, on the clock of `time.perf_counter_ns`."""

HEAD_TIMEOUT_S, IDLE_TIMEOUT_S, ANSWER_TIMEOUT_S = 10.0, 75.0, 30.0
MOST_HEAD_BYTES, MOST_HEADERS = 16_384, 64
_SWEEP_EVERY_S = 1.0
_GRACE_S, _FAREWELL_S = 1.0, 2.0


def body_at_hand(receive: object) -> bytes | None:
    """A request's whole body where it has been read already, as small ones are with their heads; None to await it."""
    cycle = getattr(receive, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.more_body or cycle.disconnected:
        return None
    return bytes(cycle.body)


class State(IntEnum):
    """What a connection waits for."""

    HEAD = 0
    ANSWER = 1
    NOTHING = 2
    END = 3


_IDLE_S = {State.HEAD: HEAD_TIMEOUT_S, State.NOTHING: IDLE_TIMEOUT_S, State.END: _FAREWELL_S}
_MORE = {HTTPStatus.SERVICE_UNAVAILABLE: b"retry-after: 1\r\n"}


class Connections:
    """Makes the connections of one server and bounds them.

    Parameters
    ----------
    most : int
        Beyond it, whoever has kept the server waiting longest for a request's headers makes room; if nobody does, the
        new one is turned away.
    """

    def __init__(self, *, most: int) -> None:
        self.most = most
        self._open: set[Connection] = set()

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
        if self.state is State.HEAD and self._head_bytes and waited_s > HEAD_TIMEOUT_S:
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
        self._all.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, up to the most bytes that a head may have."""
        if self.state is State.END:
            return
        self._read_bytes = len(data)
        super().data_received(data)
        if self.state is State.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Note when a request arrives."""
        super().on_message_begin()
        self.state = State.HEAD
        self.since_ns = self.scope[ARRIVED] = time.perf_counter_ns()  # type: ignore[literal-required]  # a key of ours

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
