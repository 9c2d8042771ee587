"""A real HTTP server in a thread, which answers as a test says and keeps what it was sent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    client: tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer; without a status the connection is closed instead."""

    status: int | None = 200
    body: object = None
    then_close: bool = False


@dataclass
class ScriptedServer:
    """Answers each request with the next reply of the script, and with an empty object after its end."""

    url: str = ""
    script: list[Reply | Callable[[], Reply]] = field(default_factory=list)
    requests: list[Sent] = field(default_factory=list)

    def next_reply(self) -> Reply:
        reply = self.script.pop(0) if self.script else Reply(body={})
        return reply if isinstance(reply, Reply) else reply()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that went away."""


@contextmanager
def scripted_server(*script: Reply | Callable[[], Reply], port: int = 0) -> Iterator[ScriptedServer]:
    """Serve on a free port of this machine."""
    scripted = ScriptedServer(script=list(script))
    server = _Server(("127.0.0.1", port), _handler(scripted))
    scripted.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(scripted: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("content-length", 0))
            data = self.rfile.read(length)
            scripted.requests.append(
                Sent(
                    method=self.command,
                    path=self.path,
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=_body(data, self.headers.get("content-type", "")),
                    client=self.client_address,
                )
            )
            self._send(scripted.next_reply())

        def _send(self, reply: Reply) -> None:
            self.close_connection = reply.then_close or reply.status is None
            if reply.status is None:
                return
            body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
            self.send_response(reply.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - named so by http.server

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep quiet."""

    return Handler


def _body(data: bytes, kind: str) -> Any:
    if kind != "application/json":
        return data or None
    return msgspec.json.decode(data) if data else None
