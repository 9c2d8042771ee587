"""Online features in Redis: one store for predictors on many machines."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

from octavo.errors import ConfigurationError, Conflict
from octavo.stores.redis.address import RedisAddress
from octavo.stores.redis.blocking import BlockingConnection, Refused
from octavo.stores.redis.session import prefix_of, unavailable

_MEMORY = re.compile(rb"^(maxmemory|maxmemory_policy):(\S+)", re.MULTILINE)


class RedisOnlineStore:
    """An online store in a database of a Redis, where each project has keys of its own.

    A read is one MGET and a write one transaction around one MSET; Redis does nothing else during either. A write is as
    large as its caller makes it, and holds up readers for about a millisecond per 2,000 values.

    A write whose answer was lost may still be made later, by a server that was only slow. So that it cannot undo a
    newer one, every write counts the writes, and is refused where there were more or fewer than its writer knew of when
    it read what the write rests on: a late one, one of another process, or some that a replica lacks which took over.

    Parameters
    ----------
    address : RedisAddress
    readonly : bool
        Whether this process only reads; it then waits `RedisAddress.timeout_s` for each step at most. A user of the
        server needs no more than MGET for this.
    project : str
        Whose values these are; all keys begin with ``octavo:<project>:``.
    write_timeout_s : float
        How long a process that also writes waits for each step: longer, since nobody waits for it.

    Raises
    ------
    MissingExtra
        If the client library is not installed.
    Unavailable
        If the server does not answer in time, or refuses the user or password.
    ConfigurationError
        If the password is not where its reference says, or the server drops values when its memory is full.
    """

    def __init__(
        self, address: RedisAddress, readonly: bool = False, *, project: str, write_timeout_s: float = 30.0
    ) -> None:
        prefix = prefix_of(project)
        self._values, self._marks, self._counter = prefix + b"v", prefix + b"m", prefix + b"writes"
        self._address = address
        self._readonly = readonly
        self._timeout_s = address.timeout_s if readonly else write_timeout_s
        self._idle: list[BlockingConnection] = []
        self._lock = threading.Lock()  # one write at a time
        self._known: int | None = None  # writes so far
        try:
            self._count()
            if not readonly:
                self._check_policy()
        except BaseException:
            self.close()
            raise

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore.read`.

        Raises
        ------
        Unavailable
            If the server does not answer in time.
        """
        prefix = self._values
        return self._read([prefix + key for key in keys])

    def write(self, values: Mapping[bytes, bytes | None], *, marks: Mapping[str, int]) -> None:
        """See `OnlineStore.write`.

        Raises
        ------
        Conflict
            If the store was opened to be read only, or there were other writes; nothing was written.
        Unavailable
            If the server does not answer in time. Everything was written or nothing, as the marks will tell.
        """
        if self._readonly:
            raise Conflict(
                f"the Redis at {self._address} was opened to be read only; write where it was opened for writing"
            )
        kept = {self._values + key: value for key, value in values.items() if value is not None}
        kept |= {self._marks + name.encode(): b"%d" % mark for name, mark in marks.items()}
        gone = [self._values + key for key, value in values.items() if value is None]
        with self._lock:
            known = self._count() if self._known is None else self._known
            self._known = None  # until it is seen how this ends
            self._close_those(lambda connection: not connection.is_idle)  # since a write is not sent twice
            self._commit(kept, gone, known=known)
            self._known = known + 1

    def mark(self, name: str) -> int:
        """See `OnlineStore.mark`."""
        value = self._read([self._marks + name.encode()])[0]
        return -1 if value is None else int(value)

    def close(self) -> None:
        """Close the connections."""
        self._close_those(lambda _: True)

    def _read(self, keys: list[bytes]) -> list[bytes | None]:
        if self._known is None:
            with self._lock:
                if self._known is None:
                    self._count()
        return self._mget(keys) if keys else []

    def _count(self) -> int:
        """Learn how many writes there were, before anything is read on which the next will rest."""
        self._known = int(self._mget([self._counter])[0] or 0)
        return self._known

    def _mget(self, keys: list[bytes]) -> list[bytes | None]:
        """Values by keys; asked for once more if the connection was lost."""
        command = (b"MGET", *keys)
        try:
            try:
                [found] = self._ask(command)
            except ConnectionError:
                self._close_those(lambda _: True)
                [found] = self._ask(command)
        except (Refused, OSError) as error:
            raise unavailable(self._address, error) from error
        return found  # type: ignore[no-any-return]  # bytes or None per key, says the protocol

    def _ask(self, *commands: tuple[bytes, ...]) -> list[Any]:
        connection = self._taken()
        try:
            replies = connection.ask(*commands)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return replies

    def _commit(self, kept: Mapping[bytes, bytes], gone: Sequence[bytes], *, known: int) -> None:
        changes = [(b"MSET", self._counter, b"%d" % (known + 1), *chain.from_iterable(kept.items()))]
        if gone:
            changes.append((b"UNLINK", *gone))
        with self._translated(), self._connection() as connection:
            # Only when the server has agreed to begin are changes sent, which it would make one by one otherwise.
            begin = connection.ask((b"WATCH", self._counter), (b"MGET", self._counter), (b"MULTI",))
            if int(begin[1][0] or 0) != known or connection.ask(*changes, (b"EXEC",))[-1] is None:
                raise Conflict(
                    f"something else has written this project's online features in the Redis at {self._address}; "
                    "see that only one process does, then try again"
                )

    def _check_policy(self) -> None:
        """Refuse a server that makes room by dropping values, since nobody would notice."""
        with self._translated():
            try:
                [text] = self._ask((b"INFO", b"memory"))
            except Refused as refused:
                if str(refused).startswith("NOPERM"):
                    return
                raise
            found = dict(_MEMORY.findall(text))
            if found.get(b"maxmemory", b"0") != b"0" and found.get(b"maxmemory_policy", b"").startswith(b"allkeys-"):
                raise ConfigurationError(
                    f"the Redis at {self._address} drops values when its memory is full, and features would be wrong "
                    "unnoticed; set its maxmemory-policy to noeviction",
                    setting="stores.online",
                )

    @contextmanager
    def _connection(self) -> Iterator[BlockingConnection]:
        """A connection that nobody else uses; an error closes it, and so ends whatever was begun on it."""
        connection = self._taken()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _taken(self) -> BlockingConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return BlockingConnection(self._address, timeout_s=self._timeout_s)

    def _close_those(self, which: Callable[[BlockingConnection], bool]) -> None:
        """Close some of the connections that nobody uses."""
        kept = []
        with suppress(IndexError):
            while connection := self._idle.pop():
                if which(connection):
                    connection.close()
                else:
                    kept.append(connection)
        self._idle += kept

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (Refused, OSError) as error:
            raise unavailable(self._address, error) from error
