"""Online features in Redis as an event loop reads them: the lookups that wait go together in one command.

A client that sends each lookup by itself is busy with sockets and futures far longer than the server is with looking
up. So lookups of one turn of the loop become one MGET, in which a key that several want stands once; while a few
commands are under way, those that come meanwhile wait for the next.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from octavo.errors import OctavoError, Unavailable
from octavo.stores.redis.address import RedisAddress
from octavo.stores.redis.budget import RetryBudget
from octavo.stores.redis.connection import Connection, ConnectionLost, connect
from octavo.stores.redis.session import prefix_of, protocol_library, unavailable

_MOST_UNDER_WAY = 4
_SILENT_S = 1.0
"""How long a server may say nothing before its connection is given up for another."""

Lookup = tuple["asyncio.Future[list[bytes | None]]", list[int]]
"""Who waits, and the places of its values among those of the command."""


@dataclass(slots=True, eq=False)
class _Round:
    """Lookups that go together.

    Attributes
    ----------
    begun_s : float
        When the first of them came, on the loop's clock.
    keys : dict of bytes to int
        Each key once, with its place.
    is_second : bool
        Whether it was sent before, over a connection that was lost.
    """

    begun_s: float
    keys: dict[bytes, int] = field(default_factory=dict)
    lookups: list[Lookup] = field(default_factory=list)
    is_second: bool = False

    def answer(self, found: list[bytes | None]) -> None:
        for future, places in self.lookups:
            if not future.done():  # it was cancelled, or its time was up
                future.set_result([found[place] for place in places])
        self.lookups = []

    def refuse(self, error: Unavailable) -> None:
        for future, _ in self.lookups:
            if not future.done():
                future.set_exception(Unavailable(error.message, **error.facts))
        self.lookups = []


class RedisLoopReader:
    """Reads a Redis from one event loop, over one connection, which is made when it is first needed or was lost.

    A lookup is refused when its time is up, when no connection can be made, and when the connection is lost while it
    is under way: then it is sent once more, if its time allows and the budget of such retries does.

    Parameters
    ----------
    address : RedisAddress
    project : str
    timeout_s : float
        How long a lookup may take, whatever happens.

    Raises
    ------
    MissingExtra
        If the client library is not installed.

    Attributes
    ----------
    retries : int
        Lookups that were sent once more.
    """

    waits = True

    def __init__(self, address: RedisAddress, *, project: str, timeout_s: float) -> None:
        protocol_library()
        self.retries = 0
        self._address = address
        self._prefix = prefix_of(project) + b"v"
        self._timeout_s = timeout_s
        self._budget = RetryBudget()
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._next: _Round | None = None
        self._under_way: deque[_Round] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `LoopReader.read`."""
        if not keys:
            return []
        loop = asyncio.get_running_loop()
        round_ = self._next
        if round_ is None:
            round_ = self._next = _Round(loop.time())
            loop.call_soon(self._send)
            if self._alarm is None:
                self._alarm = loop.call_later(self._timeout_s, self._expire)
        places = round_.keys
        future: asyncio.Future[list[bytes | None]] = loop.create_future()
        round_.lookups.append((future, [places.setdefault(key, len(places)) for key in keys]))
        self._budget.earn()
        return await future

    def close(self) -> None:
        """Give up the connection; lookups that wait are refused."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._drop(unavailable(self._address, "it was closed"), retries=False)
        self._refuse_next(unavailable(self._address, "it was closed"))

    def _send(self) -> None:
        """Send the next round, if it can be sent now."""
        round_ = self._next
        if round_ is None:
            return
        if self._under_way and asyncio.get_running_loop().time() - self._under_way[0].begun_s > _SILENT_S:
            self._drop(unavailable(self._address, "it has stopped answering"), retries=False)
        if self._connection is None:
            if self._connecting is None:
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
        elif len(self._under_way) < _MOST_UNDER_WAY:
            self._next = None
            if round_.lookups:
                prefix = self._prefix
                self._under_way.append(round_)
                self._connection.send((b"MGET", *[prefix + key for key in round_.keys]))

    async def _connect(self) -> None:
        try:
            self._connection = await connect(self._address, on_reply=self._answer, on_lost=self._lost)
        except OctavoError as error:
            self._refuse_next(error if isinstance(error, Unavailable) else unavailable(self._address, error.message))
        finally:
            self._connecting = None
        self._send()

    def _answer(self, reply: Any) -> None:
        """Take the reply to the oldest command under way."""
        if not self._under_way:
            self._drop(unavailable(self._address, "it said what nobody had asked"), retries=False)
        elif isinstance(reply, list) and len(reply) == len(self._under_way[0].keys):
            self._under_way.popleft().answer(reply)
        else:
            self._under_way.popleft().refuse(unavailable(self._address, reply))
        if self._next is not None:
            self._send()

    def _lost(self, lost: ConnectionLost) -> None:
        self._connection = None
        self._drop(unavailable(self._address, lost), retries=True)

    def _drop(self, error: Unavailable, *, retries: bool) -> None:
        """Give up the connection and what is under way over it, some of which may be sent over another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        dropped, self._under_way = self._under_way, deque()
        for round_ in dropped:
            if not (retries and self._retry(round_)):
                round_.refuse(error)

    def _retry(self, round_: _Round) -> bool:
        """Let a round be part of the next, if it may."""
        waiting = [(future, places) for future, places in round_.lookups if not future.done()]
        if round_.is_second or not self._budget.spend(len(waiting)):
            return False
        self.retries += len(waiting)
        keys, again = list(round_.keys), self._next or _Round(round_.begun_s)
        again.begun_s, again.is_second = min(again.begun_s, round_.begun_s), True
        for future, places in waiting:
            again.lookups.append((future, [again.keys.setdefault(keys[place], len(again.keys)) for place in places]))
        if self._next is None:
            self._next = again
            asyncio.get_running_loop().call_soon(self._send)
        return True

    def _refuse_next(self, error: Unavailable) -> None:
        round_, self._next = self._next, None
        if round_ is not None:
            round_.refuse(error)

    def _expire(self) -> None:
        """Refuse lookups whose time is up; their replies, if they ever come, are passed over."""
        loop, self._alarm = asyncio.get_running_loop(), None
        now_s, error = loop.time(), unavailable(self._address, "it does not answer in time", timed_out=True)
        rounds = [round_ for round_ in (*self._under_way, self._next) if round_ is not None and round_.lookups]
        left = []
        for round_ in rounds:
            if round_.begun_s + self._timeout_s <= now_s + 1e-4:
                round_.refuse(error)
                self._next = None if round_ is self._next else self._next
            else:
                left.append(round_.begun_s)
        if left:
            self._alarm = loop.call_at(min(left) + self._timeout_s, self._expire)
