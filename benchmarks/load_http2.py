"""Load over gRPC: calls prepared beforehand, some connections with some calls under way on each, one thread.

A call costs this process some microseconds, a fraction of what it costs any server. Headers are sent as clients send
them: in full once a connection, and by their places in its table after that.
"""

import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from itertools import cycle

from load import Borne, Server

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_FIRST_PLACE = 62
_POST, _HTTP = b"\x83", b"\x86"
_LARGE_WINDOW = 2**31 - 1


def drive_calls(
    server: Server, messages: Sequence[bytes], *, path: str, token: str, seconds: float, connections: int, streams: int
) -> Borne:
    """Call again and again, each call as soon as one before it has ended.

    Parameters
    ----------
    streams : int
        Calls under way on each connection.
    """
    fields = [(b":path", path), (b":authority", "localhost"), (b"content-type", "application/grpc")]
    fields += [(b"te", "trailers"), (b"user-agent", "load"), (b"authorization", f"Bearer {token}")]
    sending, poll = cycle(messages), select.epoll()
    made = [_Connection(server.port, fields, sending) for _ in range(connections)]
    by_number = {one.socket.fileno(): one for one in made}
    cpu_s, start = server.cpu_s(), time.perf_counter()
    for number, one in by_number.items():
        poll.register(number, select.EPOLLIN)
        one.call(streams)
    while time.perf_counter() < start + seconds:
        for number, _ in poll.poll(0.1):
            by_number[number].call(by_number[number].hear())
    cpu_s, wall_s = server.cpu_s() - cpu_s, time.perf_counter() - start
    spent_ns = sorted(spent for one in made for spent in one.spent_ns)
    for one in made:
        one.socket.close()
    return Borne(
        per_s=len(spent_ns) / wall_s,
        cpu_us=cpu_s / len(spent_ns) * 1e6,
        p50_ms=spent_ns[len(spent_ns) // 2] / 1e6,
        p99_ms=spent_ns[len(spent_ns) * 99 // 100] / 1e6,
        failed=sum(one.failed for one in made),
    )


class _Connection:
    """A kept connection."""

    def __init__(self, port: int, fields: Sequence[tuple[bytes, str]], messages: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.spent_ns: list[int] = []
        self.failed = 0
        self._messages = messages
        self._first, self._block = _blocks(fields)
        self._stream = 1
        self._sent_ns: dict[int, int] = {}
        self._answered: set[int] = set()
        self._received = b""
        settings = struct.pack(">HI", 4, _LARGE_WINDOW)
        window = struct.pack(">I", _LARGE_WINDOW - 65_535)
        self.socket.sendall(_PREFACE + _frame(_SETTINGS, settings) + _frame(_WINDOW_UPDATE, window))

    def call(self, n: int) -> None:
        """Begin some calls."""
        if not n:
            return
        parts = []
        for _ in range(n):
            message = next(self._messages)
            body = b"\x00" + len(message).to_bytes(4, "big") + message
            parts.append(_frame(_HEADERS, self._first or self._block, flags=_END_HEADERS, stream=self._stream))
            parts.append(_frame(_DATA, body, flags=_END_STREAM, stream=self._stream))
            self._first = b""
            self._sent_ns[self._stream] = time.perf_counter_ns()
            self._stream += 2
        self.socket.sendall(b"".join(parts))

    def hear(self) -> int:
        """Take in what has come; how many calls ended with it."""
        data, at, ended = self._received + self.socket.recv(1_000_000), 0, 0
        while len(data) - at >= 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            kind, flags, stream = data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big")
            if kind == _DATA and end > at + 9:
                self._answered.add(stream)
            elif kind in (_PING, _SETTINGS) and not flags & _ACK:
                self.socket.sendall(_frame(kind, data[at + 9 : end] if kind == _PING else b"", flags=_ACK))
            elif kind == _GOAWAY:
                raise ConnectionError(data[at + 17 : end])
            if stream and ((kind == _HEADERS and flags & _END_STREAM) or kind == _RST_STREAM):
                ended += self._end(stream)
            at = end
        self._received = data[at:]
        return ended

    def _end(self, stream: int) -> int:
        began_ns = self._sent_ns.pop(stream, None)
        if began_ns is None:  # a server may reset a stream that it has ended
            return 0
        self.spent_ns.append(time.perf_counter_ns() - began_ns)
        self.failed += stream not in self._answered  # what fails has no message
        self._answered.discard(stream)
        return 1


def _frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _blocks(fields: Sequence[tuple[bytes, str]]) -> tuple[bytes, bytes]:
    """The headers of a connection's first call, which its table remembers, and of all that follow."""
    first = b"".join(b"\x40" + _text(name) + _text(value.encode()) for name, value in fields)
    places = range(_FIRST_PLACE + len(fields) - 1, _FIRST_PLACE - 1, -1)
    return _POST + _HTTP + first, _POST + _HTTP + bytes(0x80 | place for place in places)


def _text(value: bytes) -> bytes:
    assert len(value) < 127
    return bytes([len(value)]) + value
