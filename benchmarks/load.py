"""Load over HTTP from one thread, and how a server bears it."""

import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that listens on this machine."""

    name: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """Seconds of processor time that it has taken so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        user, system = fields[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Borne:
    """How a server did for a while."""

    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


class _Connection:
    """A kept connection with one request under way."""

    def __init__(self, server: Server, requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self._requests = requests
        self._answer = b""
        self._sent_ns = 0

    def ask(self) -> None:
        self._answer, self._sent_ns = b"", time.perf_counter_ns()
        self.socket.sendall(next(self._requests))

    def hear(self) -> int | None:
        """Take in what has come; nanoseconds of the request if its answer is whole."""
        self._answer += self.socket.recv(1_000_000)
        return time.perf_counter_ns() - self._sent_ns if body_of(self._answer) is not None else None


def drive(server: Server, requests: Sequence[bytes], *, seconds: float, connections: int) -> Borne:
    """Ask again and again on some connections."""
    sending, poll, spent_ns = cycle(requests), select.epoll(), []
    made = [_Connection(server, sending) for _ in range(connections)]
    by_number = {connection.socket.fileno(): connection for connection in made}
    cpu_s, start = server.cpu_s(), time.perf_counter()
    for number, connection in by_number.items():
        poll.register(number, select.EPOLLIN)
        connection.ask()
    while time.perf_counter() < start + seconds:
        for number, _ in poll.poll(0.1):
            if (spent := by_number[number].hear()) is not None:
                spent_ns.append(spent)
                by_number[number].ask()
    cpu_s, wall_s = server.cpu_s() - cpu_s, time.perf_counter() - start
    for connection in made:
        connection.socket.close()
    spent_ns.sort()
    return Borne(
        per_s=len(spent_ns) / wall_s,
        cpu_us=cpu_s / len(spent_ns) * 1e6,
        p50_ms=spent_ns[len(spent_ns) // 2] / 1e6,
        p99_ms=spent_ns[len(spent_ns) * 99 // 100] / 1e6,
    )


def one_answer(server: Server, request: bytes) -> bytes:
    """The body of the answer to one request."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(request)
        answer = b""
        while (body := body_of(answer)) is None:
            answer += connection.recv(1_000_000)
    return body


def body_of(answer: bytes) -> bytes | None:
    """The body of an answer, which must be a good one; None while it is not whole."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return None
    assert head.startswith(b"HTTP/1.1 200"), answer
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return body if len(body) >= length else None
