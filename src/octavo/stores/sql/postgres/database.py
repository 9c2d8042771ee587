"""A database of ours in PostgreSQL: transactions that take turns, and commits whose outcome is found out."""

import hashlib
import itertools
import logging
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from octavo.errors import ConfigurationError, MissingExtra
from octavo.stores.sql.postgres.address import PostgresAddress
from octavo.stores.sql.postgres.connection import connect

log = logging.getLogger(__name__)

_LOCK_NOT_AVAILABLE, _NOT_ALLOWED = "55P03", "42501"
_AGAIN_S = 0.05
_READING = ("SELECT", "SET", "SHOW")


class PostgresDatabase:
    """A schema in a PostgreSQL.

    Transactions of all processes follow one another, as they do in SQLite: each begins by taking the one lock of the
    schema. So what a transaction has read is true until it ends, and no transaction is ever asked to be repeated.

    Parameters
    ----------
    address : PostgresAddress
    busy_timeout_s : float
        How long a transaction waits for its turn.

    Raises
    ------
    MissingExtra
        If what speaks to it is not installed.
    """

    def __init__(self, address: PostgresAddress, *, busy_timeout_s: float) -> None:
        self.where = str(address)
        self._address = address
        self._busy_timeout_s = busy_timeout_s
        self._lock = lock_of(address.schema)
        self.engine = _engine(self._connect, address, pool_timeout_s=min(busy_timeout_s, address.timeout_s))
        sa.event.listen(self.engine, "after_cursor_execute", _note_writing)

    def prepare(self) -> None:
        """Make the schema, if it is absent.

        Raises
        ------
        ConfigurationError
            If it is, and the user may not.
        """
        known, schema = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :schema"), {"schema": self._address.schema}
        with self.engine.connect() as connection:
            if connection.scalar(known, schema) is not None:
                return
        with self.begin() as connection:
            if connection.scalar(known, schema) is None:  # nobody else has made it meanwhile
                self._make_schema(connection)
            connection.commit()

    def _make_schema(self, connection: sa.Connection) -> None:
        try:
            connection.execute(sa.schema.CreateSchema(self._address.schema))
        except DBAPIError as error:
            if _code(error) != _NOT_ALLOWED:
                raise
            raise ConfigurationError(
                f"the user may not make the schema {self._address.schema!r} in the PostgreSQL at {self.where}; have it "
                f"made: CREATE SCHEMA {self._address.schema} AUTHORIZATION {self._address.user or 'USER'}"
            ) from error

    def begin(self) -> sa.Connection:
        """A connection with a transaction that has its turn; one that was lost meanwhile is replaced by a new one."""
        deadline_s, is_new = time.monotonic() + self._busy_timeout_s, False
        while True:
            began_s = time.monotonic()
            connection = self.engine.connect()
            try:
                connection.begin()
                connection.info["has_written"] = False
                self._take_turn(connection)
            except DBAPIError as error:
                was_lost = error.connection_invalidated and time.monotonic() - began_s < self._address.timeout_s
                connection.close()
                if was_lost and not is_new:
                    is_new = True  # the pool has dropped all that it had
                elif _code(error) != _LOCK_NOT_AVAILABLE or time.monotonic() > deadline_s:
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    def commit(self, connection: sa.Connection) -> bool | None:
        """Commit the connection's transaction.

        Returns
        -------
        bool or None
            Whether it is committed; None if the server was lost over it, and nobody can say.
        """
        transaction = connection.info.get("has_written") and connection.scalar(
            sa.text("SELECT pg_current_xact_id()::text")
        )
        try:
            connection.commit()
        except DBAPIError as error:
            if not transaction or not error.connection_invalidated:
                raise
            log.warning("lost the PostgreSQL at %s over a commit; asking it what became of it", self.where)
            return self._outcome(str(transaction))
        return True

    def keep_copy(self, connection: sa.Connection, *, version: str) -> str:
        """Copy the schema into another, which a release of that version can be pointed at; its name.

        It is part of the transaction that migrates, whose statements may take as long as they need.
        """
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        driver: Any = connection.connection.driver_connection
        driver.answers_within_s = None
        inspector = sa.inspect(connection)
        name = _free_name(f"{self._address.schema}_schema_{version}", inspector.get_schema_names())
        quote = connection.dialect.identifier_preparer.quote_identifier
        connection.execute(sa.schema.CreateSchema(name))
        for table in inspector.get_table_names(schema=self._address.schema):
            copied = f"{quote(name)}.{quote(table)}"
            original = f"{quote(self._address.schema)}.{quote(table)}"
            connection.execute(sa.text(f"CREATE TABLE {copied} (LIKE {original} INCLUDING ALL)"))
            connection.execute(sa.text(f"INSERT INTO {copied} SELECT * FROM {original}"))
        return f"schema {name}"

    def _connect(self) -> Any:
        return connect(self._address, purpose="octavo metadata")

    def _take_turn(self, connection: sa.Connection) -> None:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": self._lock})

    def _outcome(self, transaction: str) -> bool | None:
        """What became of a transaction whose commit was not answered."""
        deadline_s = time.monotonic() + 2 * self._address.timeout_s
        while time.monotonic() < deadline_s:
            with suppress(Exception), closing(self._connect()) as connection:
                asked = connection.execute("SELECT pg_xact_status(%s::xid8)", (transaction,)).fetchone()
                status = asked and asked[0]
                if status in ("committed", "aborted"):
                    return bool(status == "committed")
                if status is None:
                    return None
            time.sleep(_AGAIN_S)
        return None


def plain_engine(address: PostgresAddress, *, purpose: str, timeout_s: float = 30.0) -> sa.Engine:
    """An engine for whoever brings tables and transactions of their own.

    Raises
    ------
    MissingExtra
        If what speaks to it is not installed.
    """
    patient = replace(address, timeout_s=max(address.timeout_s, timeout_s))
    return _engine(lambda: connect(patient, purpose=purpose), address, pool_timeout_s=timeout_s)


def _engine(make: Callable[[], Any], address: PostgresAddress, *, pool_timeout_s: float) -> sa.Engine:
    try:
        return sa.create_engine(
            "postgresql+psycopg://",
            creator=make,
            pool_size=address.connections,
            max_overflow=0,
            pool_timeout=pool_timeout_s,
            pool_use_lifo=True,
        )
    except ImportError as error:
        raise MissingExtra("postgres", "PostgreSQL") from error


def lock_of(schema: str) -> int:
    """The number of the lock that the transactions of a schema take turns by."""
    return int.from_bytes(hashlib.sha256(f"octavo {schema}".encode()).digest()[:8], "big", signed=True)


def _free_name(name: str, taken: list[str]) -> str:
    numbered = (f"{name}_{number}" for number in itertools.count(2))
    return next(found for found in (name, *itertools.islice(numbered, len(taken) + 1)) if found not in taken)


def _note_writing(
    connection: sa.Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    if not statement.lstrip().upper().startswith(_READING):
        connection.info["has_written"] = True


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
