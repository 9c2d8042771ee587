"""A platform in one process with several people in it, and its doors; what is sent goes as it is, not tidied up."""

import ast
import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from octavo.access import ensure_admin, local_token
from octavo.api.app import build_app
from octavo.operations import Dispatcher
from octavo.wiring import all_operations
from tests.showrooms import Showroom
from tests.showrooms.doors import BROWSER, Door, Html, api

MLFLOW = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was answered to a raw request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Raw:
    """Sends paths, hosts and headers as they are, in the administrator's name unless told otherwise."""

    def __init__(self, room: Showroom, *, token: str | None = None) -> None:
        self._app = build_app(room.context, Dispatcher(all_operations(), room.context))
        ensure_admin(room.context.config.home)
        self._token = local_token(room.context.config.home) if token is None else token

    def __call__(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        return asyncio.run(self._ask(method, target, body, headers))

    async def _ask(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        path, _, query = target.partition("?")
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        given = {"host": "localhost", "authorization": f"Bearer {self._token}", **headers}
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "root_path": "",
            "path": unquote(path), "raw_path": path.encode("latin-1", "replace"),
            "query_string": query.encode("latin-1", "replace"), "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
            "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in given.items()],
        }  # fmt: skip
        try:
            await self._app(scope, receive, send)
        except Exception:  # what a server would answer by itself once the application has said 500
            if not sent:
                raise
        start, *bodies = sent
        told = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(
            status=start["status"], headers=told, body=b"".join(message.get("body", b"") for message in bodies)
        )


def post(door: Door, operation: str, /, **fields: Any) -> Any:
    """The answer of an operation that is to succeed."""
    answer = door.post(f"/api/{operation}", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def key_of(room: Showroom, account: str, *grants: Mapping[str, str]) -> str:
    """A key of a new person, who holds these roles."""
    admin = api(room)
    post(admin, "access.add", account=account)
    for grant in grants:
        post(admin, "access.grant", account=account, **grant)
    text: str = post(admin, "access.create_key", account=account)["text"]
    return text


def program_of(room: Showroom, key: str) -> Door:
    """A program that brings a key."""
    return Door(room, headers={"authorization": f"Bearer {key}"})


def visitor_of(room: Showroom, key: str) -> Door:
    """A browser whose visitor logged in by a key."""
    door = Door(room, headers=BROWSER)
    assert door.post("/login", data={"token": key}).status_code == 200
    return door


def mark_of(door: Door) -> str:
    """What the forms of a visitor's session carry."""
    return Html(door.get("/").text).fields("/theme")["csrf"]


def files_below(root: Path) -> dict[str, bytes]:
    """All files, by their names below a folder."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@cache
def parsed(path: Path) -> ast.Module:
    """A module of the program as a tree."""
    return ast.parse(path.read_text(encoding="utf-8"))
