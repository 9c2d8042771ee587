"""Calling an ASGI application without a server."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from tests.serving import calls

from octavo.serving.app import PredictorApp
from octavo.serving.grpc.app import GrpcApp


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        if self.headers.get("grpc-status") == "0":
            return calls.document(self.body)
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Calls an application with a token, one request after the other.

    Attributes
    ----------
    grpc : GrpcApp or None
        Takes what is sent as gRPC.
    """

    app: PredictorApp
    token: str = ""
    grpc: GrpcApp | None = None

    def post(self, path: str, body: object = b"", **more: Any) -> Reply:
        """Send JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return asyncio.run(self.ask("POST", path, parts=[data], **more))

    def get(self, path: str, **more: Any) -> Reply:
        return asyncio.run(self.ask("GET", path, parts=[b""], **more))

    async def ask(
        self, method: str, path: str, *, parts: Iterable[bytes] | AsyncIterator[bytes], **headers: str
    ) -> Reply:
        """Send a body in parts; an iterator that ends before its last part is a caller who has gone."""
        path, _, query = path.partition("?")
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in self._named(headers)],
        }
        app = self.grpc if headers.get("content_type") == calls.GRPC else self.app
        assert app is not None
        await app(scope, _messages(parts).__anext__, send)
        for _ in range(3):  # what is left to do once the answer is sent
            await asyncio.sleep(0)
        return _reply(sent)

    def _named(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        given = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return [(name, value) for name, value in {**given, **headers}.items() if value]


async def _messages(parts: Iterable[bytes] | AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    if isinstance(parts, AsyncIterator):
        async for part in parts:
            yield {"type": "http.request", "body": part, "more_body": True}
        yield {"type": "http.disconnect"}
        return
    *first, last = parts
    for part in first:
        yield {"type": "http.request", "body": part, "more_body": True}
    yield {"type": "http.request", "body": last, "more_body": False}
    yield {"type": "http.disconnect"}


def _reply(sent: list[Any]) -> Reply:
    start, *bodies = sent or [{"status": 0, "headers": []}]
    if "trailers" in start:
        return _ended(start, *bodies)
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Reply(status=start["status"], headers=headers, body=b"".join(part["body"] for part in bodies))


def _ended(*messages: Any) -> Reply:
    """How a call of gRPC ended, as the other doors would say it."""
    start, *bodies, end = messages
    trailers = {name.decode(): value.decode() for name, value in (*start["headers"], *end["headers"])}
    message = b"".join(part["body"] for part in bodies)[calls.PREFIX_BYTES :]
    status, problem = calls.told(trailers)
    return Reply(status=status, headers=trailers, body=message if problem is None else msgspec.json.encode(problem))
