"""Metadata in a SQL database: SQLite on one machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.pool import ConnectionPoolEntry

from octavo.errors import ConfigurationError, Conflict, Unavailable
from octavo.stores.ports import AuditEvent, R, Record, Transaction
from octavo.stores.records import Body, Scalar, conditions, decode, encode
from octavo.stores.sql.schema import audit, bring_up_to_date, records

_AUDIT_FIELDS = tuple(field.name for field in fields(AuditEvent))


class SqlTransaction:
    """Records and audit events over one connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def get(self, record_type: type[R], key: str) -> R | None:
        """See `Transaction.get`."""
        body = self._body(record_type.kind, key)
        return None if body is None else decode(record_type, body)

    def find(
        self, record_type: type[R], *, newest_first: bool = False, limit: int | None = None, **equal: object
    ) -> list[R]:
        """See `Transaction.find`."""
        query = sa.select(records.c.body).where(records.c.kind == record_type.kind)
        for name, value in conditions(record_type, equal).items():
            query = query.where(_equals(name, value))
        query = query.order_by(records.c.seq.desc() if newest_first else records.c.seq).limit(limit)
        return [decode(record_type, body) for body in self._connection.scalars(query)]

    def add(self, record: Record) -> None:
        """See `Transaction.add`."""
        if self._body(record.kind, record.key) is not None:
            raise _exists(record)
        try:
            self._insert(record)
        except IntegrityError as error:
            raise _exists(record) from error

    def put(self, record: Record) -> None:
        """See `Transaction.put`."""
        if not self._update(record):
            self._insert(record)

    def replace(self, old: R, new: R) -> None:
        """See `Transaction.replace`."""
        body = self._body(old.kind, old.key, for_update=True)
        if body is None or encode(decode(type(old), body)) != encode(old):
            raise Conflict(f"{old.kind} {old.key!r} has changed meanwhile; read it again", kind=old.kind, key=old.key)
        self._update(new)

    def append_audit(self, event: AuditEvent) -> None:
        """See `Transaction.append_audit`."""
        self._connection.execute(sa.insert(audit), msgspec.to_builtins(event))

    def audit(self, *, newest_first: bool = True, limit: int = 100) -> list[AuditEvent]:
        """See `Transaction.audit`."""
        columns = (audit.c[name] for name in _AUDIT_FIELDS)
        query = sa.select(*columns).order_by(audit.c.seq.desc() if newest_first else audit.c.seq).limit(limit)
        rows = self._connection.execute(query)
        return [msgspec.convert(dict(zip(_AUDIT_FIELDS, row, strict=True)), AuditEvent) for row in rows]

    def _body(self, kind: str, key: str, *, for_update: bool = False) -> Body | None:
        query = sa.select(records.c.body).where(records.c.kind == kind, records.c.key == key)
        return self._connection.scalar(query.with_for_update() if for_update else query)

    def _insert(self, record: Record) -> None:
        row = {"kind": record.kind, "key": record.key, "body": encode(record)}
        self._connection.execute(sa.insert(records).values(updated_at=sa.func.now(), **row))

    def _update(self, record: Record) -> bool:
        where = (records.c.kind == record.kind, records.c.key == record.key)
        change = sa.update(records).where(*where).values(body=encode(record), updated_at=sa.func.now())
        return self._connection.execute(change).rowcount == 1


class SqlMetadata:
    """Metadata in the database of a SQLAlchemy URL, made or migrated when it is opened.

    Transactions of all processes follow one another: each begins by taking SQLite's write lock.

    Parameters
    ----------
    url : str
        ``sqlite:////absolute/path``.
    busy_timeout_s : float
        How long a transaction waits for its turn.

    Raises
    ------
    ConfigurationError
        If the URL cannot be used, or the database was made by a newer release.
    Unavailable
        If the database cannot be reached.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = 30.0) -> None:
        try:
            self._engine = sa.create_engine(url)
        except SQLAlchemyError as error:
            raise ConfigurationError(f"stores.metadata = {url!r} cannot be used: {error}") from error
        self._busy = threading.local()
        if self._engine.dialect.name == "sqlite":
            _prepare_sqlite(self._engine, busy_timeout_s=busy_timeout_s)
        with self._connected() as connection:
            bring_up_to_date(connection)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """See `Metadata.transaction`."""
        if getattr(self._busy, "here", False):
            raise RuntimeError("a transaction is open in this thread already; use that one")
        self._busy.here = True
        try:
            with self._connected() as connection:
                yield SqlTransaction(connection)
        finally:
            self._busy.here = False

    def close(self) -> None:
        """See `Metadata.close`."""
        self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise Unavailable(f"the metadata at {self._engine.url} cannot be used now: {error.orig}") from error
        except PoolExhausted as error:
            raise Unavailable("too many transactions at once; try again") from error


def _exists(record: Record) -> Conflict:
    return Conflict(f"there is a {record.kind} {record.key!r} already", kind=record.kind, key=record.key)


def _equals(name: str, value: Scalar) -> sa.ColumnElement[bool]:
    """Whether a field of a body has a value; by JSON path, which every database of ours has."""
    field: Any = records.c.body[name]
    condition: sa.ColumnElement[bool]
    if value is None:
        condition = field.as_string().is_(None)
    elif isinstance(value, bool):
        condition = field.as_boolean() == value
    elif isinstance(value, int):
        condition = field.as_integer() == value
    elif isinstance(value, float):
        condition = field.as_float() == value
    else:
        condition = field.as_string() == value
    return condition


def _prepare_sqlite(engine: sa.Engine, *, busy_timeout_s: float) -> None:
    path = engine.url.database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver would begin transactions late, and only for writes
        for pragma in (
            f"busy_timeout = {round(busy_timeout_s * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
