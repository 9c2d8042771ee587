"""SELECTs over files and frames, in DuckDB."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import duckdb
import pyarrow as pa

from octavo.errors import InvalidRequest, Unavailable
from octavo.stores.columns import TIME

Relation: TypeAlias = "Sequence[str] | pa.Table"
"""What a name in a query stands for: paths of Parquet files that share one schema (at least one), or rows."""


class DuckDB:
    """One embedded engine; safe to use from several threads.

    Parameters
    ----------
    threads : int
    memory_limit : str
    spill : Path or None
        The folder for what does not fit into the memory limit; without one such a query fails.
    """

    def __init__(self, *, threads: int = 2, memory_limit: str = "2GB", spill: Path | None = None) -> None:
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": memory_limit,
                "temp_directory": str(spill or ""),
                "python_enable_replacements": False,
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
            },
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET parquet_metadata_cache = true")

    def select(
        self, sql: str, *, relations: Mapping[str, Relation], parameters: Mapping[str, object] | None = None
    ) -> pa.Table:
        """Run one SELECT.

        Returns
        -------
        pa.Table
            Times are timestamp[us, tz=UTC].

        Raises
        ------
        InvalidRequest
            If it is not one SELECT, or DuckDB cannot run it.
        Unavailable
            If files cannot be read now, or the memory limit does not suffice.
        FileNotFoundError
            If a file has vanished.
        """
        _check_select(sql)
        cursor = self._connection.cursor()
        try:
            for name, relation in relations.items():
                _bind(cursor, name, relation)
            return _in_utc(cursor.sql(sql, params=dict(parameters or {})).to_arrow_table())
        except duckdb.Error as error:
            raise _translated(error, sql) from error
        finally:
            cursor.close()

    def close(self) -> None:
        """Release what is held."""
        self._connection.close()


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


def _in_utc(table: pa.Table) -> pa.Table:
    wanted = [
        field.with_type(TIME) if pa.types.is_timestamp(field.type) and field.type.tz else field
        for field in table.schema
    ]
    return table.cast(pa.schema(wanted))


def _translated(error: duckdb.Error, sql: str) -> Exception:
    text = str(error)
    if isinstance(error, duckdb.IOException) and ("No files found" in text or "No such file" in text):
        return FileNotFoundError(text)
    if isinstance(error, duckdb.OutOfMemoryException):
        return Unavailable(f"a query needs more memory than it may use: {text}")
    if isinstance(error, duckdb.IOException):
        return Unavailable(f"a table's files cannot be read now: {text}")
    return InvalidRequest(f"DuckDB cannot run this query: {text}", sql=sql)
