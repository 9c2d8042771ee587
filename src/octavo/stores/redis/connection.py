"""One connection of an event loop to a Redis: commands out, replies in, in the same order."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from octavo.errors import OctavoError
from octavo.stores.redis.address import RedisAddress
from octavo.stores.redis.session import endpoint, greeting, protocol_library, unavailable

_CONNECTS_WITHIN_S = 1.0


class ConnectionLost(Exception):
    """The connection is gone, and with it the replies to what was under way."""


class Connection(asyncio.Protocol):
    """Made by `connect`.

    Parameters
    ----------
    on_reply : callable
        Takes each reply.
    on_lost : callable
        Called once if the connection is lost, but not if it was closed from here.
    """

    def __init__(self, *, on_reply: Callable[[Any], None], on_lost: Callable[[ConnectionLost], None]) -> None:
        hiredis = protocol_library()
        self._pack = hiredis.pack_command
        self._reader = hiredis.Reader()
        self._broken: type[Exception] = hiredis.ProtocolError
        self._on_reply = on_reply
        self._on_lost: Callable[[ConnectionLost], None] | None = on_lost
        self._transport: asyncio.Transport | None = None
        self._greeted: asyncio.Future[None] | None = None
        self._greetings = 0

    async def greet(self, commands: list[tuple[bytes, ...]]) -> None:
        """Send what a connection begins with, and see that all of it is answered OK.

        Raises
        ------
        ConnectionLost
            If it is not.
        """
        if commands:
            self._greetings = len(commands)
            self._greeted = asyncio.get_running_loop().create_future()
            for command in commands:
                self.send(command)
            await self._greeted
        if self._on_lost is None:
            raise ConnectionLost("it has ended the connection")

    def send(self, command: tuple[bytes, ...]) -> None:
        """Send a command; one that can no longer be sent has no reply, and the loss of the connection is told."""
        if self._transport is not None:
            self._transport.write(self._pack(command))

    def close(self) -> None:
        """Give the connection up; no more is heard of it."""
        self._on_lost = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no such class

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        reader = self._reader
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                if self._greetings:
                    self._take_greeting(reply)
                else:
                    self._on_reply(reply)
        except self._broken as error:
            self._lose(f"it does not speak the protocol: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._lose(exc or "it has ended the connection")

    def _take_greeting(self, reply: Any) -> None:
        self._greetings -= 1
        assert self._greeted is not None, "it greets before anything comes"
        if reply != b"OK":
            self._lose(reply)
        elif not self._greetings:
            self._greeted.set_result(None)

    def _lose(self, reason: object) -> None:
        lost, on_lost = ConnectionLost(str(reason)), self._on_lost
        self.close()
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_exception(lost)
        elif on_lost is not None:
            on_lost(lost)


async def connect(
    address: RedisAddress, *, on_reply: Callable[[Any], None], on_lost: Callable[[ConnectionLost], None]
) -> Connection:
    """Connect, be known to the server and choose its database.

    Raises
    ------
    Unavailable
        If any of it fails, or takes longer than a second.
    ConfigurationError
        If the password or certificates are not where the address says.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(on_reply=on_reply, on_lost=on_lost)
    try:
        commands, place = greeting(address), endpoint(address)
        make = loop.create_unix_connection if address.path else loop.create_connection
        async with asyncio.timeout(_CONNECTS_WITHIN_S):
            await make(lambda: connection, **place)
            await connection.greet(commands)
    except (OSError, ConnectionLost) as error:
        connection.close()
        raise unavailable(address, str(error) or "it does not let itself be connected to in time") from error
    except (OctavoError, asyncio.CancelledError):
        connection.close()
        raise
    return connection
