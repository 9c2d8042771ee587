"""SELECTs over files and frames, in DuckDB."""

import threading
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from octavo.errors import InvalidRequest, OutOfMemory, Unavailable
from octavo.stores.columns import in_utc
from octavo.stores.ports import Relation
from octavo.stores.spill import Spill


class DuckDB:
    """One embedded engine, started with the first query; safe to use from several threads.

    Parameters
    ----------
    threads : int
    memory_limit : str
    spill : Path or None
        Below it a folder is made for what does not fit into the memory limit; without one such a query fails.
    """

    def __init__(self, *, threads: int = 2, memory_limit: str = "2GB", spill: Path | None = None) -> None:
        self._threads = threads
        self._memory_limit = memory_limit
        self._spill = Spill(spill) if spill else None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._lock = threading.Lock()

    def select(
        self, sql: str, *, relations: Mapping[str, Relation], parameters: Mapping[str, object] | None = None
    ) -> pa.Table:
        """See `Engine.select`."""
        _check_select(sql)
        cursor = self._cursor()
        try:
            for name, relation in relations.items():
                _bind(cursor, name, relation)
            return in_utc(cursor.sql(sql, params=dict(parameters or {})).to_arrow_table())
        except duckdb.Error as error:
            raise _translated(error, sql) from error
        finally:
            cursor.close()

    def close(self) -> None:
        """Release what is held."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        if self._spill is not None:
            self._spill.release()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection.cursor()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": self._threads,
                "memory_limit": self._memory_limit,
                "temp_directory": str(self._spill.claim()) if self._spill else "",
                "python_enable_replacements": False,
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
            },
        )
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET parquet_metadata_cache = true")
        return connection


def _check_select(sql: str) -> None:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise _translated(error, sql) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise InvalidRequest("tables are queried with exactly one SELECT", fix="send a single SELECT statement")


def _bind(cursor: duckdb.DuckDBPyConnection, name: str, relation: Relation) -> None:
    if isinstance(relation, pa.Table):
        cursor.register(name, relation)
        return
    files = ", ".join(_literal(path) for path in relation)
    cursor.execute(f"CREATE TEMP VIEW {_identifier(name)} AS SELECT * FROM read_parquet([{files}])")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _translated(error: duckdb.Error, sql: str) -> Exception:
    text = str(error)
    if isinstance(error, duckdb.IOException) and ("No files found" in text or "No such file" in text):
        return FileNotFoundError(text)
    if isinstance(error, duckdb.OutOfMemoryException):
        return OutOfMemory(f"a query needs more memory than [engine] memory allows: {text}")
    if isinstance(error, duckdb.IOException):
        return Unavailable(f"a table's files cannot be read now: {text}")
    return InvalidRequest(f"DuckDB cannot run this query: {text}", sql=sql)
