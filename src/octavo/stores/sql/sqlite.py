"""A database of ours in SQLite: one file, whose writers take turns."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from octavo.errors import ConfigurationError, IntegrityError
from octavo.stores.searches import number_in


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise IntegrityError(f"a record in the metadata is damaged: {error}; restore a backup") from error


class SqliteDatabase:
    """A SQLite file.

    Parameters
    ----------
    url : str
        ``sqlite:////absolute/path``.
    busy_timeout_s : float
        How long a transaction waits for its turn.

    Raises
    ------
    ConfigurationError
        If the URL cannot be used.
    """

    def __init__(self, url: str, *, busy_timeout_s: float) -> None:
        try:
            self.engine = sa.create_engine(url, json_deserializer=_read)
        except SQLAlchemyError as error:
            raise ConfigurationError(f"stores.metadata = {url!r} cannot be used: {error}") from error
        if self.engine.dialect.name != "sqlite":
            raise ConfigurationError(f"stores.metadata = {url!r} is no SQLite database")
        self.where = str(self.engine.url)
        name = self.engine.url.database
        self._path = Path(name) if name and name != ":memory:" else None
        _take_turns(self.engine, busy_timeout_s=busy_timeout_s)

    def prepare(self) -> None:
        """Make the folder of the file."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def begin(self) -> sa.Connection:
        """A connection with a transaction that has its turn."""
        connection = self.engine.connect()
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        return connection

    def commit(self, connection: sa.Connection) -> bool:
        """Commit the connection's transaction; True, for it is committed when this returns."""
        connection.commit()
        return True

    def keep_copy(self, connection: sa.Connection, *, version: str) -> str:
        """Copy the file as it was last committed beside itself; where the copy is, empty if there is no file."""
        if self._path is None:
            return ""
        return str(copy_of(self._path, self._path.with_name(f"{self._path.name}.schema-{version}")))


def copy_of(path: Path, to: Path) -> Path:
    """A consistent copy of a SQLite file, made while others may write to it; on disk when this returns."""
    partial = to.with_name(f"{to.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    os.close(descriptor)
    address = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(partial)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing of it beside it
    for place in (partial, partial.parent):
        _flush(place)
    partial.replace(to)
    _flush(to.parent)
    return to


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_turns(engine: sa.Engine, *, busy_timeout_s: float) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.create_function("number_in", 1, number_in, deterministic=True)
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
