"""Connections of HTTP/2 in the predictor's event loop, with bounds on what their callers may take.

libnghttp2 reads and writes the frames (`ngh2` brings it to Python), and ends connections whose callers break the rules
or wear the server out by keeping them: resets, pings, settings and headers without end. What a connection may take of
time and memory is bounded here, by one sweep a second over all of them.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import chain

import ngh2

from octavo.serving.app import Send
from octavo.serving.grpc.framing import frame
from octavo.serving.grpc.incoming import OK, START_HEADERS
from octavo.serving.grpc.shortcut import GrpcShortcut
from octavo.serving.grpc.streams import Message, Stream
from octavo.serving.heads import Scope
from octavo.serving.limits import Receive

log = logging.getLogger(__name__)

App = Callable[[Scope, Receive, Send], Awaitable[None]]

HELLO_TIMEOUT_S, IDLE_TIMEOUT_S, ANSWER_TIMEOUT_S = 10.0, 300.0, 20.0
MOST_HEAD_BYTES, MOST_HEADERS = 16_384, 64
_START = [(b":status", b"200"), *START_HEADERS]
_FIELD_BYTES = 32
"""What HTTP/2 counts of a field besides its name and its value."""
_WINDOW_BYTES = 1_048_576
_MOST_UNSENT_BYTES = 16_777_216
"""Of answers that wait for the caller of one connection to take them."""
_SWEEP_EVERY_S, _LOOK_EVERY_S = 1.0, 0.02
_GRACE_S, _FAREWELL_S = 1.0, 2.0
_GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00"
"""Sent by hand where the library has given a connection up; the last byte says why."""


class Connections:
    """Makes the connections of one server and bounds them.

    Parameters
    ----------
    app : callable
        An ASGI application, which answers.
    shortcut : GrpcShortcut or None
        Is shown each call that came whole, and answers those that it takes.
    most : int
        Beyond it, whoever has had no call under way for longest makes room; if there is nobody, the new one is turned
        away.
    most_calls : int
        Under way on one connection.
    """

    def __init__(self, app: App, *, shortcut: GrpcShortcut | None, most: int, most_calls: int) -> None:
        self._app, self._shortcut, self._most = app, shortcut, most
        self.settings = {
            ngh2.Setting.MAX_CONCURRENT_STREAMS: most_calls,
            ngh2.Setting.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
            ngh2.Setting.MAX_HEADER_LIST_SIZE: MOST_HEAD_BYTES,
        }
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self) -> "Connection":
        """A connection, as event loops want them made."""
        return Connection(self)

    def watch(self) -> None:
        """Sweep once a second from now on, in the running loop."""
        loop = asyncio.get_running_loop()

        def sweep() -> None:
            now_ns = time.perf_counter_ns()
            for connection in tuple(self._open):
                self._sweep(connection, now_ns)
            loop.call_later(_SWEEP_EVERY_S, sweep)

        loop.call_later(_SWEEP_EVERY_S, sweep)

    async def drain(self, *, for_s: float) -> int:
        """Take no more calls, and wait for those under way; how many connections still had some in the end."""
        for connection in tuple(self._open):
            connection.leave()
        over_s = time.monotonic() + for_s
        while self._open and time.monotonic() < over_s:
            await asyncio.sleep(_LOOK_EVERY_S)
        late = tuple(self._open)
        for connection in late:
            connection.transport.abort()
        return len(late)

    def begin(self, stream: Stream) -> None:
        """Have a call answered."""
        if not stream.is_whole or self._shortcut is None or not self._shortcut.take(stream):
            self.go_on(stream)

    def go_on(self, stream: Stream) -> None:
        """Have a call answered by the application."""
        task = asyncio.get_running_loop().create_task(self._answer(stream))
        self._tasks.add(task)  # the loop itself does not keep it
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, stream: Stream) -> None:
        try:
            await self._app(stream.scope, stream.receive, stream.send)
        except Exception:  # the edge of the process: a call never costs anything but itself
            log.exception("a call failed")
        if not stream.is_answered:
            stream.reset()

    def opened(self, connection: "Connection") -> bool:
        """Take a connection in; whether there is room for it."""
        if len(self._open) >= self._most and not self._make_room(time.perf_counter_ns()):
            return False
        self._open.add(connection)
        return True

    def closed(self, connection: "Connection") -> None:
        """Forget a connection."""
        self._open.discard(connection)

    @staticmethod
    def _sweep(connection: "Connection", now_ns: int) -> None:
        try:
            connection.end_if_over(now_ns)
        except ngh2.NGH2Error:  # it has ended, and that is still to be heard
            connection.transport.abort()

    def _make_room(self, now_ns: int) -> bool:
        longest = max(self._open, key=lambda one: one.idle_s(now_ns))
        if longest.idle_s(now_ns) <= _GRACE_S:
            return False
        self._open.discard(longest)
        longest.transport.abort()
        return True


class Connection(asyncio.Protocol):
    """One caller's connection."""

    transport: asyncio.Transport

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._http2 = ngh2.Connection(ngh2.Role.SERVER)
        self._streams: dict[int, Stream] = {}
        self._early: list[Stream] = []
        self._is_met = self._is_leaving = self._is_over = self._is_full = self._is_due = False
        self._since_ns = self._written_ns = time.perf_counter_ns()

    def idle_s(self, now_ns: int) -> float:
        """How long there has been no call under way."""
        return 0.0 if self._streams else (now_ns - self._since_ns) / 1e9

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as loops do
        """Begin, if there is room."""
        self.transport = transport
        if not self._all.opened(self):
            transport.abort()
            return
        self._http2.initiate_connection(self._all.settings)
        self._http2.set_local_window_size(_WINDOW_BYTES)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._all.closed(self)
        self._abandon()

    def data_received(self, data: bytes) -> None:
        """Begin the calls that have come, and take in their messages."""
        if self._is_over:
            return
        try:
            self._http2.receive_data(data)
            self._hear(self._http2.events())
        except ngh2.NGH2Error as error:
            self._send_away(error)
        else:
            self._flush_soon()

    def pause_writing(self) -> None:
        """Keep what is ready until the caller has taken more of what was sent."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Send on."""
        self._is_full = False
        self._flush_soon()

    def send(self, stream: Stream, message: Message) -> None:
        """See `Sender`."""
        try:
            if message["type"] == "http.response.body":
                self._send_body(stream, message["body"], is_last=not message.get("more_body", False))
            elif message["type"] == "http.response.start":
                status = b":status", b"%d" % message["status"]
                self._http2.send_response(stream.number, [status, *message["headers"]])
                stream.has_trailers = message.get("trailers", False)
            else:
                self._http2.send_trailers(stream.number, message["headers"])
                self._answered(stream)
        except ngh2.NGH2Error:  # its caller has gone, which is still to be heard
            stream.abandon()
        self._flush_soon()

    def reply(self, stream: Stream, message: bytes) -> None:
        """See `Sender`."""
        try:
            self._http2.send_response(stream.number, _START)
            self._send_body(stream, frame(message), is_last=False)
            self._http2.send_trailers(stream.number, OK)
        except ngh2.NGH2Error:  # as above
            stream.abandon()
        self._answered(stream)
        self._flush_soon()

    def go_on(self, stream: Stream) -> None:
        """See `Sender`."""
        self._all.go_on(stream)

    def reset(self, stream: Stream) -> None:
        """See `Sender`."""
        if not self._is_over:
            self._http2.reset_stream(stream.number, ngh2.ErrorCode.INTERNAL_ERROR)
            self._flush_soon()

    def leave(self) -> None:
        """Take no more calls, and end once those under way are answered."""
        if self._is_over or self._is_leaving:
            return
        self._is_leaving = True
        with suppress(ngh2.NGH2Error):  # it is ending as it is
            self._http2.send_goaway()
        self._flush()

    def end_if_over(self, now_ns: int) -> None:
        """End it, or a call, if it waits too long for its caller to send, or to take what was sent."""
        if self.transport.get_write_buffer_size() == 0:
            self._written_ns = now_ns
        elif now_ns - self._written_ns > ANSWER_TIMEOUT_S * 1e9:
            self.transport.abort()
        waited_s = (now_ns - self._since_ns) / 1e9
        if self._is_over or not self._is_met:
            if waited_s > (_FAREWELL_S if self._is_over else HELLO_TIMEOUT_S):
                self.transport.abort()
            return
        for stream in self._streams.values():
            if stream.is_answered:
                self._give_up_if_left(stream, now_ns)
        if self.idle_s(now_ns) > IDLE_TIMEOUT_S:
            self.leave()
        self._flush_soon()

    def _give_up_if_left(self, stream: Stream, now_ns: int) -> None:
        """End a call whose caller takes nothing more of its answer."""
        left = self._http2.queued_body_size(stream.number)
        if stream.left is None or left != stream.left[0]:
            stream.left = left, now_ns
        elif now_ns - stream.left[1] > ANSWER_TIMEOUT_S * 1e9:
            self._http2.reset_stream(stream.number, ngh2.ErrorCode.CANCEL)

    def _send_body(self, stream: Stream, body: bytes, *, is_last: bool) -> None:
        is_end = is_last and not stream.has_trailers
        if self._http2.queued_body_size() + len(body) > _MOST_UNSENT_BYTES:
            self._http2.reset_stream(stream.number, ngh2.ErrorCode.ENHANCE_YOUR_CALM)
        elif body or is_end:
            self._http2.send_data(stream.number, body, end_stream=is_end)
        if is_end:
            self._answered(stream)

    def _answered(self, stream: Stream) -> None:
        stream.is_answered = True
        if not stream.is_whole:
            self._early.append(stream)

    def _flush_soon(self) -> None:
        """Send what is ready at the end of this turn of the loop, with what comes to it until then."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_due = False
        if self._is_full or self._is_over or self.transport.is_closing():
            return
        try:
            data = self._http2.data_to_send()
            if self._early:
                data += self._cut()
            self.transport.write(data)
            self._hear(self._http2.events())
        except ngh2.NGH2Error as error:
            self._send_away(error)
        if self._is_leaving and not self._streams:
            self.transport.close()

    def _cut(self) -> bytes:
        """Have callers send no more of their messages once they have been sent the whole answer."""
        for stream in self._early:
            if not stream.is_whole and not stream.is_gone and not self._http2.queued_body_size(stream.number):
                self._http2.reset_stream(stream.number, ngh2.ErrorCode.NO_ERROR)
                stream.is_whole = True
        self._early = [one for one in self._early if not one.is_whole and not one.is_gone]
        return self._http2.data_to_send()

    def _hear(self, events: list[ngh2.Event]) -> None:
        """See to what has happened."""
        begun, now_ns = list[Stream](), time.perf_counter_ns()
        for event in events:
            match event:
                case ngh2.DataReceived():
                    self._feed(event.stream_id, event.data, is_last=event.end_stream)
                case ngh2.RequestReceived():
                    self._begin(event, begun, now_ns=now_ns)
                case ngh2.StreamClosed():
                    self._close(event.stream_id)
                case ngh2.TrailersReceived():
                    self._feed(event.stream_id, b"", is_last=True)
                case ngh2.SettingsReceived():
                    self._is_met = True
                case ngh2.ConnectionClosed():
                    self._end()
        for stream in begun:  # what has come of their messages is there by now
            self._all.begin(stream)

    def _begin(self, event: ngh2.RequestReceived, begun: list[Stream], *, now_ns: int) -> None:
        number, fields = event.stream_id, event.headers
        n_bytes = sum(map(len, chain.from_iterable(fields))) + _FIELD_BYTES * len(fields)
        if len(fields) > MOST_HEADERS or n_bytes > MOST_HEAD_BYTES:
            self._http2.reset_stream(number, ngh2.ErrorCode.ENHANCE_YOUR_CALM)
            return
        stream = self._streams[number] = Stream(self, number, fields, arrived_ns=now_ns)
        stream.is_whole = event.end_stream
        begun.append(stream)

    def _feed(self, number: int, data: bytes, *, is_last: bool) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            stream.feed(data, is_last=is_last)

    def _close(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None:
            stream.abandon()
        if not self._streams:
            self._since_ns = time.perf_counter_ns()

    def _send_away(self, error: ngh2.NGH2Error) -> None:
        """Tell a caller why there will be no more."""
        is_flood = isinstance(error, ngh2.DenialOfServiceError)
        code = ngh2.ErrorCode.ENHANCE_YOUR_CALM if is_flood else ngh2.ErrorCode.PROTOCOL_ERROR
        self.transport.write(_GOAWAY + bytes([code]))
        self._end()

    def _end(self) -> None:
        """Send nothing more. What still comes is read for a moment, and dropped, or the caller would not be told."""
        self._is_over = True
        self._since_ns = time.perf_counter_ns()
        self._abandon()
        if not self.transport.is_closing():
            self.transport.write_eof()

    def _abandon(self) -> None:
        for stream in self._streams.values():
            stream.abandon()
        self._streams.clear()
