"""Online features in Redis: one store for predictors on many machines."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from types import ModuleType
from typing import Any
from urllib.parse import quote

from octavo.errors import ConfigurationError, Conflict, MissingExtra, Unavailable
from octavo.stores.redis_address import RedisAddress
from octavo.stores.urls import secret

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
        prefix = f"octavo:{quote(project, safe='')}:".encode()
        self._values, self._marks, self._counter = prefix + b"v", prefix + b"m", prefix + b"writes"
        self._address = address
        self._readonly = readonly
        self._redis = _client_library()
        self._pool = self._redis.ConnectionPool(**self._settings(address.timeout_s if readonly else write_timeout_s))
        self._idle: list[Any] = []  # connections that the pool gave out and need not look after: it costs a system call
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
            self._release_idle()  # a write is not sent twice, so its connection is looked at first
            self._commit(kept, gone, known=known)
            self._known = known + 1

    def mark(self, name: str) -> int:
        """See `OnlineStore.mark`."""
        value = self._read([self._marks + name.encode()])[0]
        return -1 if value is None else int(value)

    def close(self) -> None:
        """Close the connections."""
        self._release_idle()
        self._pool.disconnect()

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
        with self._translated():
            try:
                found = self._ask(command)
            except self._redis.ConnectionError:
                self._release_idle()
                self._pool.disconnect(inuse_connections=False)
                found = self._ask(command)
        return found  # type: ignore[no-any-return]  # bytes or None per key, says the protocol

    def _ask(self, command: tuple[bytes, ...]) -> Any:
        with self._connection() as connection:
            connection.send_command(*command)
            return connection.read_response()

    def _commit(self, kept: Mapping[bytes, bytes], gone: Sequence[bytes], *, known: int) -> None:
        changes = [(b"MSET", self._counter, b"%d" % (known + 1), *chain.from_iterable(kept.items()))]
        if gone:
            changes.append((b"UNLINK", *gone))
        with self._translated(), self._connection() as connection:
            # Only when the server has agreed to begin are changes sent, which it would make one by one otherwise.
            begin = _answers(connection, (b"WATCH", self._counter), (b"MGET", self._counter), (b"MULTI",))
            if int(begin[1][0] or 0) != known or _answers(connection, *changes, (b"EXEC",))[-1] is None:
                raise Conflict(
                    f"something else has written this project's online features in the Redis at {self._address}; "
                    "see that only one process does, then try again"
                )

    def _check_policy(self) -> None:
        """Refuse a server that makes room by dropping values, since nobody would notice."""
        with self._translated(), suppress(self._redis.exceptions.NoPermissionError):
            text = self._ask((b"INFO", b"memory"))
            found = dict(_MEMORY.findall(text))
            if found.get(b"maxmemory", b"0") != b"0" and found.get(b"maxmemory_policy", b"").startswith(b"allkeys-"):
                raise ConfigurationError(
                    f"the Redis at {self._address} drops values when its memory is full, and features would be wrong "
                    "unnoticed; set its maxmemory-policy to noeviction",
                    setting="stores.online",
                )

    def _settings(self, timeout_s: float) -> dict[str, Any]:
        """Arguments of the pool of connections."""
        at = self._address
        settings = {
            "db": at.database,
            "username": at.user or None,
            "password": secret(at.password) if at.password else None,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "retry": self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0),
            "protocol": 2,
        }
        if at.path:
            return settings | {"connection_class": self._redis.UnixDomainSocketConnection, "path": at.path}
        settings |= {"host": at.host, "port": at.port}
        if at.tls:
            return settings | {"connection_class": self._redis.SSLConnection, "ssl_ca_certs": at.ca_file or None}
        return settings

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """A connection of the pool; an error closes it, and so ends whatever was begun on it."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._pool.get_connection()
        try:
            yield connection
        except BaseException:
            connection.disconnect()
            self._pool.release(connection)
            raise
        self._idle.append(connection)

    def _release_idle(self) -> None:
        while self._idle:
            self._pool.release(self._idle.pop())

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (self._redis.RedisError, OSError) as error:
            raise Unavailable(f"the Redis at {self._address} cannot be used now: {error}") from error


def _client_library() -> ModuleType:
    try:
        import redis
    except ImportError as error:
        raise MissingExtra("redis", "keeping online features in Redis") from error
    return redis


def _answers(connection: Any, *commands: tuple[bytes, ...]) -> list[Any]:
    """What the server says to commands that are sent together."""
    connection.send_packed_command(connection.pack_commands(commands))
    return [connection.read_response() for _ in commands]
