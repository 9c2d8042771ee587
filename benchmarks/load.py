"""Load over HTTP, and how a server bears it.

It comes from wrk where that is installed (``apt-get install wrk``), which costs its core less than any server costs
its own; without it from one thread of this process, which sends at most some 40,000 small requests a second.
"""

import http.client
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that listens on this machine; what it began counts as part of it."""

    name: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """Seconds of processor time that it has taken so far."""
        ticks = sum(int(ticks) for pid in self._pids() for ticks in _stat(pid)[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """What it holds in memory now, shared pages counted in proportion."""
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii") for pid in self._pids()]
        lines = [line.split() for rollup in rollups for line in rollup.splitlines() if line.startswith("Pss:")]
        return sum(int(line[1]) for line in lines) / 1024

    def _pids(self) -> list[int]:
        pids = [self.pid]
        for pid in pids:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += map(int, children.read_text(encoding="ascii").split())
        return pids


@dataclass(frozen=True, kw_only=True)
class Borne:
    """How a server did for a while.

    Attributes
    ----------
    cpu_us : float
        Processor time of a request.
    failed : int
        Requests that were not answered, or not with status 200.
    """

    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    longest_ms: float = 0
    failed: int = 0


class Connection:
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
    """Ask again and again on some connections, each as soon as it has its answer."""
    if _wrk() is None:
        return _drive_from_here(server, requests, seconds=seconds, connections=connections)
    with tempfile.NamedTemporaryFile() as prepared:
        for request in requests:
            prepared.write(b"%d\n%b" % (len(request), request))
        prepared.flush()
        return drive_prepared(server, Path(prepared.name), seconds=seconds, connections=connections)


def drive_prepared(server: Server, prepared: Path, *, seconds: float, connections: int) -> Borne:
    """As `drive` by wrk, with requests in a file, each after its length on a line."""
    command = [_wrk(), "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "30s", "-s", _SCRIPT]
    cpu_s = server.cpu_s()
    ran = subprocess.run(
        [*map(str, command), f"http://127.0.0.1:{server.port}", "--", prepared],
        capture_output=True,
        text=True,
        check=True,
    )
    cpu_s = server.cpu_s() - cpu_s
    told = json.loads(ran.stdout.splitlines()[-1])
    return Borne(
        per_s=told["answered"] / told["spent_us"] * 1e6,
        cpu_us=cpu_s / max(told["answered"], 1) * 1e6,
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
        longest_ms=told["longest_us"] / 1e3,
        failed=told["refused"] + told["broken"],
    )


@cache
def _wrk() -> str | None:
    found = shutil.which("wrk")
    if found is None:
        print("wrk is not installed: the load comes from Python, which may be what bounds the result", file=sys.stderr)
    return found


def _drive_from_here(server: Server, requests: Sequence[bytes], *, seconds: float, connections: int) -> Borne:
    sending, poll, spent_ns = cycle(requests), select.epoll(), []
    made = [Connection(server, sending) for _ in range(connections)]
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
        longest_ms=spent_ns[-1] / 1e6,
    )


def one_answer(server: Server, request: bytes) -> bytes:
    """The body of the answer to one request."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read()
    assert answer.status == http.HTTPStatus.OK, (server.name, answer.status, body[:2_000])
    return body


def body_of(answer: bytes) -> bytes | None:
    """The body of an answer, which must be a good one; None while it is not whole."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return None
    assert head.startswith(b"HTTP/1.1 200"), answer
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return body if len(body) >= length else None


def post(path: str, body: bytes, *, kind: str = "application/json", **headers: str) -> bytes:
    """A request as it goes over the wire; underscores in the names of headers become dashes."""
    lines = {"host": "localhost", **headers, "content-type": kind, "content-length": str(len(body))}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
