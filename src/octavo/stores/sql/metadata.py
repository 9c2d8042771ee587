"""Metadata in a SQL database: SQLite on one machine, PostgreSQL for several."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from octavo.errors import Conflict, InvalidRequest, Unavailable
from octavo.stores.chain import ALL, AuditEntry, AuditEvent, AuditFilter, AuditHead
from octavo.stores.metrics import MetricPoint
from octavo.stores.ports import R, Record, Transaction
from octavo.stores.records import Body, Scalar, conditions, decode, encode
from octavo.stores.searches import Found, Search
from octavo.stores.sql import chain, points, searches, texts
from octavo.stores.sql.copying import copy_rows
from octavo.stores.sql.postgres import PostgresAddress, PostgresDatabase
from octavo.stores.sql.schema import bring_up_to_date, records
from octavo.stores.sql.sqlite import SqliteDatabase


class SqlTransaction:
    """Records and audit events over one connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._events: list[AuditEvent] = []

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
            query = query.where(_equals(name, value, dialect=self._connection.dialect.name))
        query = query.order_by(records.c.seq.desc() if newest_first else records.c.seq).limit(limit)
        return [decode(record_type, body) for body in self._connection.scalars(query)]

    def search(self, record_type: type[R], search: Search) -> Found[R]:
        """See `Transaction.search`."""
        return searches.find(self._connection, record_type, search)

    def append_points(self, added: Sequence[MetricPoint]) -> None:
        """See `Transaction.append_points`."""
        points.append(self._connection, added)

    def points(self, run: str, name: str | None = None, *, limit: int | None = None) -> list[MetricPoint]:
        """See `Transaction.points`."""
        return points.history(self._connection, run, name, limit=limit)

    def newest_points(self, run: str, names: Sequence[str]) -> list[MetricPoint]:
        """See `Transaction.newest_points`."""
        return points.newest(self._connection, run, names)

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

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """See `Transaction.texts`."""
        self.finish()
        return texts.read(self._connection)

    def append_audit(self, event: AuditEvent) -> None:
        """See `AuditTrail.append_audit`."""
        self._events.append(event)

    def audit(self, *, newest_first: bool = True, limit: int = 100, only: AuditFilter = ALL) -> list[AuditEvent]:
        """See `AuditTrail.audit`."""
        self.finish()
        return chain.read_events(self._connection, newest_first=newest_first, limit=limit, only=only)

    def audit_entries(self, *, after: int = 0, limit: int = 1_000) -> list[AuditEntry]:
        """See `AuditTrail.audit_entries`."""
        self.finish()
        return chain.read_entries(self._connection, after=after, limit=limit)

    def audit_head(self) -> AuditHead:
        """See `AuditTrail.audit_head`."""
        self.finish()
        return chain.read_head(self._connection)

    def finish(self) -> None:
        """Write what waits for the end of the transaction: audit events, whose place others wait for."""
        if self._events:
            chain.append(self._connection, self._events)
            self._events.clear()

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


class Database(Protocol):
    """Where the tables are: what differs between databases.

    Attributes
    ----------
    where : str
        As people are told.
    """

    engine: sa.Engine
    where: str

    def prepare(self) -> None:
        """See to it that there is a place for tables."""

    def begin(self) -> sa.Connection:
        """A connection with a transaction that has its turn: no other begins before it has ended."""

    def commit(self, connection: sa.Connection) -> bool | None:
        """Commit the connection's transaction; None if nobody can say whether it is, False if it is certainly not."""

    def keep_copy(self, connection: sa.Connection, *, version: str) -> str:
        """Copy what there is, before it is migrated; where the copy is."""


class SqlMetadata:
    """Metadata in a SQL database, whose tables are made or migrated when it is opened.

    Transactions of all processes follow one another: each begins by taking its turn.

    Parameters
    ----------
    place : str or PostgresAddress
        ``sqlite:////absolute/path``, or where a PostgreSQL is.
    busy_timeout_s : float
        How long a transaction waits for its turn.

    Raises
    ------
    ConfigurationError
        If the URL cannot be used, or the database was made by a newer release.
    Unavailable
        If the database cannot be reached.
    """

    def __init__(self, place: "str | PostgresAddress", *, busy_timeout_s: float = 30.0) -> None:
        self._database: Database
        if isinstance(place, PostgresAddress):
            self._database = PostgresDatabase(place, busy_timeout_s=busy_timeout_s)
        else:
            self._database = SqliteDatabase(place, busy_timeout_s=busy_timeout_s)
        self._busy = threading.local()
        try:
            with self._told():
                self._database.prepare()
            with self._connected() as connection:
                bring_up_to_date(
                    connection,
                    where=self._database.where,
                    before=lambda version: self._database.keep_copy(connection, version=version),
                )
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """See `Metadata.transaction`."""
        if getattr(self._busy, "here", False):
            raise RuntimeError("a transaction is open in this thread already; use that one")
        self._busy.here = True
        try:
            with self._connected() as connection:
                transaction = SqlTransaction(connection)
                yield transaction
                transaction.finish()
        finally:
            self._busy.here = False

    def copy_to(self, target: "SqlMetadata") -> dict[str, int]:
        """Copy all that is here, as it is at one moment, to where nothing is; how many rows there are of each table.

        Raises
        ------
        Conflict
            If there is anything.
        """
        with self._connected() as source, target._connected() as connection:
            return copy_rows(source, connection)

    def close(self) -> None:
        """See `Metadata.close`."""
        self._database.engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        with self._told():
            connection = self._database.begin()
            with connection:  # which withdraws what is not committed
                yield connection
                committed = self._database.commit(connection)
        if not committed:
            known = "nothing was changed; try again" if committed is False else _UNKNOWN
            raise Unavailable(
                f"the metadata at {self._database.where} were lost over a change: {known}",
                changed=None if committed is None else False,
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what goes wrong in the database in our words."""
        try:
            yield
        except DataError as error:
            raise InvalidRequest(f"this cannot be kept in the metadata: {_first_line(error)}") from error
        except DBAPIError as error:
            raise Unavailable(
                f"the metadata at {self._database.where} cannot be used now: {_first_line(error)}"
            ) from error
        except PoolExhausted as error:
            raise Unavailable("too many transactions at once; try again") from error


_UNKNOWN = "whether it was made cannot be found out; see whether it was before you try again"


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0]


def _exists(record: Record) -> Conflict:
    return Conflict(f"{record.kind} {record.key!r} is there already", kind=record.kind, key=record.key)


def _equals(name: str, value: Scalar, *, dialect: str) -> sa.ColumnElement[bool]:
    """Whether a field of a body has a value; by JSON path, which every database of ours has."""
    field: Any = records.c.body[name]
    condition: sa.ColumnElement[bool]
    if value is None:
        condition = field.as_string().is_(None)
    elif isinstance(value, str):
        condition = field.as_string() == value
    elif dialect == "postgresql":  # as it is written: a cast would fail over whatever else stands in that field
        condition = field.as_string().in_(_written(value))
    elif isinstance(value, bool):
        condition = field.as_boolean() == value
    elif isinstance(value, int):
        condition = field.as_integer() == value
    else:
        condition = field.as_float() == value
    return condition


def _written(value: float) -> list[str]:
    """How JSON writes a number, or a truth."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    whole = int(value)
    return [repr(value)] if whole != value else [str(whole), repr(float(value))]
