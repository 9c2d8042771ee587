"""One connection of an event loop to a Redis: commands out, replies in, in the same order."""

import asyncio
import select
from collections.abc import Callable, Sequence
from typing import Any, cast

from octavo.errors import OctavoError
from octavo.stores.redis.address import RedisAddress
from octavo.stores.redis.session import TRACKING, endpoint, greeting, protocol_library, tracks, unavailable

_CONNECTS_WITHIN_S = 1.0


class ConnectionLost(Exception):
    """The connection is gone, and with it the replies to what was under way."""


class Connection(asyncio.Protocol):
    """Made by `connect`.

    Parameters
    ----------
    on_reply : callable
        Takes each reply.
    on_change : callable
        Takes the keys of values that were read and have changed; None if it may be any.
    on_lost : callable
        Called once if the connection is lost, but not if it was closed from here.

    Attributes
    ----------
    tracks : bool
        Whether changes are told.
    """

    def __init__(
        self,
        *,
        on_reply: Callable[[Any], None],
        on_change: Callable[[list[bytes] | None], None],
        on_lost: Callable[[ConnectionLost], None],
    ) -> None:
        hiredis = protocol_library()
        self.tracks = False
        self._pack = hiredis.pack_command
        self._reader = hiredis.Reader()
        self._broken: type[Exception] = hiredis.ProtocolError
        self._push: type[list[Any]] = hiredis.PushNotification
        self._on_reply = on_reply
        self._on_change = on_change
        self._on_lost: Callable[[ConnectionLost], None] | None = on_lost
        self._transport: asyncio.Transport | None = None
        self._arrivals = select.poll()
        self._greeted: asyncio.Future[None] | None = None
        self._first: list[Any] = []
        self._n_first = 0

    @property
    def is_read(self) -> bool:
        """Whether nothing has come that was not taken yet."""
        return not self._arrivals.poll(0)

    async def greet(self, commands: Sequence[tuple[bytes, ...]], *, asks_to_track: bool) -> None:
        """Send what a connection begins with, see that all of it is answered OK, and ask for changes to be told.

        Raises
        ------
        ConnectionLost
            If it is not.
        """
        wished = TRACKING if asks_to_track else ()
        replies = await self._replies(*commands, *wished)
        for reply in replies[: len(commands)]:
            if reply != b"OK":
                raise ConnectionLost(str(reply))
        self.tracks = asks_to_track and tracks(replies[len(commands) :])
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
        self._arrivals.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        reader = self._reader
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                if len(self._first) < self._n_first:
                    self._take_first(reply)
                elif type(reply) is self._push:
                    self._on_change(reply[1] if reply[0] == b"invalidate" else None)
                else:
                    self._on_reply(reply)
        except self._broken as error:
            self._lose(f"it does not speak the protocol: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._lose(exc or "it has ended the connection")

    async def _replies(self, *commands: tuple[bytes, ...]) -> list[Any]:
        """The replies to the first commands, if there are any."""
        self._n_first = len(commands)
        if commands:
            self._greeted = asyncio.get_running_loop().create_future()
            for command in commands:
                self.send(command)
            await self._greeted
        return self._first

    def _take_first(self, reply: Any) -> None:
        assert self._greeted is not None, "it greets before anything comes"
        self._first.append(reply)
        if len(self._first) == self._n_first:
            self._greeted.set_result(None)

    def _lose(self, reason: object) -> None:
        lost, on_lost = ConnectionLost(str(reason)), self._on_lost
        self.close()
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_exception(lost)
        elif on_lost is not None:
            on_lost(lost)


async def connect(connection: Connection, address: RedisAddress) -> None:
    """Connect, be known to the server, choose its database, and ask for changes to be told if they are of use.

    Raises
    ------
    Unavailable
        If any of it fails, or takes longer than a second.
    ConfigurationError
        If the password or certificates are not where the address says.
    """
    loop = asyncio.get_running_loop()
    try:
        commands, place = greeting(address), endpoint(address)
        make = loop.create_unix_connection if address.path else loop.create_connection
        async with asyncio.timeout(_CONNECTS_WITHIN_S):
            await make(lambda: connection, **place)
            await connection.greet(commands, asks_to_track=address.remember_mb > 0)
    except (OSError, ConnectionLost) as error:
        connection.close()
        raise unavailable(address, str(error) or "it does not let itself be connected to in time") from error
    except (OctavoError, asyncio.CancelledError):
        connection.close()
        raise
