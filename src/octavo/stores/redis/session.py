"""How any connection to a Redis begins, and what goes over it: bytes of the protocol, packed and parsed by hiredis."""

import ssl
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from urllib.parse import quote

from octavo.errors import MissingExtra, Unavailable
from octavo.stores.redis.address import RedisAddress
from octavo.stores.urls import secret


def protocol_library() -> ModuleType:
    """What packs commands and parses replies.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        import hiredis
    except ImportError as error:
        raise MissingExtra("redis", "keeping online features in Redis") from error
    return hiredis


TRACKING: tuple[tuple[bytes, ...], ...] = ((b"HELLO", b"3"), (b"CLIENT", b"TRACKING", b"ON"))
"""What has a server tell a connection, among the replies, which of the keys that it has read are changed."""


def tracks(replies: Sequence[Any]) -> bool:
    """Whether these replies to `TRACKING` say that a server will: it may be too old, or the user may not ask for it."""
    hello, tracking = replies
    return isinstance(hello, dict) and hello.get(b"proto") == 3 and tracking == b"OK"


def greeting(address: RedisAddress) -> list[tuple[bytes, ...]]:
    """The commands that a connection begins with; each is answered OK.

    Raises
    ------
    ConfigurationError
        If the password is not where its reference says.
    """
    commands: list[tuple[bytes, ...]] = []
    if address.user or address.password:
        user = (address.user.encode(),) if address.user else ()
        commands.append((b"AUTH", *user, secret(address.password).encode() if address.password else b""))
    if address.database:
        commands.append((b"SELECT", b"%d" % address.database))
    return commands


def endpoint(address: RedisAddress) -> dict[str, Any]:
    """Where an event loop connects to, as its functions take it."""
    if address.path:
        return {"path": address.path}
    place: dict[str, Any] = {"host": address.host, "port": address.port}
    return place | {"ssl": ssl.create_default_context(cafile=address.ca_file or None)} if address.tls else place


def prefix_of(project: str) -> bytes:
    """What all keys of a project begin with."""
    return f"octavo:{quote(project, safe='')}:".encode()


def unavailable(address: RedisAddress, reason: object, **facts: object) -> Unavailable:
    """The error for a server that cannot be used."""
    return Unavailable(f"the Redis at {address} cannot be used now: {reason}", **facts)
