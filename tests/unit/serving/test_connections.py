"""Connections over real sockets, whose time is over when a test says so."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import uvicorn

from octavo.serving.connections import (
    ANSWER_TIMEOUT_S,
    ARRIVED,
    HEAD_TIMEOUT_S,
    IDLE_TIMEOUT_S,
    MOST_HEAD_BYTES,
    Connections,
)

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"x" * 16_000_000


@dataclass
class Server:
    """A server that answers with a little, or with a lot below ``/large``, and never below ``/never``."""

    connections: Connections
    port: int
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        return reader, writer

    def after(self, seconds: float) -> None:
        """Look at all connections as if so much time had passed."""
        self.connections.sweep(time.perf_counter_ns() + int(seconds * 1e9))


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/never":
        await asyncio.sleep(60)
    body = LARGE if scope["path"] == "/large" else b"%d" % (scope[ARRIVED] > 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(*, most: int) -> AsyncIterator[Server]:
    connections = Connections(most=most)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http=connections, lifespan="off", ws="none", log_config=None, access_log=False)  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve([listening]))
        while not server.started:
            await asyncio.sleep(0.001)
        found = Server(connections, listening.getsockname()[1])
        yield found
        for writer in found.clients:
            writer.close()
        for connection in tuple(server.server_state.connections):
            connection.transport.abort()
        server.should_exit = server.force_exit = True
        await task


def run(scenario: Callable[[Server], Awaitable[None]], *, most: int = 100) -> None:
    async def with_server() -> None:
        async with serving(most=most) as server:
            await asyncio.wait_for(scenario(server), timeout=20)

    asyncio.run(with_server())


async def until_read(server: Server, n_bytes: int = 1) -> None:
    """Until the server has read the head's beginning that was sent."""
    while not any(one._head_bytes >= n_bytes for one in server.connections._open):
        await asyncio.sleep(0.001)


async def problem(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The problem that ends a connection."""
    answer = await reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    found: dict[str, Any] = msgspec.json.decode(body)
    assert head.startswith(b"HTTP/1.1 %d " % found["status"])
    return found


@pytest.mark.parametrize("sent", [REQUEST[:-2], b"G", b"POST / HTTP/1.1\r\nX: " + b"x" * 1000])
def test_headers_that_never_end_are_given_up(sent: bytes) -> None:
    async def scenario(server: Server) -> None:
        reader, writer = await server.client()
        writer.write(sent)
        await until_read(server)
        server.after(HEAD_TIMEOUT_S - 1)
        server.after(HEAD_TIMEOUT_S + 1)
        assert (await problem(reader))["code"] == "request_timeout"

    run(scenario)


def test_who_connects_and_says_nothing_is_left_without_a_word() -> None:
    async def scenario(server: Server) -> None:
        reader, _ = await server.client()
        while not server.connections._open:
            await asyncio.sleep(0.001)
        server.after(HEAD_TIMEOUT_S + 1)
        assert await reader.read() == b""

    run(scenario)


def test_one_byte_now_and_then_does_not_make_more_time() -> None:
    async def scenario(server: Server) -> None:
        reader, writer = await server.client()
        for place in range(5):
            writer.write(REQUEST[place : place + 1])
            await until_read(server, place + 1)
        server.after(HEAD_TIMEOUT_S + 0.5)
        assert (await problem(reader))["status"] == 408

    run(scenario)


def test_an_idle_connection_may_last_longer_but_not_for_ever() -> None:
    async def scenario(server: Server) -> None:
        reader, writer = await server.client()
        for _ in range(3):
            writer.write(REQUEST)
            await reader.readuntil(b"\r\n\r\n1")
            server.after(IDLE_TIMEOUT_S - 5)
        server.after(IDLE_TIMEOUT_S + 1)
        assert await reader.read() == b""

    run(scenario)


def test_a_request_that_is_being_answered_is_not_the_connections_to_end() -> None:
    async def scenario(server: Server) -> None:
        _, writer = await server.client()
        writer.write(REQUEST.replace(b"/ ", b"/never "))
        while not any(one.state for one in server.connections._open):
            await asyncio.sleep(0.001)
        server.after(1000)
        await asyncio.sleep(0.01)
        assert len(server.connections._open) == 1

    run(scenario)


def test_an_answer_that_is_not_read_is_given_up() -> None:
    async def scenario(server: Server) -> None:
        reader, writer = await server.client()
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket
        writer.write(REQUEST.replace(b"/ ", b"/large "))
        while not any(one.transport.get_write_buffer_size() for one in server.connections._open):
            await asyncio.sleep(0.001)
        server.after(0)
        server.after(ANSWER_TIMEOUT_S + 1)
        while server.connections._open:
            await asyncio.sleep(0.001)
        assert not reader.at_eof(), "it was not read to its end"

    run(scenario)


@pytest.mark.parametrize("piece", [100, 50_000])
def test_headers_of_too_many_bytes_are_refused(piece: int) -> None:
    async def scenario(server: Server) -> None:
        reader, writer = await server.client()
        head = REQUEST[:-2] + b"X: " + b"x" * MOST_HEAD_BYTES + b"\r\n\r\n"
        for start in range(0, len(head), piece):
            writer.write(head[start : start + piece])
            await asyncio.sleep(0)
        assert (await problem(reader))["status"] == 431

    run(scenario)


def test_too_many_headers_are_refused() -> None:
    async def scenario(server: Server) -> None:
        reader, writer = await server.client()
        writer.write(REQUEST[:-2] + b"A: b\r\n" * 64 + b"\r\n")
        assert "headers are more than 64" in (await problem(reader))["detail"]

    run(scenario)


def test_many_requests_in_one_go_are_not_taken_for_one_large_head() -> None:
    async def scenario(server: Server) -> None:
        reader, writer = await server.client()
        count = 2 * MOST_HEAD_BYTES // len(REQUEST)
        writer.write(REQUEST * count)
        for _ in range(count):
            await reader.readuntil(b"\r\n\r\n1")

    run(scenario)


def test_what_is_not_http_is_a_problem() -> None:
    async def scenario(server: Server) -> None:
        reader, writer = await server.client()
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert (await problem(reader))["code"] == "bad_request"

    run(scenario)


def test_beyond_the_most_connections_a_new_one_is_turned_away() -> None:
    async def scenario(server: Server) -> None:
        for _ in range(2):
            reader, writer = await server.client()
            writer.write(REQUEST)
            await reader.readuntil(b"\r\n\r\n1")
        reader, _ = await server.client()
        assert (await problem(reader))["status"] == 503

    run(scenario, most=2)


def test_whoever_keeps_a_full_server_waiting_makes_room() -> None:
    async def scenario(server: Server) -> None:
        slow = [await server.client() for _ in range(2)]
        while len(server.connections._open) < 2:
            await asyncio.sleep(0.001)
        for one in server.connections._open:
            one.since_ns -= 2 * 10**9
        reader, writer = await server.client()
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n1")
        left, _ = await asyncio.wait([asyncio.ensure_future(one.read()) for one, _ in slow], timeout=0.2)
        assert len(left) == 1

    run(scenario, most=2)
