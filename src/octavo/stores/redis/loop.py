"""Online features in Redis as an event loop reads them: the lookups that wait go together in one command.

A client that sends each lookup by itself is busy with sockets and futures far longer than the server is with looking
up. So lookups of one turn of the loop become one MGET, in which a key that several want stands once; while a few
commands are under way, those that come meanwhile wait for the next.

What was read is remembered until the server tells that it has changed, over the same connection and so in order: values
that are remembered when a reply comes, and those in it, are all of the moment at which the server made it. Without a
reply they are taken for true only where nothing waits to be read from the connection, and for a short time after the
last command that was answered, so that a server that can no longer tell is not believed to have nothing to tell. It is
asked ahead, when half of this time is left, so that nobody waits as long as it answers.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from octavo.errors import OctavoError, Unavailable
from octavo.stores.redis.address import RedisAddress
from octavo.stores.redis.budget import RetryBudget
from octavo.stores.redis.connection import Connection, ConnectionLost, connect
from octavo.stores.redis.session import prefix_of, protocol_library, unavailable
from octavo.stores.remembered import Remembered

_MOST_UNDER_WAY = 4
_SILENT_S = 1.0
"""How long a server may say nothing before its connection is given up for another."""
_TRUE_FOR_S = 0.05
"""How long what is remembered is true at most without another word of the server."""

Lookup = tuple["asyncio.Future[list[bytes | None]]", Sequence[bytes]]
"""Who waits, and for what."""


@dataclass(slots=True, eq=False)
class _Round:
    """Lookups that go together.

    Attributes
    ----------
    begun_s : float
        When the first of them came, on the loop's clock.
    keys : dict of bytes to None
        What the server is asked for, each once; they may want more, which is remembered.
    sent_s : float
        When it was sent.
    is_second : bool
        Whether it was sent before, over a connection that was lost.
    """

    begun_s: float
    keys: dict[bytes, None] = field(default_factory=dict)
    lookups: list[Lookup] = field(default_factory=list)
    sent_s: float = 0.0
    is_second: bool = False

    def refuse(self, error: Unavailable) -> None:
        for future, _ in self.lookups:
            if not future.done():
                future.set_exception(Unavailable(error.message, **error.facts))
        self.lookups = []


class RedisLoopReader:
    """Reads a Redis from one event loop, over one connection, which is made when it is first needed or was lost.

    A lookup of what is remembered waits for nothing. It finds what stood there less than `_TRUE_FOR_S` seconds before,
    and nearly always what stands there now. Where the server does not tell of changes, nothing is remembered.

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

    def __init__(self, address: RedisAddress, *, project: str, timeout_s: float) -> None:
        protocol_library()
        self.retries = 0
        self._address = address
        self._prefix = prefix_of(project) + b"v"
        self._remembered = Remembered(1_000_000 * address.remember_mb)
        self._true_until_s = 0.0  # what is remembered, by `time.monotonic`
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
        found = self._at_hand(keys)
        if found is not None:
            return found
        loop, remembered = asyncio.get_running_loop(), self._remembered
        future: asyncio.Future[list[bytes | None]] = loop.create_future()
        unknown = [key for key in keys if key not in remembered]
        self._with_next(unknown or keys[:1], begun_s=loop.time()).lookups.append((future, keys))
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

    def _at_hand(self, keys: Sequence[bytes]) -> list[bytes | None] | None:
        """What is remembered of all keys and true now; None if it is to be asked for."""
        connection, left_s = self._connection, self._true_until_s - time.monotonic()
        if connection is None or left_s <= 0:
            return None
        try:
            found = list(map(self._remembered.__getitem__, keys))
        except KeyError:
            return None
        if not connection.is_read:
            return None
        if left_s < _TRUE_FOR_S / 2 and not self._under_way:
            self._with_next(keys[:1], begun_s=asyncio.get_running_loop().time())
        return found

    def _with_next(self, keys: Sequence[bytes], *, begun_s: float) -> _Round:
        """The next round, which shall ask for some keys."""
        round_ = self._next
        if round_ is None:
            loop = asyncio.get_running_loop()
            round_ = self._next = _Round(begun_s)
            loop.call_soon(self._send)
            if self._alarm is None:
                self._alarm = loop.call_at(begun_s + self._timeout_s, self._expire)
        round_.begun_s = min(round_.begun_s, begun_s)
        round_.keys.update(dict.fromkeys(keys))
        return round_

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
            self._next, round_.sent_s, prefix = None, time.monotonic(), self._prefix
            self._under_way.append(round_)
            self._connection.send((b"MGET", *[prefix + key for key in round_.keys]))

    async def _connect(self) -> None:
        try:
            connection = Connection(on_reply=self._answer, on_change=self._forget, on_lost=self._lost)
            await connect(connection, self._address)
            self._connection = connection
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
            self._settle(self._under_way.popleft(), reply)
        else:
            self._under_way.popleft().refuse(unavailable(self._address, reply))
        if self._next is not None:
            self._send()

    def _settle(self, round_: _Round, reply: list[bytes | None]) -> None:
        """Tell all who wait what the server has said and what is remembered, which is of the same moment."""
        found, remembered = dict(zip(round_.keys, reply, strict=True)), self._remembered
        lookups, round_.lookups = round_.lookups, []
        for future, keys in lookups:
            if future.done():  # it was cancelled, or its time was up
                continue
            try:
                future.set_result([found[key] if key in found else remembered[key] for key in keys])
            except KeyError:  # something has changed meanwhile
                self._with_next(keys, begun_s=round_.begun_s).lookups.append((future, keys))
        if self._connection is not None and self._connection.tracks:
            remembered.keep(found)
            self._true_until_s = round_.sent_s + _TRUE_FOR_S

    def _forget(self, keys: list[bytes] | None) -> None:
        """Forget what has changed; None if that may be anything."""
        if keys is None:
            self._remembered.clear()
        else:
            for key in keys:
                self._remembered.forget(key.removeprefix(self._prefix))

    def _lost(self, lost: ConnectionLost) -> None:
        self._connection = None
        self._drop(unavailable(self._address, lost), retries=True)

    def _drop(self, error: Unavailable, *, retries: bool) -> None:
        """Give up the connection and what is under way over it, some of which may be sent over another."""
        connection, self._connection = self._connection, None
        self._remembered.clear()
        if connection is not None:
            connection.close()
        dropped, self._under_way = self._under_way, deque()
        for round_ in dropped:
            if not (retries and self._retry(round_)):
                round_.refuse(error)

    def _retry(self, round_: _Round) -> bool:
        """Let a round be part of the next, if it may."""
        waiting = [(future, keys) for future, keys in round_.lookups if not future.done()]
        if round_.is_second or not self._budget.spend(len(waiting)):
            return False
        self.retries += len(waiting)
        for future, keys in waiting:
            again = self._with_next(keys, begun_s=round_.begun_s)
            again.lookups.append((future, keys))
            again.is_second = True
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
