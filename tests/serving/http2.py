"""A client of HTTP/2 that sends what it is told to, frame by frame, be it wrong."""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
Fields = Sequence[tuple[bytes, bytes]]
_PATIENCE_S = 30


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """A frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(fields: Fields) -> bytes:
    """A block of fields as literals, which no table remembers."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def call_fields(path: str, *, token: str = "", **more: str) -> list[tuple[bytes, bytes]]:
    """The fields of a call of gRPC."""
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"here")]
    fields += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    if token:
        fields.append((b"authorization", f"Bearer {token}".encode()))
    return fields + [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]


class Http2:
    """A connection, its preface sent."""

    def __init__(self, port: int, *, settings: bytes = b"") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self._received = b""
        self.send(PREFACE + frame(SETTINGS, settings))

    def send(self, *frames: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(b"".join(frames))

    def call(self, stream: int, fields: Fields, body: bytes | None) -> None:
        """Send a call; one without a body is left open."""
        self.send(frame(HEADERS, block(fields), flags=END_HEADERS, stream=stream))
        if body is not None:
            self.send(frame(DATA, body, flags=END_STREAM, stream=stream))

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """What the server sends, until it closes: kind, flags, stream, payload."""
        while True:
            head = self._read(9)
            if len(head) < 9:
                return
            payload = self._read(int.from_bytes(head[:3], "big"))
            yield head[3], head[4], int.from_bytes(head[5:9], "big"), payload

    def until_end_of(self, stream: int) -> list[bytes]:
        """The payloads of a stream's DATA, until it or the connection ends."""
        parts = []
        for kind, flags, of, payload in self.frames():
            if of == stream and kind == DATA:
                parts.append(payload)
            if kind == GOAWAY or (of == stream and (kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & 1))):
                break
        return parts

    def close(self) -> None:
        self._socket.close()

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            try:
                part = self._socket.recv(65_536)
            except ConnectionError:
                part = b""
            if not part:
                break
            self._received += part
        data, self._received = self._received[:size], self._received[size:]
        return data


@contextmanager
def connection(port: int, *, settings: bytes = b"") -> Iterator[Http2]:
    """A connection that is closed at the end."""
    with closing(Http2(port, settings=settings)) as made:
        yield made


def _text(value: bytes) -> bytes:
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest, digits = len(value) - 127, b""
    while rest >= 128:
        digits, rest = digits + bytes([rest % 128 + 128]), rest // 128
    return b"\x7f" + digits + bytes([rest]) + value
